package copier

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"registryfs/layout"
)

// copyFiles copies what a repository has beside links and tags.
func (r *repository) copyFiles(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.Parallel)
	for _, f := range r.files {
		have, ok := r.there[f.Path]
		if !ok || r.isNew(f.Size, f.ModTime, have.Size, have.ModTime) {
			g.Go(func() error {
				return r.copyFile(ctx, f.Raw())
			})
		}
	}
	return g.Wait()
}

// addStrays notes what lies between the repositories or, if only some are wanted,
// the files in one of those.
func (c *copier) addStrays(strays []layout.RawFile, wanted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range strays {
		if c.isWhole() || wanted && !s.Dir {
			c.strays = append(c.strays, s)
		}
	}
}

// copyRest copies the blobs that no repository links, then what lies beside blobs
// and repositories.
func (c *copier) copyRest(ctx context.Context) error {
	if err := c.copyAll(ctx, c.from.Raw().Walk(ctx, layout.RawBlobs)); err != nil {
		return err
	}
	return c.copyAll(ctx, c.from.Raw().Beside(ctx))
}

// copyStrays copies what lies between the repositories. That may be one of a name
// that is not legal here: its tags come last.
func (c *copier) copyStrays(ctx context.Context) error {
	isTag := func(f layout.RawFile) bool { return strings.Contains(string(f.Path), "/_manifests/tags/") }
	for _, files := range []iter.Seq2[layout.RawFile, error]{
		c.strayFiles(ctx, func(f layout.RawFile) bool { return !isTag(f) }),
		c.strayFiles(ctx, isTag),
	} {
		if err := c.copyAll(ctx, files); err != nil {
			return err
		}
	}
	return nil
}

// strayFiles are those between the repositories that are wanted.
func (c *copier) strayFiles(ctx context.Context, wanted func(layout.RawFile) bool) iter.Seq2[layout.RawFile, error] {
	return func(yield func(layout.RawFile, error) bool) {
		for _, s := range c.strays {
			if !s.Dir {
				if wanted(s) && !yield(s, nil) {
					return
				}
				continue
			}
			for f, err := range c.from.Raw().Walk(ctx, s.Path) {
				if (err != nil || wanted(f)) && !yield(f, err) {
					return
				}
			}
		}
	}
}

func (c *copier) copyAll(ctx context.Context, files iter.Seq2[layout.RawFile, error]) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(c.Parallel)
	for f, err := range files {
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			c.problem(err)
			break
		}
		g.Go(func() error {
			if f.Blob == "" {
				return c.copyIfNew(ctx, f)
			}
			err := c.blobs.get(ctx, f.Blob)
			if isOfSource(err) {
				return nil // it is noted, or has gone
			}
			return err
		})
	}
	return g.Wait()
}

// copyIfNew copies a file that is not understood.
func (c *copier) copyIfNew(ctx context.Context, f layout.RawFile) error {
	have, err := c.to.Raw().Stat(ctx, f.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && !c.isNew(f.Size, f.ModTime, have.Size, have.ModTime) {
		return nil
	}
	return c.copyFile(ctx, f)
}

// isNew reports whether the destination's file may be an older one. An object
// store has the time at which it was put.
func (c *copier) isNew(size int64, mtime time.Time, haveSize int64, haveTime time.Time) bool {
	if c.to.IsRemote() {
		return size != haveSize || haveTime.Before(mtime)
	}
	return size != haveSize || !sameTime(haveTime, mtime)
}

func (c *copier) copyFile(ctx context.Context, f layout.RawFile) error {
	done, err := c.slot(ctx)
	if err != nil {
		return err
	}
	defer done()
	err = c.to.Raw().CopyFrom(ctx, c.from.Raw(), f)
	if isOfSource(err) && errors.Is(err, fs.ErrNotExist) {
		return nil // it has gone
	}
	if err == nil {
		c.count(func(r *Report) { r.Files++ })
	}
	return c.tolerate(ctx, err)
}
