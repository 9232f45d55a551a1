package base

import (
	"context"
	"errors"
	"io"
	"iter"
	"math"
	"os"
	"time"

	"registryfs/drivers"
)

// regulator lets a bounded number of calls into the driver inside. A call holds
// its place until it returns: not while the reader or writer it returned is
// used, nor while the body of a listing or the callback of a walk runs, which
// may thus make calls of its own.
type regulator struct {
	inner  drivers.StorageDriver
	places chan struct{}
}

// NewRegulator wraps a driver so that at most limit calls run in it at once.
// Callers beyond that wait, as long as their context lives. A limit of 0 is 1.
func NewRegulator(d drivers.StorageDriver, limit uint64) drivers.StorageDriver {
	limit = min(max(limit, 1), math.MaxInt32)
	return &regulator{inner: d, places: make(chan struct{}, limit)}
}

func (r *regulator) enter(ctx context.Context) error {
	select {
	case r.places <- struct{}{}:
		return nil
	default:
	}
	select {
	case r.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *regulator) leave() { <-r.places }

// Name implements drivers.StorageDriver.
func (r *regulator) Name() string { return r.inner.Name() }

// GetContent implements drivers.StorageDriver.
func (r *regulator) GetContent(ctx context.Context, path string) ([]byte, error) {
	if err := r.enter(ctx); err != nil {
		return nil, err
	}
	defer r.leave()
	return r.inner.GetContent(ctx, path)
}

// PutContent implements drivers.StorageDriver.
func (r *regulator) PutContent(ctx context.Context, path string, content []byte) error {
	if err := r.enter(ctx); err != nil {
		return err
	}
	defer r.leave()
	return r.inner.PutContent(ctx, path, content)
}

// Reader implements drivers.StorageDriver.
func (r *regulator) Reader(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	if err := r.enter(ctx); err != nil {
		return nil, err
	}
	defer r.leave()
	return r.inner.Reader(ctx, path, offset)
}

// Writer implements drivers.StorageDriver.
func (r *regulator) Writer(ctx context.Context, path string, append bool) (drivers.FileWriter, error) {
	if err := r.enter(ctx); err != nil {
		return nil, err
	}
	defer r.leave()
	return r.inner.Writer(ctx, path, append)
}

// Stat implements drivers.StorageDriver.
func (r *regulator) Stat(ctx context.Context, path string) (drivers.FileInfo, error) {
	if err := r.enter(ctx); err != nil {
		return nil, err
	}
	defer r.leave()
	return r.inner.Stat(ctx, path)
}

// List implements drivers.StorageDriver.
func (r *regulator) List(ctx context.Context, dir string) ([]string, error) {
	if err := r.enter(ctx); err != nil {
		return nil, err
	}
	defer r.leave()
	return r.inner.List(ctx, dir)
}

// Move implements drivers.StorageDriver.
func (r *regulator) Move(ctx context.Context, src, dst string) error {
	if err := r.enter(ctx); err != nil {
		return err
	}
	defer r.leave()
	return r.inner.Move(ctx, src, dst)
}

// Delete implements drivers.StorageDriver.
func (r *regulator) Delete(ctx context.Context, path string) error {
	if err := r.enter(ctx); err != nil {
		return err
	}
	defer r.leave()
	return r.inner.Delete(ctx, path)
}

// Walk implements drivers.StorageDriver.
func (r *regulator) Walk(ctx context.Context, from string, fn drivers.WalkFn, options ...func(*drivers.WalkOptions)) error {
	if err := r.enter(ctx); err != nil {
		return err
	}
	inside := true
	defer func() {
		if inside {
			r.leave()
		}
	}()
	return r.inner.Walk(ctx, from, func(info drivers.FileInfo) error {
		r.leave()
		inside = false
		err := fn(info)
		if enterErr := r.enter(ctx); enterErr != nil {
			if err == nil || errors.Is(err, drivers.ErrSkipDir) {
				err = enterErr
			}
			return err
		}
		inside = true
		return err
	}, options...)
}

// ListInfo implements drivers.InfoLister.
func (r *regulator) ListInfo(ctx context.Context, dir string) iter.Seq2[drivers.FileInfo, error] {
	return r.seq(ctx, drivers.ListInfo(ctx, r.inner, dir))
}

// WalkInfo implements drivers.InfoWalker.
func (r *regulator) WalkInfo(ctx context.Context, from, startAfter string) iter.Seq2[drivers.FileInfo, error] {
	return r.seq(ctx, drivers.WalkInfo(ctx, r.inner, from, startAfter))
}

// WalkPage implements drivers.PageWalker.
func (r *regulator) WalkPage(ctx context.Context, from, startAfter string) ([]drivers.FileInfo, string, error) {
	if err := r.enter(ctx); err != nil {
		return nil, "", err
	}
	defer r.leave()
	return drivers.WalkPage(ctx, r.inner, from, startAfter)
}

// regulatedStep is how many entries of a listing are read per place taken.
const regulatedStep = 256

// seq reads infos in steps, holding a place while it reads and none while it
// yields.
func (r *regulator) seq(ctx context.Context, infos iter.Seq2[drivers.FileInfo, error]) iter.Seq2[drivers.FileInfo, error] {
	return func(yield func(drivers.FileInfo, error) bool) {
		if err := r.enter(ctx); err != nil {
			yield(nil, err)
			return
		}
		inside := true
		defer func() {
			if inside {
				r.leave()
			}
		}()
		var step []drivers.FileInfo
		flush := func() bool {
			r.leave()
			inside = false
			for _, info := range step {
				if !yield(info, nil) {
					return false
				}
			}
			clear(step)
			step = step[:0]
			return true
		}
		for info, err := range infos {
			if err != nil {
				if flush() {
					yield(nil, err)
				}
				return
			}
			step = append(step, info)
			if len(step) < regulatedStep {
				continue
			}
			if !flush() {
				return
			}
			if err := r.enter(ctx); err != nil {
				yield(nil, err)
				return
			}
			inside = true
		}
		flush()
	}
}

// GetContentInfo implements drivers.ContentInfoGetter.
func (r *regulator) GetContentInfo(ctx context.Context, path string) ([]byte, drivers.FileInfo, error) {
	if err := r.enter(ctx); err != nil {
		return nil, nil, err
	}
	defer r.leave()
	return drivers.GetContentInfo(ctx, r.inner, path)
}

// OpenFile implements drivers.FileOpener.
func (r *regulator) OpenFile(ctx context.Context, path string) (*os.File, error) {
	if err := r.enter(ctx); err != nil {
		return nil, err
	}
	defer r.leave()
	return drivers.OpenFile(ctx, r.inner, path)
}

// PutContentIfAbsent implements drivers.ConditionalPutter.
func (r *regulator) PutContentIfAbsent(ctx context.Context, path string, content []byte) error {
	if err := r.enter(ctx); err != nil {
		return err
	}
	defer r.leave()
	return drivers.PutContentIfAbsent(ctx, r.inner, path, content)
}

// PutContents implements drivers.BatchPutter.
func (r *regulator) PutContents(ctx context.Context, files []drivers.Content) error {
	if err := r.enter(ctx); err != nil {
		return err
	}
	defer r.leave()
	return drivers.PutContents(ctx, r.inner, files)
}

// ReadRange implements drivers.RangeReader.
func (r *regulator) ReadRange(ctx context.Context, path string, offset, length int64) (io.ReadCloser, error) {
	if err := r.enter(ctx); err != nil {
		return nil, err
	}
	defer r.leave()
	return drivers.ReadRange(ctx, r.inner, path, offset, length)
}

// CopySource answers drivers.CopySource.
func (r *regulator) CopySource(path string) any { return drivers.CopySource(r.inner, path) }

// CopyFrom implements drivers.ServerCopier.
func (r *regulator) CopyFrom(ctx context.Context, source any, path string) error {
	if err := r.enter(ctx); err != nil {
		return err
	}
	defer r.leave()
	return drivers.CopyFrom(ctx, r.inner, source, path)
}

// Chtimes implements drivers.TimeSetter.
func (r *regulator) Chtimes(ctx context.Context, path string, mtime time.Time) error {
	if err := r.enter(ctx); err != nil {
		return err
	}
	defer r.leave()
	return drivers.Chtimes(ctx, r.inner, path, mtime)
}

// StatFS implements drivers.SpaceReporter.
func (r *regulator) StatFS(ctx context.Context) (drivers.FSInfo, error) {
	if err := r.enter(ctx); err != nil {
		return drivers.FSInfo{}, err
	}
	defer r.leave()
	return drivers.StatFS(ctx, r.inner)
}

// IsRemote answers drivers.IsRemote.
func (r *regulator) IsRemote() bool { return drivers.IsRemote(r.inner) }

// Requests answers drivers.Requests.
func (r *regulator) Requests() map[string]int64 { return drivers.Requests(r.inner) }

// Reload implements drivers.Reloader.
func (r *regulator) Reload(ctx context.Context, params map[string]any) error {
	return drivers.Reload(ctx, r.inner, params)
}

// Leftovers answers drivers.LeftoversOf.
func (r *regulator) Leftovers() drivers.Leftovers { return drivers.LeftoversOf(r.inner) }
