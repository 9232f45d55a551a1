package gc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// repository is what one repository has, and what of that it needs.
type repository struct {
	name    layout.RepositoryName
	files   []layout.File // links, tags and the entries of their indexes
	tags    map[layout.TagName]layout.File
	history map[layout.TagName][]layout.File
	linked  map[digest.Digest]digest.Digest // layer links: the name, and the blob
	uploads map[string]upload               // by id

	revisions map[digest.Digest]bool // named by a link or held by one
	tagged    map[digest.Digest]bool
	kept      []digest.Digest // by links that are not as they should be, or not understood
	roots     []digest.Digest

	after     map[digest.Digest][]layout.TagName // tags that are named after a manifest
	referrers map[digest.Digest][]digest.Digest

	sparse map[digest.Digest]bool // may be absent: listed by an index or a history
	listed map[digest.Digest]bool // by an index
	told   []error                // what of the rules could not be kept to

	needed     map[digest.Digest]bool // manifests, each seen once
	whole      error                  // why everything linked is needed, or nil
	incomplete error                  // why a link may be missing, or nil
}

// markRepository adds what a repository has and needs.
func (r *collector) markRepository(ctx context.Context, m *mark, p layout.Repository) error {
	c, err := r.list(ctx, m, p)
	if c == nil || err != nil {
		return err
	}
	if err := r.removeUploads(ctx, p, c.uploads); err != nil {
		return err
	}
	if r.Untagged {
		if err := r.findReferrers(ctx, m, c); err != nil {
			return err
		}
	}
	r.findRoots(ctx, m, c)
	if err := r.follow(ctx, m, c, c.roots); err != nil {
		return err
	}
	if c.whole != nil {
		m.keep(fmt.Errorf("everything linked in %s is kept: %w", c.name, c.whole))
		if err := r.follow(ctx, m, c, slices.Concat(c.allTagged(), slices.Collect(maps.Keys(c.revisions)))); err != nil {
			return err
		}
		if c.incomplete != nil {
			m.doubt(fmt.Errorf("a manifest of %s cannot be read, nor can its links tell what it needs: %w; %w", c.name, c.whole, c.incomplete))
		}
	}
	for _, err := range c.told {
		m.keep(err)
	}
	return r.note(m, c)
}

// list reads the files of a repository, nil if it has to be doubted.
func (r *collector) list(ctx context.Context, m *mark, p layout.Repository) (*repository, error) {
	c := &repository{
		name: p.Name(),
		tags: map[layout.TagName]layout.File{}, history: map[layout.TagName][]layout.File{},
		linked: map[digest.Digest]digest.Digest{}, uploads: map[string]upload{},
		revisions: map[digest.Digest]bool{}, tagged: map[digest.Digest]bool{}, needed: map[digest.Digest]bool{}, sparse: map[digest.Digest]bool{}, listed: map[digest.Digest]bool{},
		after: map[digest.Digest][]layout.TagName{}, referrers: map[digest.Digest][]digest.Digest{},
	}
	sound := true
	for f, err := range p.Files(ctx) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			m.doubt(err)
			sound = false
			continue
		}
		m.files.Add(1)
		if f.Kind == layout.FileUpload {
			c.addUpload(f, r.uploadCutoff())
			continue
		}
		c.add(f)
	}
	if !sound {
		return nil, nil
	}
	c.dropSignatures()
	return c, nil
}

// add takes in a file. A damaged link stands for what it is named after, which is
// what a registry has written there; if that cannot tell, a link is missing.
func (c *repository) add(f layout.File) {
	if f.Problem != nil && f.Kind != layout.FileTagCurrent {
		if f.Name.Algorithm() != digest.SHA256 {
			c.incomplete = f.Problem
		}
		f.Target = f.Name
		c.kept = append(c.kept, f.Name)
	}
	if f.Name != f.Target && f.Name != "" && f.Name.Algorithm() == digest.SHA256 {
		c.kept = append(c.kept, f.Name, f.Target)
	}
	switch f.Kind {
	case layout.FileLayer:
		c.linked[f.Name] = f.Target
	case layout.FileRevision:
		c.revisions[f.Name], c.revisions[f.Target] = true, true
	case layout.FileTagCurrent:
		c.tags[f.Tag] = f
		c.tagged[f.Target] = f.Problem == nil
	case layout.FileTagIndex:
		c.history[f.Tag] = append(c.history[f.Tag], f)
	default:
		if !strings.HasSuffix(string(f.Path), "/link") {
			return
		}
	}
	c.files = append(c.files, f)
}

// dropSignatures takes the links that are not understood out of the files, and
// keeps what they are named after. The signatures of a manifest of schema 1 go
// with it.
func (c *repository) dropSignatures() {
	c.files = slices.DeleteFunc(c.files, func(f layout.File) bool {
		if f.Kind != layout.FileOther {
			return false
		}
		parts := strings.Split(string(f.Path), "/")
		n := len(parts)
		if n < 3 {
			return true
		}
		d, err := layout.ParseHex(digest.Algorithm(parts[n-3]), parts[n-2])
		if err != nil {
			return true
		}
		if n > 6 && parts[n-4] == "signatures" {
			of, err := layout.ParseHex(digest.Algorithm(parts[n-6]), parts[n-5])
			if err == nil && !c.revisions[of] {
				return true
			}
		}
		c.kept = append(c.kept, d)
		return true
	})
}

// namedAfter matches the tags by which clients find what refers to a manifest:
// those of the OCI specification, and cosign's with something behind them.
var namedAfter = regexp.MustCompile(`^(sha256)-([0-9a-f]{64})(\..+)?$`)

// findRoots finds what is needed for its own sake.
func (r *collector) findRoots(ctx context.Context, m *mark, c *repository) {
	if !r.Untagged {
		c.roots = slices.Concat(c.allTagged(), slices.Collect(maps.Keys(c.revisions)))
		// What a run with Untagged has unlinked is put back.
		for _, d := range m.unlinked[c.name] {
			c.sparse[d] = true
			c.roots = append(c.roots, d)
		}
		return
	}
	seen := c.everSeen(m)
	for tag, f := range c.tags {
		if f.Problem != nil {
			c.whole = fmt.Errorf("what tag %s points to cannot be read: %w", tag, f.Problem)
			continue
		}
		if subject := r.subjectOf(ctx, m, c, tag); seen[subject] {
			c.after[subject] = append(c.after[subject], tag)
			continue
		}
		c.roots = append(c.roots, f.Target)
	}
	for tag, entries := range c.history {
		if _, ok := c.tags[tag]; ok {
			continue
		}
		// Its link is lost. It said one of these, and may be put back.
		for _, f := range entries {
			c.sparse[f.Name] = true
			c.roots = append(c.roots, f.Name)
		}
	}
	for _, f := range c.files {
		// Who pushes an index pushes its manifests first.
		if f.Kind == layout.FileRevision && r.MinAge > 0 && !olderThan(f.ModTime, r.cutoff) {
			c.roots = append(c.roots, f.Target, f.Name)
		}
	}
	for _, d := range append(r.lately(c), r.keptHistory(ctx, c)...) {
		c.sparse[d] = true
		c.roots = append(c.roots, d)
	}
	for _, d := range c.kept {
		if c.revisions[d] {
			c.roots = append(c.roots, d)
		}
	}
}

// subjectOf is the manifest that a tag was made for by a client without a referrers
// API, or "". Such a tag without a suffix is of an index of referrers. Any other
// only has the name: tools that copy by digest tag the image itself so.
func (r *collector) subjectOf(ctx context.Context, m *mark, c *repository, tag layout.TagName) digest.Digest {
	n := namedAfter.FindStringSubmatch(string(tag))
	if n == nil {
		return ""
	}
	subject, target := digest.NewDigestFromEncoded(digest.Algorithm(n[1]), n[2]), c.tags[tag].Target
	if subject == target {
		return ""
	}
	if n[3] != "" {
		return subject
	}
	parts, err := r.names(ctx, m, target)
	if err != nil || len(parts.blobs)+len(parts.elsewhere)+len(parts.cached) > 0 {
		return ""
	}
	for _, child := range parts.children {
		if c.revisions[child] && !slices.Contains(c.referrers[subject], child) {
			return ""
		}
	}
	return subject
}

func (c *repository) allTagged() []digest.Digest {
	var all []digest.Digest
	for _, f := range c.tags {
		if f.Problem == nil {
			all = append(all, f.Target)
		}
	}
	return all
}

// everSeen is every manifest that is here, or was once.
func (c *repository) everSeen(m *mark) map[digest.Digest]bool {
	seen := maps.Clone(c.revisions)
	for _, d := range m.unlinked[c.name] {
		seen[d] = true
	}
	for _, entries := range c.history {
		for _, f := range entries {
			seen[f.Name] = true
		}
	}
	return seen
}

// findReferrers asks every manifest what it refers to, also one that was unlinked: it
// comes back with its subject. One that cannot be read may refer to anything.
func (r *collector) findReferrers(ctx context.Context, m *mark, c *repository) error {
	all := slices.AppendSeq(slices.Clone(m.unlinked[c.name]), maps.Keys(c.revisions))
	return r.eachNames(ctx, m, all, func(d digest.Digest, n names, err error) error {
		if errors.Is(err, fs.ErrNotExist) && !c.revisions[d] {
			return nil // swept
		}
		if err != nil {
			c.unreadable(d, err)
		} else if n.subject != "" {
			c.referrers[n.subject] = append(c.referrers[n.subject], d)
		}
		return nil
	})
}

func (c *repository) unreadable(d digest.Digest, err error) {
	if c.whole == nil {
		c.whole = fmt.Errorf("manifest %s: %w", d, err)
	}
}

// follow adds what manifests need, and what refers to them.
func (r *collector) follow(ctx context.Context, m *mark, c *repository, manifests []digest.Digest) error {
	for len(manifests) > 0 {
		level := slices.DeleteFunc(manifests, func(d digest.Digest) bool {
			again := c.needed[d]
			c.needed[d] = true
			return again
		})
		manifests = nil
		err := r.eachNames(ctx, m, level, func(d digest.Digest, n names, err error) error {
			manifests = append(manifests, c.referrers[d]...)
			for _, tag := range c.after[d] {
				manifests = append(manifests, c.tags[tag].Target)
			}
			if err != nil {
				// An index may list what was never pushed, or was deleted.
				if errors.Is(err, fs.ErrNotExist) && c.sparse[d] && !c.revisions[d] && !c.tagged[d] {
					return nil
				}
				c.unreadable(d, err)
				return nil
			}
			if c.listed[d] && !c.revisions[d] && !c.tagged[d] {
				c.incomplete = fmt.Errorf("an index names %s, which is not linked", d)
			}
			for _, child := range slices.Concat(n.children, c.manifestsOf(&n)) {
				c.sparse[child], c.listed[child] = true, true
				manifests = append(manifests, child)
			}
			return c.needBlobs(m, d, n)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// manifestsOf takes what has no link of a layer out of the children that are said to
// be no manifests. Only such a link tells for certain.
func (c *repository) manifestsOf(n *names) (manifests []digest.Digest) {
	var blobs []digest.Digest
	for _, d := range n.cached {
		if _, linked := c.linked[d]; linked && !c.revisions[d] {
			blobs = append(blobs, d)
		} else {
			manifests = append(manifests, d)
		}
	}
	n.cached = blobs
	return manifests
}

// needBlobs adds the blobs of a manifest. One known by another digest than its
// sha256 is found by its link, and only so.
func (c *repository) needBlobs(m *mark, manifest digest.Digest, n names) error {
	for i, d := range slices.Concat(n.blobs, n.elsewhere, n.cached) {
		target, linked := c.linked[d]
		if linked {
			if err := m.reach(target, c.name); err != nil {
				return err
			}
		}
		if err := m.reach(d, c.name); err != nil {
			return err
		}
		if linked || i >= len(n.blobs) {
			continue
		}
		missing := fmt.Errorf("manifest %s names %s, which is not linked", manifest, d)
		if c.revisions[manifest] {
			c.incomplete = missing
		}
		if d.Algorithm() != digest.SHA256 {
			m.doubt(fmt.Errorf("repository %s: %w: so nobody can tell by which sha256 digest it is stored", c.name, missing))
		}
	}
	return nil
}

// note adds what was found out of the repository.
func (r *collector) note(m *mark, c *repository) error {
	var errs []error
	for d := range c.needed {
		errs = append(errs, m.reach(d, c.name))
	}
	for _, d := range c.kept {
		errs = append(errs, m.reach(d, ""))
	}
	for subject, tags := range c.after {
		for _, tag := range tags {
			if f := c.tags[tag]; !c.needed[f.Target] {
				errs = append(errs, m.hold(subject, heldBy{time: f.ModTime, by: bySubjectTag, repo: c.name, name: string(f.Target)}))
			}
		}
	}
	for _, f := range c.files {
		h := heldBy{time: f.ModTime, repo: c.name}
		switch f.Kind {
		case layout.FileLayer, layout.FileRevision:
			h.by = byLayer
			if f.Kind == layout.FileRevision {
				h.by = byRevision
			}
			if f.Name != f.Target {
				h.name = string(f.Name)
			}
		case layout.FileTagIndex:
			h.by, h.name = byHistory, string(f.Tag)
		case layout.FileTagCurrent:
			if f.Problem != nil || c.needed[f.Target] {
				continue
			}
			h.by, h.name = byDeadTag, string(f.Tag)
		}
		errs = append(errs, m.hold(f.Target, h))
		if c.whole != nil && h.isLink() {
			errs = append(errs, m.reach(f.Target, c.name))
		}
	}
	return errors.Join(errs...)
}
