package blobcache

import (
	"io"
	"os"
	"slices"
	"sync/atomic"
)

// Blob is an open blob. Its methods may be called in parallel, but nothing but
// Fill and Keep after Close. A nil Blob has nothing and keeps nothing.
type Blob struct {
	e      *entry
	closed atomic.Bool
}

// Size is the size of the whole blob.
func (b *Blob) Size() int64 {
	if b == nil {
		return 0
	}
	return b.e.size
}

// File is the file with the whole blob, hashed, to be read only and not to be
// closed; it is nil while there is none. It may be so the next moment. To hand it
// out is a hit.
func (b *Blob) File() *os.File {
	if b == nil || !b.e.verified.Load() {
		return nil
	}
	b.e.c.stats.hits.Add(1)
	return b.e.files.Load().data
}

// Bad reports whether the bytes that the store sent are not those of the digest.
func (b *Blob) Bad() bool { return b != nil && b.e.c.Bad(b.e.d) }

// ReadAt fills p from off on and reports true, or reports false if not all of
// that is here. p must lie within the blob.
func (b *Blob) ReadAt(p []byte, off int64) bool {
	if b == nil || len(p) == 0 || off < 0 || off+int64(len(p)) > b.e.size {
		return false
	}
	ok := b.e.readAt(p, off)
	if ok {
		b.e.c.stats.hits.Add(1)
		b.e.c.stats.served.Add(int64(len(p)))
	} else {
		b.e.c.stats.misses.Add(1)
	}
	return ok
}

// Cached is how many bytes from off on are here for ReadAt, at most n.
func (b *Blob) Cached(off, n int64) int64 {
	if b == nil || off < 0 || off >= b.e.size || b.e.dead.Load() {
		return 0
	}
	n = min(n, b.e.size-off)
	f := b.e.files.Load()
	switch {
	case n <= 0 || f == nil:
		return 0
	case b.e.verified.Load():
		return n
	case f.sums == nil:
		return 0
	}
	first := off / block
	_, have, ok := f.sums.get(first, int((off+n-1)/block-first+1))
	if ok {
		return n
	}
	for i := range have {
		if !have[i] {
			return max(0, (first+int64(i))*block-off)
		}
	}
	return n
}

// Missing is how many of n bytes from off on are not here, up to the first that
// is.
func (b *Blob) Missing(off, n int64) int64 {
	if b == nil || off < 0 || off >= b.e.size {
		return n
	}
	n = min(n, b.e.size-off)
	f := b.e.files.Load()
	switch {
	case n <= 0 || f == nil || b.e.dead.Load():
		return n
	case b.e.verified.Load():
		return 0
	case f.sums == nil:
		return n
	}
	first := off / block
	_, have, _ := f.sums.get(first, int((off+n-1)/block-first+1))
	if i := slices.Index(have, true); i >= 0 {
		return max(0, (first+int64(i))*block-off)
	}
	return n
}

// FetchWith tells how to fetch from the store what had to be left out, once the
// blob is read by nobody, so that one that was read whole comes to be whole here.
func (b *Blob) FetchWith(fetch Fetch) {
	if b == nil {
		return
	}
	b.e.c.mu.Lock()
	defer b.e.c.mu.Unlock()
	b.e.fetch = fetch
}

// Filler takes the bytes that the store has from off on, in order. They are
// copied; what there is no room for is left out. It must be closed, which sends
// the rest of them.
func (b *Blob) Filler(off int64) io.WriteCloser {
	if b == nil || b.e.dead.Load() || b.e.sealed.Load() || off < 0 {
		return noFiller{}
	}
	return &filler{e: b.e, off: off}
}

// Fill offers bytes that the store has at off. What is under way when the blob
// is closed may still be offered: then nothing is done.
func (b *Blob) Fill(p []byte, off int64) {
	f := b.Filler(off)
	f.Write(p) // never fails
	f.Close()
}

// Keep is Fill of bytes that need not be copied: nobody changes them until
// release is called, which is done once. If that is nil the blocks that are whole
// among them are copied: reads here and there seldom complete another one.
func (b *Blob) Keep(p []byte, off int64, release func()) {
	if release == nil {
		b.fillBlocks(p, off)
		return
	}
	switch {
	case b == nil || b.e.dead.Load() || b.e.sealed.Load():
		release()
	case len(p) < leastLoan:
		b.Fill(p, off)
		release()
	case !b.e.c.borrow(int64(len(p))):
		b.e.leaveOut(len(p))
		release()
	default:
		b.e.c.enqueue(piece{b.e, off, p, release})
	}
}

func (b *Blob) fillBlocks(p []byte, off int64) {
	if b == nil {
		return
	}
	first, end := (off+block-1)/block*block, off+int64(len(p))
	if end < b.e.size {
		end = end / block * block
	}
	if first != off || end != off+int64(len(p)) {
		b.e.dropped.Store(true)
	}
	if first < end {
		b.Fill(p[first-off:end-off], first)
	}
}

// Close ends all reading. What was offered is still written.
func (b *Blob) Close() error {
	if b != nil && !b.closed.Swap(true) {
		b.e.c.release(b.e)
	}
	return nil
}

type noFiller struct{}

func (noFiller) Write(p []byte) (int, error) { return len(p), nil }
func (noFiller) Close() error                { return nil }
