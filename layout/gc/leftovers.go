package gc

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"
	"time"

	"registryfs/layout"
)

// removeLeftovers removes what writes have left that have not gone on for UploadAge.
func (r *collector) removeLeftovers(ctx context.Context) error {
	if r.UploadAge == 0 {
		return nil
	}
	tree := r.reg.Raw()
	for f, err := range tree.Leftovers(ctx, layout.RawPath(path.Dir(string(layout.RawBlobs)))) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil && !olderThan(f.ModTime, r.uploadCutoff()) {
			continue
		}
		goesOn := false
		if dir, ok := uploadOf(f.Path); err == nil && ok {
			if r.gone.has(dir) {
				continue
			}
			goesOn, err = r.isYoungBelow(ctx, dir)
		}
		if err == nil && !goesOn && !r.DryRun {
			err = tree.RemoveLeftover(ctx, f.Path)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist): // it was finished, or removed
		case err != nil:
			r.report.fail(err)
		case !goesOn:
			r.report.update(func() { r.report.Leftovers.add(f.Size) })
		}
	}
	return nil
}

func (r *collector) uploadCutoff() time.Time { return r.now.Add(-r.UploadAge) }

// uploadOf is the directory of the upload that a file belongs to.
func uploadOf(p layout.RawPath) (dir layout.RawPath, ok bool) {
	before, after, ok := strings.Cut(string(p), "/_uploads/")
	id, _, inside := strings.Cut(after, "/")
	return layout.RawPath(before + "/_uploads/" + id), ok && inside
}

// isYoungBelow reports whether a file of an upload is, or may be, too young for the
// upload to be abandoned. What a write has left there counts as well: somebody goes
// on with it.
func (r *collector) isYoungBelow(ctx context.Context, dir layout.RawPath) (bool, error) {
	for f, err := range r.reg.Raw().Walk(ctx, dir) {
		if err != nil || !olderThan(f.ModTime, r.uploadCutoff()) {
			return true, err
		}
	}
	for f, err := range r.reg.Raw().Leftovers(ctx, dir) {
		if err != nil || !olderThan(f.ModTime, r.uploadCutoff()) {
			return true, err
		}
	}
	return false, nil
}
