package copier

import (
	"context"
	"fmt"
	"io/fs"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"registryfs/layout"
)

// repository is one that is being copied.
type repository struct {
	*copier
	layout.Repository

	there map[layout.RawPath]layout.File // what the destination has
	tags  map[layout.TagName]*tag
	files []layout.File // not understood, or of uploads

	mu    sync.Mutex // guards the following
	links map[linkName]*link
	whole map[digest.Digest]error // of manifests: what of its closure is missing
}

// linkName tells the link of a layer from that of a manifest.
type linkName struct {
	kind layout.FileKind
	name digest.Digest
}

// link is one link of a layer or manifest.
type link struct {
	layout.File
	leads bool // its blob is in the destination
}

// copyRepository copies one repository: reads its links and tags, copies what they
// lead to, and writes them.
func (c *copier) copyRepository(ctx context.Context, p layout.Repository) error {
	r := &repository{
		copier: c, Repository: p,
		there: make(map[layout.RawPath]layout.File),
		tags:  make(map[layout.TagName]*tag),
		links: make(map[linkName]*link),
		whole: make(map[digest.Digest]error),
	}
	for _, step := range []func(context.Context) error{
		r.read, r.readDestination, r.copyBlobs, r.checkTags, r.putLinks, r.copyFiles, r.putTags,
	} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("repository %s: %w", p.Name(), err)
		}
	}
	c.count(func(r *Report) { r.Repositories++ })
	return nil
}

// read takes in what the source has.
func (r *repository) read(ctx context.Context) error {
	for f, err := range r.Files(ctx) {
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			r.problem(err)
			continue
		}
		if f.Problem != nil {
			r.problem(f.Problem)
		}
		switch f.Kind {
		case layout.FileLayer, layout.FileRevision:
			if f.Problem == nil {
				r.links[linkName{f.Kind, f.Name}] = &link{File: f}
			}
		case layout.FileTagCurrent, layout.FileTagIndex:
			r.addToTag(f)
		case layout.FileUpload:
			if r.Options.Uploads {
				r.files = append(r.files, f)
			}
		default:
			r.files = append(r.files, f)
		}
	}
	return nil
}

// readDestination takes in what need not be written again.
func (r *repository) readDestination(ctx context.Context) error {
	for f, err := range r.to.Repository(r.Name()).Files(ctx) {
		if err != nil && f.Path == "" {
			return err
		}
		if err == nil {
			r.there[f.Path] = f
		}
	}
	return nil
}

// copyBlobs copies what the links lead to.
func (r *repository) copyBlobs(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.Parallel)
	for _, l := range r.links {
		g.Go(func() error { return r.follow(ctx, l) })
	}
	return g.Wait()
}

// follow copies what one link leads to. That the source has not got it is no error
// here.
func (r *repository) follow(ctx context.Context, l *link) error {
	err := r.blobs.get(ctx, l.Target)
	switch {
	case err == nil:
		l.leads = true
	case !isOfSource(err):
		return err
	case err != errAbsent: // it was noted
	case l.Kind == layout.FileRevision:
		r.problem(fmt.Errorf("manifest %s of %s is left out: its blob %s is not in the store", l.Name, r.Name(), l.Target))
	default:
		r.count(func(r *Report) { r.LeftOut++ })
	}
	return nil
}

// find is the link named d with its blob copied. It is fs.ErrNotExist if the
// repository has none. One that was put there since the repository was read, with
// the manifest that needs it, is found too.
func (r *repository) find(ctx context.Context, kind layout.FileKind, d digest.Digest) (*link, error) {
	name := linkName{kind, d}
	r.mu.Lock()
	l := r.links[name]
	r.mu.Unlock()
	if l != nil {
		return l, nil
	}
	f, err := r.ReadLink(ctx, kind, d)
	if err == nil && f.Problem != nil {
		err = fs.ErrNotExist // it was noted
	}
	if err != nil {
		return nil, layout.SourceError{Err: err}
	}
	l = &link{File: f}
	if err := r.follow(ctx, l); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.links[name] = l
	return l, nil
}

// putLinks writes the links that lead somewhere and are not there yet.
func (r *repository) putLinks(ctx context.Context) error {
	var links []layout.File
	for _, l := range r.links {
		if l.leads && !r.isThere(l.File) {
			links = append(links, l.File)
		}
	}
	var batches [][]layout.File
	for n := r.batch(); len(links) > 0; links = links[min(n, len(links)):] {
		batches = append(batches, links[:min(n, len(links))])
	}
	return r.put(ctx, batches)
}

// isThere reports whether the destination has the link as it is.
func (r *repository) isThere(f layout.File) bool {
	have, ok := r.there[f.Path]
	return ok && have.Target == f.Target && (r.to.IsRemote() || sameTime(have.ModTime, f.ModTime))
}

// batch is how many links are put by one call. A disk syncs those of one together;
// an object store takes one after the other.
func (r *repository) batch() int {
	if r.to.IsRemote() {
		return 1
	}
	return 64
}

// put writes batches side by side, and the links of each in order.
func (r *repository) put(ctx context.Context, batches [][]layout.File) error {
	n := int64(0)
	for _, links := range batches {
		n += int64(len(links))
	}
	r.count(func(*Report) { r.toPut += n })
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.Parallel)
	for _, links := range batches {
		g.Go(func() error {
			done, err := r.slot(ctx)
			if err != nil {
				return err
			}
			defer done()
			if err := r.to.Raw().PutLinks(ctx, links); err != nil {
				return err
			}
			r.count(func(r *Report) { r.Links += len(links) })
			return nil
		})
	}
	return g.Wait()
}
