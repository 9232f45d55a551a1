package layout

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
	"registryfs/layout/blobcache"
	"registryfs/layout/readahead"
)

type pastCaches struct{}

// PastCaches marks what has to see the store's own bytes, such as a check.
func PastCaches(ctx context.Context) context.Context {
	return context.WithValue(ctx, pastCaches{}, true)
}

// cached opens what the cache has, and will have, of the blob at path, or
// returns nil. A size of -1 stands for one that only the cache may know.
func (r *Registry) cached(ctx context.Context, path string, size int64) *blobcache.Blob {
	if r.opts.BlobCache == nil || !r.IsRemote() || ctx.Value(pastCaches{}) != nil {
		return nil
	}
	d := blobFromPath(path)
	if d == "" {
		return nil
	}
	return r.opts.BlobCache.Blob(d, size)
}

// openCached opens a blob that is read from the cache as far as it is there.
func (r *Registry) openCached(path string, blob *blobcache.Blob) *BlobReader {
	r.sequences.opened(path)
	b := &BlobReader{path: path, size: blob.Size(), file: blob.File()}
	f := &cachedFile{blob: blob}
	if b.file == nil {
		f.rest = r.pool.Open(path, b.size)
		f.rest.Keep(blob.Keep)
		f.rest.Missing(blob.Missing)
		blob.FetchWith(func(ctx context.Context, off, n int64) (io.ReadCloser, error) {
			return drivers.ReadRange(ctx, r.driver, path, off, n)
		})
	}
	b.remote = f
	return b
}

// cachedFile is a remote blob of which the cache has something. What is fetched
// is kept.
type cachedFile struct {
	blob *blobcache.Blob
	rest *readahead.File // nil if the cache has all
	end  atomic.Int64    // of the last read from the cache
}

// View implements remoteFile.
func (f *cachedFile) View(ctx context.Context, p []byte, off int64) (View, error) {
	if f.blob.Bad() {
		return View{}, fmt.Errorf("%w: the store sends other bytes than the digest names", ErrCorrupt)
	}
	q, end := p, error(nil)
	if rest := f.blob.Size() - off; int64(len(p)) >= rest {
		q, end = p[:max(0, rest)], io.EOF
	}
	// What is on its way has the reader's memory: it comes first, or it would lie
	// there until the end.
	if !f.rest.Covers(off, int64(len(q))) {
		if f.blob.ReadAt(q, off) {
			f.end.Store(off + int64(len(q)))
			return View{Bytes: [][]byte{q}}, end
		}
		if off > 0 && off == f.end.Load() {
			f.rest.Expect(off)
		}
	}
	return f.rest.View(ctx, p, off)
}

// Close implements remoteFile.
func (f *cachedFile) Close() error {
	defer f.blob.Close() // it is only read
	if f.rest == nil {
		return nil
	}
	return f.rest.Close()
}

// cachedContent is a whole blob that the cache has, not verified, or nil. A size of
// -1 is any that fits into memory.
func (r *Registry) cachedContent(ctx context.Context, d digest.Digest, size int64) []byte {
	blob := r.cached(ctx, blobDataPath(d), size)
	defer blob.Close()
	if blob.Size() > maxInMemory {
		return nil
	}
	content := make([]byte, blob.Size())
	if !blob.ReadAt(content, 0) {
		return nil
	}
	return content
}

// keepContent gives the cache a whole blob.
func (r *Registry) keepContent(ctx context.Context, d digest.Digest, content []byte) {
	blob := r.cached(ctx, blobDataPath(d), int64(len(content)))
	blob.Fill(content, 0)
	blob.Close()
}
