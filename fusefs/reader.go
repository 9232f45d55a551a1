package fusefs

import (
	"context"
	"io"
	"os"
	"sync"

	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// reader is an open file's bytes. A short read is the end of the file.
type reader interface {
	read(ctx context.Context, p []byte, off int64) (int, error)
	close()
}

// viewer is a reader that can do without copying. view is read with the bytes in
// p or elsewhere.
type viewer interface {
	view(ctx context.Context, p []byte, off int64) (layout.View, error)
}

// lazyReader opens its blob at the first read: a file that the kernel has in
// its page cache is opened and closed without touching the store.
type lazyReader struct {
	openBlob func(ctx context.Context) (*layout.BlobReader, error)
	digest   digest.Digest // of the whole content, or ""
	size     int64

	mu   sync.Mutex // guards the following
	blob *layout.BlobReader
}

func (r *lazyReader) get(ctx context.Context) (*layout.BlobReader, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.blob == nil {
		blob, err := r.openBlob(ctx)
		if err != nil {
			return nil, err
		}
		r.blob = blob
	}
	return r.blob, nil
}

func (r *lazyReader) read(ctx context.Context, p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, io.EOF
	}
	blob, err := r.get(ctx)
	if err != nil {
		return 0, err
	}
	return blob.ReadAt(ctx, p, off)
}

func (r *lazyReader) view(ctx context.Context, p []byte, off int64) (layout.View, error) {
	if len(p) == 0 {
		return layout.View{}, io.EOF
	}
	blob, err := r.get(ctx)
	if err != nil {
		return layout.View{}, err
	}
	return blob.View(ctx, p, off)
}

// file is the local file behind the content, or nil.
func (r *lazyReader) file(ctx context.Context) *os.File {
	blob, err := r.get(ctx)
	if err != nil {
		return nil
	}
	return blob.File()
}

func (r *lazyReader) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.blob != nil {
		r.blob.Close() // opened for reading: nothing can be lost
		r.blob = nil
	}
}

// readBlob reads from a blob of the store.
func (s *fsys) readBlob(ctx context.Context, d digest.Digest, p []byte, off int64) (int, error) {
	b, err := s.reg.Blobs().Open(ctx, d)
	if err != nil {
		return 0, err
	}
	defer b.Close() // opened for reading: nothing can be lost
	return b.ReadAt(ctx, p, off)
}

// blobReader reads a blob whose size is known, since it was looked up.
func (s *fsys) blobReader(d digest.Digest, size int64) *lazyReader {
	return &lazyReader{digest: d, size: size, openBlob: func(ctx context.Context) (*layout.BlobReader, error) {
		return s.reg.Blobs().OpenSized(ctx, d, size)
	}}
}

// copyBlob copies the first n bytes of a blob.
func (s *fsys) copyBlob(ctx context.Context, u *layout.Upload, d digest.Digest, n int64) error {
	r := &lazyReader{size: n, openBlob: func(ctx context.Context) (*layout.BlobReader, error) {
		return s.reg.Blobs().Open(ctx, d)
	}}
	defer r.close()
	return copyRange(ctx, u, r, n)
}

// copyWhole copies all of a blob.
func (s *fsys) copyWhole(ctx context.Context, u *layout.Upload, d digest.Digest) error {
	desc, err := s.reg.Blobs().Stat(ctx, d)
	if err != nil {
		return err
	}
	return s.copyBlob(ctx, u, d, desc.Size)
}

// isWhole tells whether n bytes are all of the blob.
func (s *fsys) isWhole(ctx context.Context, d digest.Digest, n int64) bool {
	desc, err := s.reg.Blobs().Stat(ctx, d)
	return err == nil && desc.Problem == nil && desc.Size == n
}

// textReader serves a text made at open.
type textReader string

func (t textReader) read(_ context.Context, p []byte, off int64) (int, error) {
	if off >= int64(len(t)) {
		return 0, io.EOF
	}
	return copy(p, t[off:]), nil
}

func (t textReader) close() {}

// brokenReader is a file that is listed and cannot be read.
type brokenReader struct{ err error }

func (b brokenReader) read(context.Context, []byte, int64) (int, error) { return 0, b.err }
func (b brokenReader) close()                                           {}
