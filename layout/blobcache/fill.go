package blobcache

import (
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/opencontainers/go-digest"
)

// filling is the right to write a blob's .part: its lock is held. What is in it
// is guarded by the entry's lock.
type filling struct {
	size    int64
	part    *os.File
	sums    *sums // nil for a blob of one block
	present []bool
	missing int64
	prefix  int64           // how many blocks are there from the first on
	edges   map[int64]*edge // blocks of which some is known
}

// edge is the bytes lo to hi of a block.
type edge struct {
	buf    []byte
	lo, hi int64
}

// maxEdges bounds what lies between pieces that did not end where blocks do.
const maxEdges = 8

// edgeBuffers is memory for edges, of *[block]byte: pieces that do not end where
// blocks do make two each.
var edgeBuffers = sync.Pool{New: func() any { return new([block]byte) }}

func (b *edge) free() { edgeBuffers.Put((*[block]byte)(b.buf[:block])) }

func (f *filling) dropEdges() {
	for _, b := range f.edges {
		b.free()
	}
	clear(f.edges)
}

func (f *filling) close() {
	f.dropEdges()
	f.part.Close() // what it lost is found by the checksums
	if f.sums != nil {
		f.sums.f.Close()
	}
}

// forget takes a block for absent.
func (f *filling) forget(i int64) {
	if !f.present[i] {
		return
	}
	f.present[i] = false
	f.missing++
	f.prefix = min(f.prefix, i)
	if f.sums != nil {
		f.sums.clear(i) // else it is found to be wrong again
	}
}

// startFilling takes the right to write, and makes or goes on with the .part.
// e.mu is held.
func (e *entry) startFilling() bool {
	if e.fill != nil || e.sealed.Load() {
		return e.fill != nil
	}
	fill, err := e.lockPart()
	if fill == nil {
		e.sealed.Store(true)
		if err != nil {
			e.c.failed(err)
		}
		return false
	}
	e.fill = fill
	if fill.missing == 0 {
		e.c.hashSoon(e)
	}
	return true
}

// lockPart answers nil and no error if it is not for us to fill the blob.
func (e *entry) lockPart() (*filling, error) {
	have := e.files.Load()
	if e.size > e.c.limit/2 || have != nil && have.whole {
		return nil, nil
	}
	path := e.c.path(e.d)
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	part, err := os.OpenFile(path+partSuffix, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	fill := &filling{size: e.size, part: part, edges: map[int64]*edge{}}
	if !tryLock(part) || !isAt(part, path+partSuffix) {
		part.Close()
		return nil, nil
	}
	if _, err := os.Lstat(path); err == nil {
		os.Remove(path + partSuffix) // another process has just made the blob whole
		part.Close()
		return nil, nil
	}
	if have != nil && !isAt(have.data, path+partSuffix) {
		part.Close()
		return nil, nil // what we read from was evicted: the next open starts anew
	}
	if err := fill.load(path); err != nil {
		fill.close()
		return nil, err
	}
	if have == nil && fill.sums != nil {
		f, _ := e.find()
		e.files.Store(f)
	}
	return fill, nil
}

// load finds out what is there, or begins with nothing.
func (f *filling) load(path string) error {
	n := blocks(f.size)
	f.present, f.missing = make([]bool, n), n
	info, err := f.part.Stat()
	if err != nil {
		return err
	}
	if n > 1 {
		s, size, err := openSums(path+sumsSuffix, os.O_RDWR)
		if err == nil && size == f.size && info.Size() == f.size {
			f.sums = s
			_, f.present, _ = s.get(0, int(n))
			for _, ok := range f.present {
				if ok {
					f.missing--
				}
			}
			f.advance()
			return nil
		}
		if err == nil {
			s.f.Close()
		}
		if f.sums, err = createSums(path+sumsSuffix, f.size); err != nil {
			return err
		}
	}
	return errors.Join(f.part.Truncate(0), f.part.Truncate(f.size))
}

func (f *filling) advance() {
	for f.prefix < int64(len(f.present)) && f.present[f.prefix] {
		f.prefix++
	}
}

// keep writes what is missing of the blocks in p, and remembers the rest for a
// moment.
func (e *entry) keep(p []byte, off int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if off+int64(len(p)) > e.size || e.dead.Load() || !e.startFilling() {
		return
	}
	run := 0 // how much of p's beginning is whole missing blocks
	for run < len(p) {
		i := (off + int64(run)) / block
		whole := (off+int64(run))%block == 0 && int64(len(p)-run) >= blockSize(i, e.size)
		if whole && !e.fill.present[i] {
			run += int(blockSize(i, e.size))
			continue
		}
		if run > 0 {
			e.put(p[:run], off/block)
			p, off, run = p[run:], off+int64(run), 0
		}
		n := min(len(p), int((i+1)*block-off))
		if e.fill != nil && !e.fill.present[i] {
			e.keepEdge(p[:n], off)
		}
		if e.fill == nil {
			return
		}
		p, off = p[n:], off+int64(n)
	}
	if run > 0 {
		e.put(p, off/block)
	}
}

// keepEdge remembers a part of a block, and writes the block with its last part.
func (e *entry) keepEdge(p []byte, off int64) {
	i := off / block
	lo := off % block
	hi := lo + int64(len(p))
	b := e.fill.edges[i]
	switch {
	case b == nil && len(e.fill.edges) >= maxEdges:
		e.fill.dropEdges() // nobody came to complete them
		fallthrough
	case b == nil:
		b = &edge{edgeBuffers.Get().(*[block]byte)[:blockSize(i, e.size)], lo, hi}
		e.fill.edges[i] = b
	case lo > b.hi || hi < b.lo:
		b.lo, b.hi = lo, hi // a gap between the two: the newer counts
	default:
		b.lo, b.hi = min(b.lo, lo), max(b.hi, hi)
	}
	copy(b.buf[lo:], p)
	if b.lo == 0 && b.hi == int64(len(b.buf)) {
		delete(e.fill.edges, i)
		e.put(b.buf, i)
		b.free()
	}
}

// put writes whole blocks from the first on.
func (e *entry) put(p []byte, first int64) {
	if !e.c.take(int64(len(p))) {
		e.c.stats.dropped.Add(int64(len(p)))
		return
	}
	f := e.fill
	if _, err := f.part.WriteAt(p, first*block); err != nil {
		e.c.failed(err)
		return
	}
	var crcs []uint32
	for rest := p; len(rest) > 0; rest = rest[min(block, len(rest)):] {
		crcs = append(crcs, crc32.Checksum(rest[:min(block, len(rest))], castagnoli))
	}
	if f.sums != nil {
		if err := f.sums.set(first, crcs); err != nil {
			e.c.failed(err)
			return
		}
	}
	for i := range crcs {
		f.present[first+int64(i)] = true
	}
	f.missing -= int64(len(crcs))
	f.advance()
	e.c.stats.filled.Add(int64(len(p)))
	switch {
	case f.sums == nil:
		e.finish(digest.SHA256.FromBytes(p) == e.d)
	case f.missing == 0 || f.prefix*block-e.hashed.Load() >= hashAhead:
		e.c.hashSoon(e)
	}
}

// finish is called when all blocks are there and were hashed. e.mu is held.
func (e *entry) finish(ok bool) {
	path := e.c.path(e.d)
	if !ok {
		if e.mend() {
			return
		}
		if e.fill.sums != nil && !e.twice {
			e.twice = true // a block may have been replaced after it was hashed
			e.c.hashSoon(e)
			return
		}
		e.c.log.Error("the store sends other bytes than the digest names: the blob is not kept, and reading it fails for a while",
			"digest", e.d, "for", badFor)
		e.c.stats.bad.Add(1)
		e.c.retire(e)
		e.c.setBad(e.d)
		e.c.remove(path+partSuffix, path+sumsSuffix)
		e.stopFilling()
		return
	}
	if err := os.Rename(path+partSuffix, path); err != nil {
		e.stopFilling()
		e.c.failed(err)
		return
	}
	e.c.setVerified(e.d, identify(e.fill.part))
	if e.files.Load() == nil { // a blob of one block
		f, _ := e.find()
		e.files.Store(f)
	}
	e.verified.Store(e.files.Load() != nil)
	e.stopFilling()
}

// mend forgets the blocks that are no longer what the store sent, and reports
// whether there were any.
func (e *entry) mend() bool {
	f := e.fill
	if f.sums == nil {
		return false
	}
	crcs, have, _ := f.sums.get(0, len(f.present))
	buf := make([]byte, block)
	found := false
	for i := range crcs {
		b := buf[:blockSize(int64(i), f.size)]
		if _, err := f.part.ReadAt(b, int64(i)*block); err != nil && err != io.EOF ||
			!have[i] || crc32.Checksum(b, castagnoli) != crcs[i] {
			f.forget(int64(i))
			e.c.stats.damaged.Add(1)
			found = true
		}
	}
	return found
}

// stopFilling gives the lock back. e.mu is held.
func (e *entry) stopFilling() {
	e.sealed.Store(true)
	if e.fill != nil {
		e.fill.close()
		e.fill = nil
	}
}
