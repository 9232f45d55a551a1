package ahead

import (
	"context"
	"errors"
	"time"

	"registryfs/drivers"
)

// changing runs a write of the paths, of which nothing that was read before its
// end tells anything any more.
func (d *Driver) changing(write func() error, paths ...string) error {
	d.mu.Lock()
	for _, path := range paths {
		d.changes.begin(path)
	}
	d.passage.own = 0
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, path := range paths {
			d.changes.end(path, time.Now())
		}
		switch {
		case len(d.changes.paths) > maxChanges:
			d.forgetAll()
			fallthrough
		case len(d.streams)+len(d.lists)+len(d.walks.names)+d.listers == 0:
			d.changes.clear()
		}
	}()
	return write()
}

// PutContent implements drivers.StorageDriver.
func (d *Driver) PutContent(ctx context.Context, path string, content []byte) error {
	return d.changing(func() error { return d.inner.PutContent(ctx, path, content) }, path)
}

// PutContentIfAbsent implements drivers.ConditionalPutter.
func (d *Driver) PutContentIfAbsent(ctx context.Context, path string, content []byte) error {
	return d.changing(func() error { return drivers.PutContentIfAbsent(ctx, d.inner, path, content) }, path)
}

// PutContents implements drivers.BatchPutter.
func (d *Driver) PutContents(ctx context.Context, files []drivers.Content) error {
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = f.Path
	}
	return d.changing(func() error { return drivers.PutContents(ctx, d.inner, files) }, paths...)
}

// Move implements drivers.StorageDriver.
func (d *Driver) Move(ctx context.Context, src, dst string) error {
	return d.changing(func() error { return d.inner.Move(ctx, src, dst) }, src, dst)
}

// CopyFrom implements drivers.ServerCopier.
func (d *Driver) CopyFrom(ctx context.Context, source any, path string) error {
	return d.changing(func() error { return drivers.CopyFrom(ctx, d.inner, source, path) }, path)
}

// Delete implements drivers.StorageDriver.
func (d *Driver) Delete(ctx context.Context, path string) error {
	return d.changing(func() error { return d.inner.Delete(ctx, path) }, path)
}

// Chtimes implements drivers.TimeSetter. Most remote stores cannot, and then it is
// no change.
func (d *Driver) Chtimes(ctx context.Context, path string, mtime time.Time) error {
	err := drivers.Chtimes(ctx, d.inner, path, mtime)
	if errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return d.changing(func() error { return err }, path)
}

// Writer implements drivers.StorageDriver.
func (d *Driver) Writer(ctx context.Context, path string, append bool) (drivers.FileWriter, error) {
	w, err := d.inner.Writer(ctx, path, append)
	if err != nil {
		return nil, err
	}
	return &writer{w, d, path}, nil
}

// writer is a FileWriter whose Commit is a change.
type writer struct {
	drivers.FileWriter
	d    *Driver
	path string
}

// Commit implements drivers.FileWriter.
func (w *writer) Commit(ctx context.Context) error {
	return w.d.changing(func() error { return w.FileWriter.Commit(ctx) }, w.path)
}
