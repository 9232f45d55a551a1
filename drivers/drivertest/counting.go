package drivertest

import (
	"context"
	"io"
	"iter"
	"maps"
	"os"
	"sync"
	"time"

	"registryfs/drivers"
)

// Counting counts the calls to the driver inside by the name of the method.
// Abilities that replace a method count as that: ListInfo as List, WalkInfo and
// WalkPage as Walk, GetContentInfo as GetContent, ReadRange as Reader, and
// PutContents as a PutContent per file. What is done with a reader or writer is
// not counted.
type Counting struct {
	inner drivers.StorageDriver

	mu     sync.Mutex // guards the following
	counts map[string]int
}

// NewCounting returns d with its calls counted, from none.
func NewCounting(d drivers.StorageDriver) *Counting {
	return &Counting{inner: d, counts: make(map[string]int)}
}

// Count returns how often the method was called.
func (c *Counting) Count(method string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts[method]
}

// Counts returns all counts that are not 0.
func (c *Counting) Counts() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.counts)
}

// Reset sets all counts to 0.
func (c *Counting) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.counts)
}

func (c *Counting) add(method string, n int) {
	if n == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[method] += n
}

// Name implements drivers.StorageDriver. It is not counted.
func (c *Counting) Name() string { return c.inner.Name() }

// GetContent implements drivers.StorageDriver.
func (c *Counting) GetContent(ctx context.Context, path string) ([]byte, error) {
	c.add("GetContent", 1)
	return c.inner.GetContent(ctx, path)
}

// PutContent implements drivers.StorageDriver.
func (c *Counting) PutContent(ctx context.Context, path string, content []byte) error {
	c.add("PutContent", 1)
	return c.inner.PutContent(ctx, path, content)
}

// Reader implements drivers.StorageDriver.
func (c *Counting) Reader(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	c.add("Reader", 1)
	return c.inner.Reader(ctx, path, offset)
}

// Writer implements drivers.StorageDriver.
func (c *Counting) Writer(ctx context.Context, path string, append bool) (drivers.FileWriter, error) {
	c.add("Writer", 1)
	return c.inner.Writer(ctx, path, append)
}

// Stat implements drivers.StorageDriver.
func (c *Counting) Stat(ctx context.Context, path string) (drivers.FileInfo, error) {
	c.add("Stat", 1)
	return c.inner.Stat(ctx, path)
}

// List implements drivers.StorageDriver.
func (c *Counting) List(ctx context.Context, dir string) ([]string, error) {
	c.add("List", 1)
	return c.inner.List(ctx, dir)
}

// Move implements drivers.StorageDriver.
func (c *Counting) Move(ctx context.Context, src, dst string) error {
	c.add("Move", 1)
	return c.inner.Move(ctx, src, dst)
}

// Delete implements drivers.StorageDriver.
func (c *Counting) Delete(ctx context.Context, path string) error {
	c.add("Delete", 1)
	return c.inner.Delete(ctx, path)
}

// Walk implements drivers.StorageDriver. The listings it makes are not counted.
func (c *Counting) Walk(ctx context.Context, from string, fn drivers.WalkFn, options ...func(*drivers.WalkOptions)) error {
	c.add("Walk", 1)
	return c.inner.Walk(ctx, from, fn, options...)
}

// ListInfo implements drivers.InfoLister.
func (c *Counting) ListInfo(ctx context.Context, dir string) iter.Seq2[drivers.FileInfo, error] {
	return c.seq("List", drivers.ListInfo(ctx, c.inner, dir))
}

// WalkInfo implements drivers.InfoWalker.
func (c *Counting) WalkInfo(ctx context.Context, from, startAfter string) iter.Seq2[drivers.FileInfo, error] {
	return c.seq("Walk", drivers.WalkInfo(ctx, c.inner, from, startAfter))
}

// WalkPage implements drivers.PageWalker.
func (c *Counting) WalkPage(ctx context.Context, from, startAfter string) ([]drivers.FileInfo, string, error) {
	c.add("Walk", 1)
	return drivers.WalkPage(ctx, c.inner, from, startAfter)
}

// seq counts infos each time somebody begins to range over it.
func (c *Counting) seq(method string, infos iter.Seq2[drivers.FileInfo, error]) iter.Seq2[drivers.FileInfo, error] {
	return func(yield func(drivers.FileInfo, error) bool) {
		c.add(method, 1)
		infos(yield)
	}
}

// GetContentInfo implements drivers.ContentInfoGetter.
func (c *Counting) GetContentInfo(ctx context.Context, path string) ([]byte, drivers.FileInfo, error) {
	c.add("GetContent", 1)
	return drivers.GetContentInfo(ctx, c.inner, path)
}

// OpenFile implements drivers.FileOpener.
func (c *Counting) OpenFile(ctx context.Context, path string) (*os.File, error) {
	c.add("OpenFile", 1)
	return drivers.OpenFile(ctx, c.inner, path)
}

// PutContentIfAbsent implements drivers.ConditionalPutter.
func (c *Counting) PutContentIfAbsent(ctx context.Context, path string, content []byte) error {
	c.add("PutContentIfAbsent", 1)
	return drivers.PutContentIfAbsent(ctx, c.inner, path, content)
}

// PutContents implements drivers.BatchPutter.
func (c *Counting) PutContents(ctx context.Context, files []drivers.Content) error {
	c.add("PutContent", len(files))
	return drivers.PutContents(ctx, c.inner, files)
}

// ReadRange implements drivers.RangeReader.
func (c *Counting) ReadRange(ctx context.Context, path string, offset, length int64) (io.ReadCloser, error) {
	c.add("Reader", 1)
	return drivers.ReadRange(ctx, c.inner, path, offset, length)
}

// CopySource answers drivers.CopySource. It is not counted.
func (c *Counting) CopySource(path string) any { return drivers.CopySource(c.inner, path) }

// CopyFrom implements drivers.ServerCopier.
func (c *Counting) CopyFrom(ctx context.Context, source any, path string) error {
	c.add("CopyFrom", 1)
	return drivers.CopyFrom(ctx, c.inner, source, path)
}

// Chtimes implements drivers.TimeSetter.
func (c *Counting) Chtimes(ctx context.Context, path string, mtime time.Time) error {
	c.add("Chtimes", 1)
	return drivers.Chtimes(ctx, c.inner, path, mtime)
}

// StatFS implements drivers.SpaceReporter.
func (c *Counting) StatFS(ctx context.Context) (drivers.FSInfo, error) {
	c.add("StatFS", 1)
	return drivers.StatFS(ctx, c.inner)
}

// IsRemote answers drivers.IsRemote.
func (c *Counting) IsRemote() bool { return drivers.IsRemote(c.inner) }

// Requests answers drivers.Requests.
func (c *Counting) Requests() map[string]int64 { return drivers.Requests(c.inner) }

// Reload implements drivers.Reloader. It is not counted.
func (c *Counting) Reload(ctx context.Context, params map[string]any) error {
	return drivers.Reload(ctx, c.inner, params)
}

// Leftovers answers drivers.LeftoversOf. What is done with them is not counted.
func (c *Counting) Leftovers() drivers.Leftovers { return drivers.LeftoversOf(c.inner) }
