package base

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"slices"
	"time"

	"registryfs/drivers"
)

// driver checks and names on behalf of the driver inside. It keeps no state.
type driver struct {
	inner drivers.StorageDriver
}

// New wraps a driver, so that it sees only valid arguments under a live context
// and its errors have the types and the name they should.
func New(d drivers.StorageDriver) drivers.StorageDriver {
	return &driver{inner: d}
}

// Name implements drivers.StorageDriver.
func (d *driver) Name() string { return d.inner.Name() }

// GetContent implements drivers.StorageDriver.
func (d *driver) GetContent(ctx context.Context, path string) ([]byte, error) {
	if err := d.checkPath(ctx, path); err != nil {
		return nil, err
	}
	content, err := d.inner.GetContent(ctx, path)
	if err != nil {
		return nil, d.wrap(err)
	}
	return content, nil
}

// PutContent implements drivers.StorageDriver.
func (d *driver) PutContent(ctx context.Context, path string, content []byte) error {
	if err := d.checkPath(ctx, path); err != nil {
		return err
	}
	return d.wrap(d.inner.PutContent(ctx, path, content))
}

// Reader implements drivers.StorageDriver. The offset is checked before the
// path, as in the registry.
func (d *driver) Reader(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	if err := d.checkRead(ctx, path, offset); err != nil {
		return nil, err
	}
	r, err := d.inner.Reader(ctx, path, offset)
	if err != nil {
		return nil, d.wrap(err)
	}
	return r, nil
}

// Writer implements drivers.StorageDriver.
func (d *driver) Writer(ctx context.Context, path string, append bool) (drivers.FileWriter, error) {
	if err := d.checkPath(ctx, path); err != nil {
		return nil, err
	}
	w, err := d.inner.Writer(ctx, path, append)
	if err != nil {
		return nil, d.wrap(err)
	}
	return w, nil
}

// Stat implements drivers.StorageDriver.
func (d *driver) Stat(ctx context.Context, path string) (drivers.FileInfo, error) {
	if err := d.checkDir(ctx, path); err != nil {
		return nil, err
	}
	info, err := d.inner.Stat(ctx, path)
	if err != nil {
		return nil, d.wrap(err)
	}
	return info, nil
}

// List implements drivers.StorageDriver.
func (d *driver) List(ctx context.Context, dir string) ([]string, error) {
	if err := d.checkDir(ctx, dir); err != nil {
		return nil, err
	}
	paths, err := d.inner.List(ctx, dir)
	if err != nil {
		return nil, d.wrap(err)
	}
	return withoutInvalid(paths), nil
}

// Move implements drivers.StorageDriver.
func (d *driver) Move(ctx context.Context, src, dst string) error {
	if err := d.checkPath(ctx, src); err != nil {
		return err
	}
	if err := d.checkPath(ctx, dst); err != nil {
		return err
	}
	return d.wrap(d.inner.Move(ctx, src, dst))
}

// Delete implements drivers.StorageDriver.
func (d *driver) Delete(ctx context.Context, path string) error {
	if err := d.checkPath(ctx, path); err != nil {
		return err
	}
	return d.wrap(d.inner.Delete(ctx, path))
}

// Walk implements drivers.StorageDriver. An error of fn comes back as it is.
func (d *driver) Walk(ctx context.Context, from string, fn drivers.WalkFn, options ...func(*drivers.WalkOptions)) error {
	if err := d.checkDir(ctx, from); err != nil {
		return err
	}
	var fnErr error
	err := d.inner.Walk(ctx, from, func(info drivers.FileInfo) error {
		if !drivers.ValidChild(info.Path()) {
			return drivers.ErrSkipDir
		}
		err := fn(info)
		if err != nil && !errors.Is(err, drivers.ErrSkipDir) && !errors.Is(err, drivers.ErrFilledBuffer) {
			fnErr = err
		}
		return err
	}, options...)
	if fnErr != nil {
		return fnErr
	}
	return d.wrap(err)
}

// ListInfo implements drivers.InfoLister.
func (d *driver) ListInfo(ctx context.Context, dir string) iter.Seq2[drivers.FileInfo, error] {
	return d.seq(ctx, dir, drivers.ListInfo(ctx, d.inner, dir))
}

// WalkInfo implements drivers.InfoWalker.
func (d *driver) WalkInfo(ctx context.Context, from, startAfter string) iter.Seq2[drivers.FileInfo, error] {
	return d.seq(ctx, from, drivers.WalkInfo(ctx, d.inner, from, startAfter))
}

// WalkPage implements drivers.PageWalker.
func (d *driver) WalkPage(ctx context.Context, from, startAfter string) ([]drivers.FileInfo, string, error) {
	if err := d.checkDir(ctx, from); err != nil {
		return nil, "", err
	}
	files, next, err := drivers.WalkPage(ctx, d.inner, from, startAfter)
	if err != nil {
		return nil, "", d.wrap(err)
	}
	return slices.DeleteFunc(files, func(f drivers.FileInfo) bool { return !drivers.ValidPath(f.Path()) }), next, nil
}

// GetContentInfo implements drivers.ContentInfoGetter.
func (d *driver) GetContentInfo(ctx context.Context, path string) ([]byte, drivers.FileInfo, error) {
	if err := d.checkPath(ctx, path); err != nil {
		return nil, nil, err
	}
	content, info, err := drivers.GetContentInfo(ctx, d.inner, path)
	if err != nil {
		return nil, nil, d.wrap(err)
	}
	return content, info, nil
}

// OpenFile implements drivers.FileOpener.
func (d *driver) OpenFile(ctx context.Context, path string) (*os.File, error) {
	if err := d.checkPath(ctx, path); err != nil {
		return nil, err
	}
	f, err := drivers.OpenFile(ctx, d.inner, path)
	if err != nil {
		return nil, d.wrap(err)
	}
	return f, nil
}

// PutContentIfAbsent implements drivers.ConditionalPutter.
func (d *driver) PutContentIfAbsent(ctx context.Context, path string, content []byte) error {
	if err := d.checkPath(ctx, path); err != nil {
		return err
	}
	return d.wrap(drivers.PutContentIfAbsent(ctx, d.inner, path, content))
}

// PutContents implements drivers.BatchPutter. One bad path fails it before
// anything is put.
func (d *driver) PutContents(ctx context.Context, files []drivers.Content) error {
	if err := d.checkContext(ctx); err != nil {
		return err
	}
	for _, f := range files {
		if err := d.checkPath(ctx, f.Path); err != nil {
			return err
		}
	}
	return d.wrap(drivers.PutContents(ctx, d.inner, files))
}

// ReadRange implements drivers.RangeReader.
func (d *driver) ReadRange(ctx context.Context, path string, offset, length int64) (io.ReadCloser, error) {
	if err := d.checkRead(ctx, path, offset); err != nil {
		return nil, err
	}
	r, err := drivers.ReadRange(ctx, d.inner, path, offset, length)
	if err != nil {
		return nil, d.wrap(err)
	}
	return r, nil
}

// CopySource answers drivers.CopySource.
func (d *driver) CopySource(path string) any {
	if !drivers.ValidPath(path) {
		return nil
	}
	return drivers.CopySource(d.inner, path)
}

// CopyFrom implements drivers.ServerCopier.
func (d *driver) CopyFrom(ctx context.Context, source any, path string) error {
	if err := d.checkPath(ctx, path); err != nil {
		return err
	}
	return d.wrap(drivers.CopyFrom(ctx, d.inner, source, path))
}

// Chtimes implements drivers.TimeSetter.
func (d *driver) Chtimes(ctx context.Context, path string, mtime time.Time) error {
	if err := d.checkPath(ctx, path); err != nil {
		return err
	}
	return d.wrap(drivers.Chtimes(ctx, d.inner, path, mtime))
}

// StatFS implements drivers.SpaceReporter.
func (d *driver) StatFS(ctx context.Context) (drivers.FSInfo, error) {
	if err := d.checkContext(ctx); err != nil {
		return drivers.FSInfo{}, err
	}
	info, err := drivers.StatFS(ctx, d.inner)
	return info, d.wrap(err)
}

// IsRemote answers drivers.IsRemote.
func (d *driver) IsRemote() bool { return drivers.IsRemote(d.inner) }

// Requests answers drivers.Requests.
func (d *driver) Requests() map[string]int64 { return drivers.Requests(d.inner) }

// Reload implements drivers.Reloader.
func (d *driver) Reload(ctx context.Context, params map[string]any) error {
	return d.wrap(drivers.Reload(ctx, d.inner, params))
}

// Leftovers answers drivers.LeftoversOf.
func (d *driver) Leftovers() drivers.Leftovers { return drivers.LeftoversOf(d.inner) }
