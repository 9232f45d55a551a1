package layout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"registryfs/drivers"
	"registryfs/layout/readahead"
)

// BlobReader reads one stored file. Its methods may be called in parallel, but
// nothing after Close.
type BlobReader struct {
	path   string
	size   int64
	file   *os.File   // nil unless local, or whole in the cache
	remote remoteFile // nil if local
}

// View is what a read has found: in the reader's buffer, or in memory that is
// not to be changed, and that Release gives back.
type View = readahead.View

// remoteFile reads what the driver has no local file for.
type remoteFile interface {
	// View is as BlobReader.View.
	View(ctx context.Context, p []byte, off int64) (View, error)
	Close() error
}

// maxContent is how large a file that is no blob may be to be read whole, by one
// request and as it is at one moment.
const maxContent = 1 << 20

// openFile opens the file at path for reading, locally if the driver can.
func (r *Registry) openFile(ctx context.Context, path string) (*BlobReader, error) {
	b, err := r.openLocal(ctx, path)
	if !errors.Is(err, errors.ErrUnsupported) {
		return b, err
	}
	if blob := r.cached(ctx, path, -1); blob != nil {
		return r.openCached(path, blob), nil
	}
	info, err := r.statFile(ctx, path)
	if err != nil {
		return nil, err
	}
	return r.openRemote(ctx, path, info.Size()), nil
}

// openSized is openFile for a file whose size is known. A remote one is asked
// for nothing yet: that it is not there is then an error of the first read.
func (r *Registry) openSized(ctx context.Context, path string, size int64) (*BlobReader, error) {
	b, err := r.openLocal(ctx, path)
	if !errors.Is(err, errors.ErrUnsupported) {
		return b, err
	}
	return r.openRemote(ctx, path, size), nil
}

// openInfo is openSized with the description of what was opened.
func (r *Registry) openInfo(ctx context.Context, path string, size int64) (*BlobReader, drivers.FileInfo, error) {
	b, err := r.openLocal(ctx, path)
	switch {
	case err == nil:
		info, err := r.statFile(ctx, path)
		if err != nil {
			return nil, nil, errors.Join(err, b.Close())
		}
		return b, info, nil
	case !errors.Is(err, errors.ErrUnsupported):
		return nil, nil, err
	}
	if size > maxContent || blobFromPath(path) != "" {
		info, err := r.statFile(ctx, path)
		if err != nil {
			return nil, nil, err
		}
		return r.openRemote(ctx, path, info.Size()), info, nil
	}
	content, info, err := drivers.GetContentInfo(ctx, r.driver, path)
	if err != nil {
		return nil, nil, err
	}
	return &BlobReader{path: path, size: info.Size(), remote: newContent(content)}, info, nil
}

func (r *Registry) openLocal(ctx context.Context, path string) (*BlobReader, error) {
	f, err := drivers.OpenFile(ctx, r.driver, path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &BlobReader{path: path, file: f, size: info.Size()}, nil
}

// statFile describes a file; a directory is not there.
func (r *Registry) statFile(ctx context.Context, path string) (drivers.FileInfo, error) {
	info, err := r.driver.Stat(ctx, path)
	if err == nil && info.IsDir() {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return info, err
}

// openRemote opens a file of known size without a request. What is no blob may
// change: a small one is read whole, in one state.
func (r *Registry) openRemote(ctx context.Context, path string, size int64) *BlobReader {
	if blob := r.cached(ctx, path, size); blob != nil {
		return r.openCached(path, blob)
	}
	b := &BlobReader{path: path, size: size}
	if manifest, ok := r.justRead(path, size); ok && ctx.Value(pastCaches{}) == nil {
		b.remote = newContent(manifest)
		return b
	}
	if blobFromPath(path) == "" && size <= maxContent {
		b.remote = &content{driver: r.driver, path: path, turn: make(chan struct{}, 1)}
		return b
	}
	r.sequences.opened(path)
	b.remote = r.pool.Open(path, size)
	return b
}

// Size is the size of the file when it was opened.
func (b *BlobReader) Size() int64 { return b.size }

// File is the local file itself, to be read only and not to be closed, or nil.
func (b *BlobReader) File() *os.File { return b.file }

// Close ends all reading.
func (b *BlobReader) Close() error {
	if b.remote == nil {
		return b.file.Close()
	}
	return b.remote.Close()
}

// ReadAt reads as io.ReaderAt does.
func (b *BlobReader) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if b.file != nil {
		return b.file.ReadAt(p, off)
	}
	v, err := b.View(ctx, p, off)
	n := v.CopyTo(p)
	v.Release()
	return n, err
}

// View is ReadAt without a copy where that can be done: the bytes are in p or in
// memory of the reader, until Release.
func (b *BlobReader) View(ctx context.Context, p []byte, off int64) (View, error) {
	if b.file != nil {
		n, err := b.file.ReadAt(p, off)
		return View{Bytes: [][]byte{p[:n]}}, err
	}
	v, err := b.remote.View(ctx, p, off)
	if errors.Is(err, readahead.ErrShort) {
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return v, err
}

// content is a small file, read whole when it is first asked for.
type content struct {
	driver drivers.StorageDriver
	path   string

	// turn is held while the following are used. As a channel it lets a reader
	// give up.
	turn  chan struct{}
	have  bool
	bytes []byte
}

// newContent is a content that is there.
func newContent(bytes []byte) *content {
	return &content{turn: make(chan struct{}, 1), have: true, bytes: bytes}
}

func (c *content) get(ctx context.Context) ([]byte, error) {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-c.turn }()
	if !c.have {
		bytes, err := c.driver.GetContent(ctx, c.path)
		if err != nil {
			return nil, err
		}
		c.bytes, c.have = bytes, true
	}
	return c.bytes, nil
}

// View implements remoteFile.
func (c *content) View(ctx context.Context, p []byte, off int64) (View, error) {
	if off < 0 {
		return View{}, fmt.Errorf("read %s at %d: %w", c.path, off, fs.ErrInvalid)
	}
	bytes, err := c.get(ctx)
	if err != nil {
		return View{}, err
	}
	if off >= int64(len(bytes)) {
		return View{}, io.EOF
	}
	bytes = bytes[off:]
	if len(bytes) <= len(p) {
		return View{Bytes: [][]byte{bytes}}, io.EOF
	}
	return View{Bytes: [][]byte{bytes[:len(p)]}}, nil
}

// Close implements remoteFile.
func (c *content) Close() error { return nil }
