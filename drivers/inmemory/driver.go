package inmemory

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"registryfs/drivers"
	"registryfs/drivers/base"
)

const driverName = "inmemory"

func init() {
	drivers.Register(driverName, func(context.Context, map[string]any) (drivers.StorageDriver, error) {
		return New(), nil
	})
}

// Driver is the storage itself. Its methods count on the checks of package
// base; use New.
type Driver struct {
	mu       sync.RWMutex // guards the following
	root     *node
	partials map[string][]byte // by path: what Writers left by Close without Commit
}

// New returns an empty storage.
func New() drivers.StorageDriver {
	return base.New(&Driver{root: newDir(), partials: make(map[string][]byte)})
}

// Name implements drivers.StorageDriver.
func (d *Driver) Name() string { return driverName }

// GetContent implements drivers.StorageDriver.
func (d *Driver) GetContent(_ context.Context, path string) ([]byte, error) {
	content, _, err := d.file(path)
	if err != nil {
		return nil, err
	}
	return copyOf(content), nil
}

// GetContentInfo implements drivers.ContentInfoGetter.
func (d *Driver) GetContentInfo(_ context.Context, path string) ([]byte, drivers.FileInfo, error) {
	content, info, err := d.file(path)
	if err != nil {
		return nil, nil, err
	}
	return copyOf(content), info, nil
}

// file returns the bytes stored at path, not to be changed, with their
// description.
func (d *Driver) file(path string) ([]byte, drivers.FileInfoFields, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	n := d.root.find(path)
	if n == nil || n.isDir() {
		return nil, drivers.FileInfoFields{}, drivers.PathNotFoundError{Path: path}
	}
	return n.content, n.info(path), nil
}

// PutContent implements drivers.StorageDriver.
func (d *Driver) PutContent(_ context.Context, path string, content []byte) error {
	content = copyOf(content)
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.put(path, content)
}

// PutContents implements drivers.BatchPutter.
func (d *Driver) PutContents(_ context.Context, files []drivers.Content) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range files {
		if err := d.put(f.Path, copyOf(f.Bytes)); err != nil {
			return err
		}
	}
	return nil
}

// PutContentIfAbsent implements drivers.ConditionalPutter.
func (d *Driver) PutContentIfAbsent(_ context.Context, path string, content []byte) error {
	content = copyOf(content)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.root.find(path) != nil {
		return &fs.PathError{Op: "put", Path: path, Err: fs.ErrExist}
	}
	return d.put(path, content)
}

// put makes content, which is nobody else's, the file at path. The caller holds
// the lock.
func (d *Driver) put(path string, content []byte) error {
	dir, name, err := d.root.makeParent(path)
	if err != nil {
		return err
	}
	if old := dir.children[name]; old != nil && old.isDir() {
		return &fs.PathError{Op: "put", Path: path, Err: syscall.EISDIR}
	}
	dir.set(name, &node{content: content, mtime: time.Now()})
	delete(d.partials, path)
	return nil
}

// Reader implements drivers.StorageDriver.
func (d *Driver) Reader(_ context.Context, path string, offset int64) (io.ReadCloser, error) {
	content, _, err := d.file(path)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(content[min(offset, int64(len(content))):])), nil
}

// Stat implements drivers.StorageDriver.
func (d *Driver) Stat(_ context.Context, path string) (drivers.FileInfo, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	n := d.root.find(path)
	if n == nil {
		return nil, drivers.PathNotFoundError{Path: path}
	}
	return n.info(path), nil
}

// List implements drivers.StorageDriver.
func (d *Driver) List(_ context.Context, dir string) ([]string, error) {
	infos, err := d.children(dir)
	if err != nil {
		return nil, err
	}
	paths := make([]string, len(infos))
	for i, info := range infos {
		paths[i] = info.FullPath
	}
	return paths, nil
}

// ListInfo implements drivers.InfoLister. It yields the children of the moment
// it began, sorted.
func (d *Driver) ListInfo(ctx context.Context, dir string) iter.Seq2[drivers.FileInfo, error] {
	return func(yield func(drivers.FileInfo, error) bool) {
		infos, err := d.children(dir)
		if err != nil {
			yield(nil, err)
			return
		}
		for i := range infos {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return
			}
			if !yield(&infos[i], nil) {
				return
			}
		}
	}
}

func (d *Driver) children(dir string) ([]drivers.FileInfoFields, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	n := d.root.find(dir)
	if n == nil || !n.isDir() {
		return nil, drivers.PathNotFoundError{Path: dir}
	}
	return n.infos(dir), nil
}

// Walk implements drivers.StorageDriver.
func (d *Driver) Walk(ctx context.Context, from string, fn drivers.WalkFn, options ...func(*drivers.WalkOptions)) error {
	return drivers.Walk(ctx, d, from, fn, options...)
}

// Move implements drivers.StorageDriver.
func (d *Driver) Move(_ context.Context, src, dst string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.root.find(src)
	if n == nil {
		return drivers.PathNotFoundError{Path: src}
	}
	if dst == src {
		return nil
	}
	if strings.HasPrefix(dst, src+"/") {
		return &fs.PathError{Op: "move", Path: dst, Err: syscall.EINVAL}
	}
	if old := d.root.find(dst); old != nil && (old.isDir() || n.isDir()) {
		return &fs.PathError{Op: "move", Path: dst, Err: fs.ErrExist}
	}
	to, name, err := d.root.makeParent(dst)
	if err != nil {
		return err
	}
	d.unlink(src)
	d.dropPartials(dst)
	to.set(name, n)
	return nil
}

// Delete implements drivers.StorageDriver.
func (d *Driver) Delete(_ context.Context, path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dropPartials(path)
	if d.root.find(path) == nil {
		return drivers.PathNotFoundError{Path: path}
	}
	d.unlink(path)
	return nil
}

// unlink removes what is at path, which exists, with its partials. The caller
// holds the lock.
func (d *Driver) unlink(path string) {
	d.dropPartials(path)
	i := strings.LastIndexByte(path, '/')
	dir := d.root
	if i > 0 {
		dir = d.root.find(path[:i])
	}
	dir.remove(path[i+1:])
}

// dropPartials forgets the unfinished writes of path and of all below it.
func (d *Driver) dropPartials(path string) {
	for partial := range d.partials {
		if partial == path || strings.HasPrefix(partial, path+"/") {
			delete(d.partials, partial)
		}
	}
}

// copySource is a file of a Driver.
type copySource struct {
	driver *Driver
	path   string
}

// CopySource answers drivers.CopySource.
func (d *Driver) CopySource(path string) any { return copySource{d, path} }

// CopyFrom implements drivers.ServerCopier. All Drivers of a process are one store.
func (d *Driver) CopyFrom(_ context.Context, source any, path string) error {
	src, ok := source.(copySource)
	if !ok {
		return drivers.ErrUnsupportedMethod{}
	}
	content, _, err := src.driver.file(src.path)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.put(path, content)
}

// Chtimes implements drivers.TimeSetter.
func (d *Driver) Chtimes(_ context.Context, path string, mtime time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.root.find(path)
	if n == nil {
		return drivers.PathNotFoundError{Path: path}
	}
	n.mtime = mtime
	return nil
}

// copyOf is a clone that is never nil and has no room to grow into.
func copyOf(content []byte) []byte {
	return slices.Clip(append([]byte{}, content...))
}
