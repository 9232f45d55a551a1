package layout

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

// Referrers is what the manifests of a repository say of each other: which have
// which as their subject. It is what was there at one moment, for showing: what
// decides about content reads the manifests with Parts.
type Referrers struct {
	p Repository

	// by are the referrers found by the subject they name, tags the tags that a
	// client without a referrers API keeps for a subject.
	by   map[digest.Digest][]digest.Digest
	tags map[digest.Digest][]TagName
}

// Referrers looks for referrers among all revisions, tagged or not, and the tags
// that stand for the referrers API: sha256-<hex>, an index of the referrers, and
// cosign's sha256-<hex>.sig, .att and .sbom, each a referrer. Only sha256 digests
// count. A manifest that cannot be understood refers to nothing. A repository that
// is missing has none.
//
// It lists the revisions and the tags. Each manifest is read once: what it says is
// remembered by its digest, of a remote store in Options.StateDir as well.
func (p Repository) Referrers(ctx context.Context) (*Referrers, error) {
	r := &Referrers{p: p, by: make(map[digest.Digest][]digest.Digest), tags: make(map[digest.Digest][]TagName)}
	g, reading := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	var mu sync.Mutex // guards r.by
	list := func() error {
		for hex, err := range p.Manifests().All(ctx, digest.SHA256) {
			if err != nil || reading.Err() != nil {
				return err
			}
			d := digest.NewDigestFromEncoded(digest.SHA256, hex)
			g.Go(func() error {
				rel, err := p.r.relations(reading, d)
				if err != nil || rel.Subject == "" || rel.Subject.Algorithm() != digest.SHA256 {
					return err
				}
				mu.Lock()
				defer mu.Unlock()
				r.by[rel.Subject] = append(r.by[rel.Subject], d)
				return nil
			})
		}
		for tag, err := range p.Tags().All(ctx) {
			if err != nil {
				return err
			}
			if subject := TagSubject(tag); subject != "" {
				r.tags[subject] = append(r.tags[subject], tag)
			}
		}
		return nil
	}
	err := list()
	if err = errors.Join(g.Wait(), err); err != nil {
		return nil, fmt.Errorf("referrers in %s: %w", p.name, err)
	}
	return r, nil
}

// Subjects are the digests that have referrers, or a tag for them, sorted. Some
// may be of manifests that are not in the repository.
func (r *Referrers) Subjects() []digest.Digest {
	all := slices.AppendSeq(slices.Collect(maps.Keys(r.by)), maps.Keys(r.tags))
	slices.Sort(all)
	return slices.Compact(all)
}

// Has reports whether subject is one of Subjects.
func (r *Referrers) Has(subject digest.Digest) bool {
	return len(r.by[subject]) > 0 || len(r.tags[subject]) > 0
}

// Of are the revisions that have subject as their subject, sorted. It reads the
// links of the tags kept for the subject, if there are any.
func (r *Referrers) Of(ctx context.Context, subject digest.Digest) ([]digest.Digest, error) {
	all := slices.Clone(r.by[subject])
	for _, tag := range r.tags[subject] {
		named, err := r.named(ctx, tag)
		if err != nil {
			return nil, fmt.Errorf("referrers of %s in %s: %w", subject, r.p.name, err)
		}
		for _, d := range named {
			if slices.Contains(all, d) {
				continue
			}
			_, err := r.p.Manifests().link(ctx, d)
			if isAbsent(err) {
				continue // removed, and still in the index of a client
			}
			if err != nil {
				return nil, err
			}
			all = append(all, d)
		}
	}
	slices.Sort(all)
	return all, nil
}

// named are the referrers that a tag stands for.
func (r *Referrers) named(ctx context.Context, tag TagName) ([]digest.Digest, error) {
	l, err := r.p.Tags().current(ctx, tag)
	if isAbsent(err) || l.problem != nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if strings.Contains(string(tag), ".") { // cosign's
		return []digest.Digest{l.digest}, nil
	}
	rel, err := r.p.r.relations(ctx, l.digest)
	return rel.Children, err
}

var subjectTag = regexp.MustCompile(`^sha256-([0-9a-f]{64})(\.sig|\.att|\.sbom)?$`)

// TagSubject is the manifest that a tag is kept for instead of a referrers API, or
// "".
func TagSubject(tag TagName) digest.Digest {
	m := subjectTag.FindStringSubmatch(string(tag))
	if m == nil {
		return ""
	}
	return digest.NewDigestFromEncoded(digest.SHA256, m[1])
}
