package blobcache

import (
	"crypto/sha256"
	"errors"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// entry is a blob in use by this process.
type entry struct {
	c *Cache
	d digest.Digest

	refs  int   // guarded by c.mu
	fetch Fetch // guarded by c.mu; nil when it has been used

	// Readers take no lock, since one may be held during a write.
	files    atomic.Pointer[files] // set once
	verified atomic.Bool           // files.data is the whole blob, hashed
	dead     atomic.Bool           // nothing more is to be had or kept
	sealed   atomic.Bool           // nothing more is kept
	dropped  atomic.Bool           // something was left out
	left     atomic.Int64          // bytes that were, for lack of time

	mu     sync.Mutex // guards the following
	opened bool
	size   int64 // -1 while unknown; fixed once opened
	fill   *filling
	twice  bool // the hash was wrong once, without a cause on this disk

	hash   hash.Hash    // of the worker that hashes
	hashed atomic.Int64 // bytes, set by it
}

// files are those of an entry. sums is nil for a blob of one block and where the
// file has been lost; then data serves when it is verified.
type files struct {
	data  *os.File
	sums  *sums
	whole bool
}

func (f *files) close() {
	f.data.Close() // what it lost is found by the checksums
	if f.sums != nil {
		f.sums.f.Close()
	}
}

// close is called when nobody else has the entry.
func (e *entry) close() {
	if f := e.files.Load(); f != nil {
		f.close()
	}
	if e.fill != nil {
		e.fill.close()
	}
}

// open opens what is there. It reports whether the blob can be read or filled.
func (e *entry) open(size int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.opened {
		f, found := e.find()
		if f == nil && size < 0 {
			return false
		}
		if f != nil {
			e.files.Store(f)
			e.size = found
		} else {
			e.size = size
		}
		e.opened = true
		e.check()
	}
	f := e.files.Load()
	if size >= 0 && size != e.size && f != nil && !f.whole {
		e.c.removePart(e.c.path(e.d)) // the store has a blob of another size by now
	}
	return size == e.size || size < 0 && f != nil
}

// find opens the whole blob or a part of it.
func (e *entry) find() (*files, int64) {
	path := e.c.path(e.d)
	f, err := os.Open(path)
	if err == nil {
		st, err := f.Stat()
		if err != nil || !st.Mode().IsRegular() || st.Size() == 0 {
			f.Close()
			if err == nil && st.Mode().IsRegular() {
				e.c.remove(path, path+sumsSuffix) // a crash took its bytes
			}
			return nil, 0
		}
		s, size, err := openSums(path+sumsSuffix, os.O_RDONLY)
		if err == nil && size != st.Size() {
			s.f.Close()
			s = nil
		}
		e.c.touch(path, st)
		return &files{f, s, true}, st.Size()
	}
	if !errors.Is(err, fs.ErrNotExist) {
		e.c.log.Warn("cannot read from the cache", "file", path, "error", err)
		return nil, 0
	}
	f, err = os.Open(path + partSuffix)
	if err != nil {
		return nil, 0
	}
	s, size, err := openSums(path+sumsSuffix, os.O_RDONLY)
	st, statErr := f.Stat()
	if err != nil || statErr != nil || st.Size() != size {
		f.Close()
		if err == nil {
			s.f.Close()
		}
		return nil, 0
	}
	e.c.touch(path+partSuffix, st)
	return &files{f, s, false}, size
}

// touch notes that the file was used. The modification time must stay: it is
// part of what tells that a file is the one that was hashed.
func (c *Cache) touch(path string, info fs.FileInfo) {
	atime := time.Unix(info.Sys().(*syscall.Stat_t).Atim.Unix())
	if time.Since(atime) < touchedAfter {
		return
	}
	times := []unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_OMIT}}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, times, 0); err != nil {
		c.log.Debug("cannot note the use of a file in the cache", "file", path, "error", err)
	}
}

// smallSize is up to which size a blob is hashed at once when it is opened: the
// reader hardly feels it.
const smallSize = 4 << 20

// check finds out whether a whole blob is verified, and has it done otherwise.
func (e *entry) check() {
	f := e.files.Load()
	switch {
	case f == nil:
	case f.whole && (e.c.isVerified(e.d, identify(f.data)) || f.sums != nil && f.sums.vouched(identify(f.data))):
		e.verified.Store(true)
	case f.whole && e.size <= smallSize:
		h := sha256.New()
		_, err := io.Copy(h, io.NewSectionReader(f.data, 0, e.size))
		e.finishWhole(f, err == nil && digest.NewDigest(digest.SHA256, h) == e.d)
	case f.whole:
		e.c.hashSoon(e)
	default:
		if _, _, ok := f.sums.get(0, int(blocks(e.size))); ok {
			e.startFilling() // only the last step is to be done
		}
	}
}

func identify(f *os.File) identity {
	info, err := f.Stat()
	if err != nil {
		return identity{}
	}
	st := info.Sys().(*syscall.Stat_t)
	return identity{int64(st.Ino), st.Mtim.Nano(), st.Size}
}

// finishWhole is called when a whole blob that lay there has been hashed.
func (e *entry) finishWhole(f *files, ok bool) {
	if ok {
		e.c.setVerified(e.d, identify(f.data))
		e.verified.Store(true)
		return
	}
	e.c.stats.damaged.Add(1)
	e.c.log.Warn("a blob in the cache is damaged and was dropped: it is read from the store again", "digest", e.d)
	path := e.c.path(e.d)
	if isAt(f.data, path) {
		e.c.remove(path, path+sumsSuffix)
	}
	e.c.retire(e)
}

// readAt fills p, which lies within the blob, and reports whether it could.
func (e *entry) readAt(p []byte, off int64) bool {
	f := e.files.Load()
	if f == nil || e.dead.Load() {
		return false
	}
	if e.verified.Load() {
		n, err := f.data.ReadAt(p, off)
		return n == len(p) && (err == nil || err == io.EOF)
	}
	return f.sums != nil && e.readChecked(f, p, off)
}

// readChecked reads whole blocks and compares them with their checksums.
func (e *entry) readChecked(f *files, p []byte, off int64) bool {
	first := off / block
	n := int((off+int64(len(p))-1)/block - first + 1)
	crcs, _, ok := f.sums.get(first, n)
	if !ok {
		return false
	}
	size := e.size
	buf, start := p, off
	if end := off + int64(len(p)); off%block != 0 || end%block != 0 && end != size {
		start = first * block
		buf = make([]byte, min(int64(n)*block, size-start))
	}
	if _, err := f.data.ReadAt(buf, start); err != nil && err != io.EOF {
		return false
	}
	for i := range n {
		b := buf[i*block:]
		b = b[:min(block, len(b))]
		if crc32.Checksum(b, castagnoli) != crcs[i] {
			e.rotten(f, first+int64(i))
			return false
		}
	}
	if &buf[0] != &p[0] {
		copy(p, buf[off-start:])
	}
	return true
}

// rotten forgets a block that is not what was written. Another process may be
// writing just now, and then only its word counts.
func (e *entry) rotten(f *files, i int64) {
	e.c.stats.damaged.Add(1)
	if f.whole || !e.mu.TryLock() {
		return
	}
	defer e.mu.Unlock()
	if e.startFilling() {
		e.fill.forget(i)
	}
}
