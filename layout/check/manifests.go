package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"registryfs/layout"
)

// checkManifests reads all manifests that the repository has.
func (r *repository) checkManifests(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.c.o.Parallel)
	for s, there := range r.revisions {
		if !there {
			r.unread.Store(true)
			continue
		}
		g.Go(func() error {
			r.c.manifests.Add(1)
			r.manifest(ctx, s)
			return ctx.Err()
		})
	}
	return g.Wait()
}

// manifest checks one manifest and all it names.
func (r *repository) manifest(ctx context.Context, s layout.Key) {
	d := s.SHA256()
	parts, err := r.parts(ctx, d)
	if errors.Is(err, layout.ErrCorrupt) && !r.isCorrupt(ctx, d, err) {
		parts, err = r.parts(ctx, d)
	}
	if ctx.Err() != nil {
		return
	}
	finding := Finding{Path: layout.RawBlob(d), Digest: d}
	if err != nil {
		r.unread.Store(true)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		finding.Kind, finding.Path = Dangling, r.p.RevisionLink(d)
		finding.Detail = fmt.Sprintf("blob %s is not in the store", d)
	case errors.Is(err, layout.ErrCorrupt):
		return
	case errors.Is(err, layout.ErrManifestInvalid), errors.Is(err, layout.ErrTooLarge):
		finding.Kind, finding.Detail = Invalid, err.Error()
	case err != nil:
		finding.Kind, finding.Detail = Unreadable, err.Error()
	case parts.Refused != nil:
		finding.Kind, finding.Detail = Unserved, parts.Refused.Error()
	}
	if finding.Kind != "" {
		r.found(finding)
	}
	for _, part := range parts.Blobs {
		r.layer(ctx, d, part)
	}
	r.children(d, parts)
}

// isCorrupt reports a manifest whose bytes are others, if they still are.
func (r *repository) isCorrupt(ctx context.Context, d digest.Digest, err error) bool {
	b, ok, _ := r.c.blob(ctx, d)
	if !ok {
		b = blob{index: -1} // it is gone, or not told: then its bytes were wrong
	}
	return r.c.corrupt(ctx, b, d, err.Error())
}

func (r *repository) parts(ctx context.Context, d digest.Digest) (layout.Parts, error) {
	b, ok, err := r.c.blob(ctx, d)
	if err != nil {
		return layout.Parts{}, err
	}
	if !ok {
		return layout.Parts{}, layout.BlobUnknownError{Digest: d}
	}
	done, err := r.c.slot(ctx)
	if err != nil {
		return layout.Parts{}, err
	}
	defer done()
	return r.c.reg.PartsSized(layout.PastCaches(ctx), d, b.size)
}

// layer checks one blob that the manifest names.
func (r *repository) layer(ctx context.Context, manifest digest.Digest, part layout.Part) {
	d := part.Digest
	if target, ok := r.aliases[layout.KeyOf(d)]; ok {
		d = target
	}
	finding := Finding{Path: layout.RawBlob(d), Digest: d}
	look := r.c.blob
	if part.Elsewhere {
		look = r.c.optional
	}
	b, ok, err := look(ctx, d)
	if err != nil {
		finding.Kind, finding.Detail = Unreadable, err.Error()
		r.found(finding)
		return
	}
	if ok {
		r.c.use(b)
	}
	s := layout.KeyOf(part.Digest)
	r.mu.Lock()
	linked := r.layers[s]
	r.layers[s] = true // each is reported once
	r.mu.Unlock()
	switch {
	case !ok && part.Elsewhere:
		return
	case !ok:
		r.c.want(d, Missing)
		finding.Kind, finding.Detail = Missing, fmt.Sprintf("manifest %s names it", manifest)
		r.found(finding)
		return
	case part.Size > 0 && part.Size != b.size:
		r.wrongSize(ctx, manifest, d, part.Size, b)
	}
	link := r.p.LayerLink(part.Digest)
	if linked || part.Elsewhere || r.partly.Load() || !r.isAbsent(ctx, link) {
		return
	}
	finding.Kind, finding.Path, finding.Detail = Unlinked, link, fmt.Sprintf("manifest %s names it, and it is in the store", manifest)
	r.found(finding)
	if d.Algorithm() == digest.SHA256 { // the name of any other does not say what it held
		r.c.plan(Fix{Kind: Unlinked, Do: WriteLink, Path: link, Link: d})
	}
}

// wrongSize finds out whether the blob d is wrong, or the manifest that says size.
func (r *repository) wrongSize(ctx context.Context, manifest, d digest.Digest, size int64, b blob) {
	if r.c.isBad(b, d) {
		return
	}
	switch verdict, err := r.c.verify(ctx, d, b.size); {
	case verdict == isOther:
		r.c.corrupt(ctx, b, d, err.Error())
	case verdict == isSame:
		r.found(Finding{Kind: WrongSize, Path: layout.RawBlob(manifest), Digest: manifest,
			Detail: fmt.Sprintf("it says that %s has %d bytes, there are %d", d, size, b.size)})
	case verdict == isUnknown && ctx.Err() == nil:
		r.found(Finding{Kind: Unreadable, Path: layout.RawBlob(d), Digest: d, Detail: err.Error()})
	}
}

// children notes what an index leads to, and whether it is there.
func (r *repository) children(d digest.Digest, parts layout.Parts) {
	r.mu.Lock()
	if parts.Subject != "" {
		r.edges[layout.KeyOf(parts.Subject)] = append(r.edges[layout.KeyOf(parts.Subject)], layout.KeyOf(d))
	}
	var absent []digest.Digest
	for _, child := range parts.Children {
		if _, ok := r.revisions[layout.KeyOf(child.Digest)]; !ok {
			absent = append(absent, child.Digest)
			continue
		}
		r.edges[layout.KeyOf(d)] = append(r.edges[layout.KeyOf(d)], layout.KeyOf(child.Digest))
	}
	r.mu.Unlock()
	if len(absent) > 0 {
		r.found(Finding{Kind: Sparse, Path: layout.RawBlob(d), Digest: d,
			Detail: fmt.Sprintf("the repository does not have %d of %d children, such as %s", len(absent), len(parts.Children), absent[0])})
	}
}

// findUntagged reports the manifests that no tag leads to. Referrers belong to
// their subject. It says nothing where a manifest could not be read: what it leads
// to is not known.
func (r *repository) findUntagged() {
	if r.partly.Load() || r.unread.Load() {
		return
	}
	next := make([]layout.Key, 0, len(r.tagged))
	for s := range r.tagged {
		next = append(next, s)
	}
	for len(next) > 0 {
		s := next[len(next)-1]
		next = next[:len(next)-1]
		for _, to := range r.edges[s] {
			if !r.tagged[to] {
				r.tagged[to] = true
				next = append(next, to)
			}
		}
	}
	for s := range r.revisions {
		if !r.tagged[s] && !r.young[s] {
			d := s.SHA256()
			r.found(Finding{Kind: Untagged, Path: r.p.RevisionLink(d), Digest: d, Detail: "no tag leads to it"})
		}
	}
}
