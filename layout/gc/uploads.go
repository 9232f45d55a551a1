package gc

import (
	"context"
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
	if r.UploadAge == 0 {
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
			goesOn, err := r.isYoungBelow(ctx, p.UploadDir(id))
			if err == nil && !goesOn && !r.DryRun {
				err = p.RemoveUpload(ctx, id)
			}
			switch {
			case err != nil:
				r.report.fail(err)
			case !goesOn:
				r.report.update(func() { r.report.Uploads.add(u.bytes) })
			}
			return ctx.Err()
		})
	}
	return g.Wait()
}
