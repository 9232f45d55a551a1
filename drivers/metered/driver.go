package metered

import (
	"context"
	"io"
	"iter"
	"os"
	"time"

	"registryfs/drivers"
)

// Driver counts the calls to the driver inside.
type Driver struct {
	inner drivers.StorageDriver
	counters
}

// New returns d with its calls counted, from none.
func New(d drivers.StorageDriver) *Driver { return &Driver{inner: d} }

// Name implements drivers.StorageDriver. It is not counted.
func (d *Driver) Name() string { return d.inner.Name() }

// GetContent implements drivers.StorageDriver.
func (d *Driver) GetContent(ctx context.Context, path string) ([]byte, error) {
	began := time.Now()
	content, err := d.inner.GetContent(ctx, path)
	d.read.Add(int64(len(content)))
	return content, d.done(getContent, began, err)
}

// PutContent implements drivers.StorageDriver.
func (d *Driver) PutContent(ctx context.Context, path string, content []byte) error {
	began := time.Now()
	return d.put(putContent, began, d.inner.PutContent(ctx, path, content), content)
}

// Reader implements drivers.StorageDriver.
func (d *Driver) Reader(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	began := time.Now()
	r, err := d.inner.Reader(ctx, path, offset)
	return d.reader(openReader, began, r, err)
}

// Writer implements drivers.StorageDriver.
func (d *Driver) Writer(ctx context.Context, path string, append bool) (drivers.FileWriter, error) {
	began := time.Now()
	w, err := d.inner.Writer(ctx, path, append)
	if d.done(openWriter, began, err) != nil {
		return nil, err
	}
	return &fileWriter{w, d}, nil
}

// Stat implements drivers.StorageDriver.
func (d *Driver) Stat(ctx context.Context, path string) (drivers.FileInfo, error) {
	began := time.Now()
	info, err := d.inner.Stat(ctx, path)
	return info, d.done(stat, began, err)
}

// List implements drivers.StorageDriver.
func (d *Driver) List(ctx context.Context, dir string) ([]string, error) {
	began := time.Now()
	paths, err := d.inner.List(ctx, dir)
	return paths, d.done(list, began, err)
}

// Move implements drivers.StorageDriver.
func (d *Driver) Move(ctx context.Context, src, dst string) error {
	began := time.Now()
	return d.done(move, began, d.inner.Move(ctx, src, dst))
}

// Delete implements drivers.StorageDriver.
func (d *Driver) Delete(ctx context.Context, path string) error {
	began := time.Now()
	return d.done(remove, began, d.inner.Delete(ctx, path))
}

// Walk implements drivers.StorageDriver. What fn takes is a part of it.
func (d *Driver) Walk(ctx context.Context, from string, fn drivers.WalkFn, options ...func(*drivers.WalkOptions)) error {
	began := time.Now()
	return d.done(walk, began, d.inner.Walk(ctx, from, fn, options...))
}

// ListInfo implements drivers.InfoLister.
func (d *Driver) ListInfo(ctx context.Context, dir string) iter.Seq2[drivers.FileInfo, error] {
	return d.seq(listInfo, drivers.ListInfo(ctx, d.inner, dir))
}

// WalkInfo implements drivers.InfoWalker.
func (d *Driver) WalkInfo(ctx context.Context, from, startAfter string) iter.Seq2[drivers.FileInfo, error] {
	return d.seq(walkInfo, drivers.WalkInfo(ctx, d.inner, from, startAfter))
}

// WalkPage implements drivers.PageWalker.
func (d *Driver) WalkPage(ctx context.Context, from, startAfter string) ([]drivers.FileInfo, string, error) {
	began := time.Now()
	files, next, err := drivers.WalkPage(ctx, d.inner, from, startAfter)
	return files, next, d.done(walkPage, began, err)
}

// GetContentInfo implements drivers.ContentInfoGetter.
func (d *Driver) GetContentInfo(ctx context.Context, path string) ([]byte, drivers.FileInfo, error) {
	began := time.Now()
	content, info, err := drivers.GetContentInfo(ctx, d.inner, path)
	d.read.Add(int64(len(content)))
	return content, info, d.done(getContentInfo, began, err)
}

// OpenFile implements drivers.FileOpener. What is read from the file is not seen.
func (d *Driver) OpenFile(ctx context.Context, path string) (*os.File, error) {
	began := time.Now()
	f, err := drivers.OpenFile(ctx, d.inner, path)
	return f, d.done(openFile, began, err)
}

// PutContentIfAbsent implements drivers.ConditionalPutter.
func (d *Driver) PutContentIfAbsent(ctx context.Context, path string, content []byte) error {
	began := time.Now()
	return d.put(putIfAbsent, began, drivers.PutContentIfAbsent(ctx, d.inner, path, content), content)
}

// PutContents implements drivers.BatchPutter.
func (d *Driver) PutContents(ctx context.Context, files []drivers.Content) error {
	began := time.Now()
	err := d.done(putContents, began, drivers.PutContents(ctx, d.inner, files))
	for i := 0; i < len(files) && err == nil; i++ {
		d.written.Add(int64(len(files[i].Bytes)))
	}
	return err
}

// ReadRange implements drivers.RangeReader.
func (d *Driver) ReadRange(ctx context.Context, path string, offset, length int64) (io.ReadCloser, error) {
	began := time.Now()
	r, err := drivers.ReadRange(ctx, d.inner, path, offset, length)
	return d.reader(readRange, began, r, err)
}

// CopySource answers drivers.CopySource. It is not counted.
func (d *Driver) CopySource(path string) any { return drivers.CopySource(d.inner, path) }

// CopyFrom implements drivers.ServerCopier.
func (d *Driver) CopyFrom(ctx context.Context, source any, path string) error {
	began := time.Now()
	return d.done(copyFrom, began, drivers.CopyFrom(ctx, d.inner, source, path))
}

// Chtimes implements drivers.TimeSetter.
func (d *Driver) Chtimes(ctx context.Context, path string, mtime time.Time) error {
	began := time.Now()
	return d.done(chtimes, began, drivers.Chtimes(ctx, d.inner, path, mtime))
}

// StatFS implements drivers.SpaceReporter.
func (d *Driver) StatFS(ctx context.Context) (drivers.FSInfo, error) {
	began := time.Now()
	info, err := drivers.StatFS(ctx, d.inner)
	return info, d.done(statFS, began, err)
}

// IsRemote answers drivers.IsRemote.
func (d *Driver) IsRemote() bool { return drivers.IsRemote(d.inner) }

// Requests answers drivers.Requests.
func (d *Driver) Requests() map[string]int64 { return drivers.Requests(d.inner) }

// Reload implements drivers.Reloader. It is not counted.
func (d *Driver) Reload(ctx context.Context, params map[string]any) error {
	return drivers.Reload(ctx, d.inner, params)
}

// Leftovers answers drivers.LeftoversOf. What is done with them is not counted.
func (d *Driver) Leftovers() drivers.Leftovers { return drivers.LeftoversOf(d.inner) }
