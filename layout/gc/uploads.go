package gc

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"registryfs/layout"
)

// upload is what a repository has of an upload in progress.
type upload struct {
	bytes int64
	young bool // one of its files is, or may be
}

// addUpload takes in a file of an upload.
func (c *repository) addUpload(f layout.File, cutoff time.Time) {
	if f.Upload == "" {
		return // it lies beside them
	}
	u := c.uploads[f.Upload]
	u.bytes += f.Size
	u.young = u.young || !olderThan(f.ModTime, cutoff)
	c.uploads[f.Upload] = u
}

// removeUploads removes the uploads that nobody has gone on with for UploadAge.
func (r *collector) removeUploads(ctx context.Context, p layout.Repository, uploads map[string]upload) error {
	if r.UploadAge == 0 || r.looked {
		return nil
	}
	var g errgroup.Group
	g.SetLimit(r.Parallel)
	for _, id := range slices.Sorted(maps.Keys(uploads)) {
		u := uploads[id]
		if u.young {
			continue
		}
		g.Go(func() error {
			dir := p.UploadDir(id)
			goesOn, err := r.isYoungBelow(ctx, dir)
			if goesOn || err != nil {
				if err != nil {
					r.report.fail(err)
				}
				return ctx.Err()
			}
			// In a bucket what has come of it so far is one, and no file.
			left, err := r.removeLeftoversOf(ctx, dir)
			if err == nil && !r.DryRun {
				err = p.RemoveUpload(ctx, id)
			}
			if err != nil {
				r.report.fail(err)
				return ctx.Err()
			}
			r.gone.add(dir)
			r.report.update(func() { r.report.Uploads.add(u.bytes + left) })
			return nil
		})
	}
	return g.Wait()
}

// removeLeftoversOf removes what writes have left of an upload, and tells how much.
func (r *collector) removeLeftoversOf(ctx context.Context, dir layout.RawPath) (bytes int64, err error) {
	tree := r.reg.Raw()
	for f, err := range tree.Leftovers(ctx, dir) {
		if err == nil && !r.DryRun {
			err = tree.RemoveLeftover(ctx, f.Path)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
		bytes += f.Size
	}
	return bytes, nil
}
