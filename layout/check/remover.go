package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"registryfs/layout"
)

// ErrChanged says that something is no longer as a check has found it.
var ErrChanged = errors.New("it has changed since the check")

// Remover looks at what a check has found once more, and removes it. It is for
// findings that are Untagged, Unreferenced, Dangling or Corrupt.
type Remover struct {
	reg *layout.Registry

	mu    sync.Mutex // guards the following
	edges map[digest.Digest]edges
	seen  map[layout.RepositoryName]seen
}

// edges are what a manifest says of others.
type edges struct {
	subject  digest.Digest
	children []digest.Digest
}

// seen is what tags led to a moment ago.
type seen struct {
	led map[digest.Digest]bool
	at  time.Time
}

// NewRemover is that of a registry.
func NewRemover(reg *layout.Registry) *Remover {
	return &Remover{reg: reg, edges: map[digest.Digest]edges{}, seen: map[layout.RepositoryName]seen{}}
}

// maxEdges is of how many manifests it is remembered what they say, and
// maxSeen of how many repositories what their tags lead to.
const (
	maxEdges = 50_000
	maxSeen  = 64
)

// Content is the file that holds what was found: the link of a dangling one, and
// else the blob.
func (f Finding) Content() layout.RawPath {
	if f.Kind == Dangling {
		return f.Path
	}
	return layout.RawBlob(f.Digest)
}

// Look describes the content, in few requests. It is fs.ErrNotExist if it is seen at
// once that nothing is wrong with it any more: it is gone; a tag leads to it, as of
// a second ago; its blob is there; or it was written after the check, which was at
// checked.
func (r *Remover) Look(ctx context.Context, f Finding, checked time.Time) (layout.RawEntry, error) {
	e, err := r.reg.Raw().Stat(ctx, f.Content())
	if err != nil {
		return e, err
	}
	switch f.Kind {
	case Untagged:
		if _, err := r.reg.Raw().Stat(ctx, f.Path); err != nil {
			return e, err
		}
		led, err := r.ledLately(ctx, f.Repository)
		if err == nil && led[f.Digest] {
			return e, changed(f, "a tag leads to it")
		}
	case Dangling:
		if _, err := r.reg.Blobs().Stat(ctx, f.Digest); err == nil {
			return e, changed(f, "its blob is there")
		}
	case Corrupt:
		// A record tells seconds.
		if e.ModTime.After(checked.Add(time.Second)) {
			return e, changed(f, "it was written anew")
		}
	}
	return e, nil
}

// changedError is ErrChanged, and fs.ErrNotExist: there is no such finding.
type changedError struct{ what string }

func (e changedError) Error() string { return e.what + ": " + ErrChanged.Error() }

// Is reports what the error means.
func (e changedError) Is(target error) bool { return target == ErrChanged || target == fs.ErrNotExist }

func changed(f Finding, now string) error {
	return changedError{fmt.Sprintf("%s: %s", f.Content(), now)}
}

// Remove removes what was found: a manifest that no tag leads to is unlinked, a blob
// without links or with other bytes is deleted, a tag or link that leads to no blob
// removed. It is ErrChanged if, looked at thoroughly, it is no longer so. That a link
// is made between the look and the removal cannot be kept from happening.
func (r *Remover) Remove(ctx context.Context, f Finding) error {
	if _, err := r.reg.Raw().Stat(ctx, f.Content()); err != nil {
		return err
	}
	p := r.reg.Repository(f.Repository)
	switch f.Kind {
	case Untagged:
		led, err := r.led(ctx, p)
		if err != nil {
			return fmt.Errorf("whether a tag leads to %s is not known: %w", f.Digest, err)
		}
		if led[f.Digest] {
			return changed(f, "a tag leads to it")
		}
		return p.Manifests().Unlink(ctx, f.Digest)
	case Unreferenced:
		if err := r.findLink(ctx, f); err != nil {
			return err
		}
		return r.reg.Blobs().Delete(ctx, f.Digest)
	case Dangling:
		return r.removeDangling(ctx, p, f)
	case Corrupt:
		return r.removeCorrupt(ctx, f)
	}
	return fmt.Errorf("remove %s: what is %s is not removed: %w", f.Path, f.Kind, errors.ErrUnsupported)
}

// findLink is ErrChanged if any repository has the blob.
func (r *Remover) findLink(ctx context.Context, f Finding) error {
	return r.reg.EveryRepository(ctx, 16, func(ctx context.Context, p layout.Repository, err error) error {
		if err != nil {
			return fmt.Errorf("whether a link leads to %s is not known: %w", f.Digest, err)
		}
		for _, link := range []layout.RawPath{p.LayerLink(f.Digest), p.RevisionLink(f.Digest)} {
			_, err := r.reg.Raw().Stat(ctx, link)
			if err == nil {
				return changed(f, "repository "+string(p.Name())+" has it")
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return r.findAlias(ctx, p, f)
	})
}

// findAlias looks among the links that are named by other digests.
func (r *Remover) findAlias(ctx context.Context, p layout.Repository, f Finding) error {
	algs, err := p.Blobs().Algorithms(ctx)
	if err != nil {
		return err
	}
	for _, alg := range algs {
		if alg == digest.SHA256 {
			continue
		}
		for hex, err := range p.Blobs().All(ctx, alg) {
			if err != nil {
				return err
			}
			desc, err := p.Blobs().Stat(ctx, digest.NewDigestFromEncoded(alg, hex))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if desc.Digest == f.Digest {
				return changed(f, "repository "+string(p.Name())+" has it")
			}
		}
	}
	return nil
}

func (r *Remover) removeDangling(ctx context.Context, p layout.Repository, f Finding) error {
	content, err := readLink(ctx, r.reg, f.Path)
	if err != nil {
		return err
	}
	d := digest.Digest(content)
	if d.Validate() != nil {
		return changed(f, "it is damaged")
	}
	switch _, err := r.reg.Blobs().Stat(ctx, d); {
	case err == nil:
		return changed(f, "its blob is there")
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if f.Tag != "" {
		_, err := p.Tags().Untag(ctx, f.Tag)
		return err
	}
	return r.reg.Raw().RemoveAll(ctx, layout.RawPath(path.Dir(string(f.Path))))
}

func (r *Remover) removeCorrupt(ctx context.Context, f Finding) error {
	desc, err := r.reg.Blobs().Stat(ctx, f.Digest)
	if err != nil {
		return err
	}
	c := checker{reg: r.reg, rate: &pacer{}}
	switch is, err := c.verify(ctx, f.Digest, desc.Size); is {
	case isSame:
		return changed(f, "its bytes have its digest")
	case isUnknown:
		return err
	}
	return r.reg.Blobs().Delete(ctx, f.Digest)
}

// ledLately is led as of at most a second ago.
func (r *Remover) ledLately(ctx context.Context, repo layout.RepositoryName) (map[digest.Digest]bool, error) {
	r.mu.Lock()
	s, ok := r.seen[repo]
	r.mu.Unlock()
	if ok && time.Since(s.at) < time.Second {
		return s.led, nil
	}
	at := time.Now()
	led, err := r.led(ctx, r.reg.Repository(repo))
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.seen) >= maxSeen {
		clear(r.seen)
	}
	r.seen[repo] = seen{led, at}
	return led, nil
}

// led is all manifests of the repository that tags lead to: through indexes, and
// from a subject to its referrers. A manifest or tag that cannot be read is an
// error: what it leads to is not known.
func (r *Remover) led(ctx context.Context, p layout.Repository) (map[digest.Digest]bool, error) {
	to, err := r.allEdges(ctx, p)
	if err != nil {
		return nil, err
	}
	var next []digest.Digest
	for tag, err := range p.Tags().All(ctx) {
		if err != nil {
			return nil, err
		}
		t, err := p.Tags().Digest(ctx, tag)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if t.Digest == "" {
			return nil, fmt.Errorf("tag %s of %s: %w", tag, p.Name(), layout.ErrCorrupt)
		}
		next = append(next, t.Digest)
	}
	led := map[digest.Digest]bool{}
	for len(next) > 0 {
		d := next[len(next)-1]
		next = next[:len(next)-1]
		if !led[d] {
			led[d] = true
			next = append(next, to[d]...)
		}
	}
	return led, nil
}

// allEdges leads from each manifest of the repository to its children and referrers.
func (r *Remover) allEdges(ctx context.Context, p layout.Repository) (map[digest.Digest][]digest.Digest, error) {
	to := map[digest.Digest][]digest.Digest{}
	var mu sync.Mutex // guards to
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	var failed error
	for hex, err := range p.Manifests().All(ctx, digest.SHA256) {
		if err != nil {
			failed = err
			break
		}
		d := digest.NewDigestFromEncoded(digest.SHA256, hex)
		g.Go(func() error {
			e, err := r.edgesOf(gctx, d)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			to[d] = append(to[d], e.children...)
			if e.subject != "" {
				to[e.subject] = append(to[e.subject], d)
			}
			return nil
		})
	}
	return to, errors.Join(failed, g.Wait())
}

// edgesOf reads a manifest once.
func (r *Remover) edgesOf(ctx context.Context, d digest.Digest) (edges, error) {
	r.mu.Lock()
	e, ok := r.edges[d]
	r.mu.Unlock()
	if ok {
		return e, nil
	}
	parts, err := r.reg.Parts(ctx, d)
	if err != nil {
		return edges{}, err
	}
	e.subject = parts.Subject
	for _, child := range parts.Children {
		e.children = append(e.children, child.Digest)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.edges) >= maxEdges {
		clear(r.edges)
	}
	r.edges[d] = e
	return e, nil
}
