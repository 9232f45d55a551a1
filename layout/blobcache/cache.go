package blobcache

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
)

// Cache is the blobs of one directory. A nil Cache keeps nothing. It is safe for
// parallel use.
type Cache struct {
	root  string
	limit int64 // bytes
	log   *slog.Logger
	stats counters
	usage usage

	free    chan struct{} // one for each buffer that nobody has
	buffers sync.Pool     // of *[queueBuffer]byte
	pieces  chan piece

	borrowed, mostBorrowed atomic.Int64 // bytes

	done sync.WaitGroup
	stop chan struct{} // closed by Close
	turn chan struct{} // of what fetches again

	mu       sync.Mutex // guards the following
	entries  map[digest.Digest]*entry
	verified map[digest.Digest]identity // whole blobs that were hashed in this process
	bad      map[digest.Digest]time.Time
	hashing  []*entry // waiting for the worker
	worker   bool
	came     time.Time // when a piece came last
	closed   bool
}

// identity tells a file from one that took its place.
type identity struct {
	ino, mtime, size int64
}

// Open makes the directory when it is absent and opens the cache in it, which
// may have size bytes, what is there already included. log may be nil.
func Open(dir string, size int64, log *slog.Logger) (*Cache, error) {
	if size <= 0 {
		return nil, fmt.Errorf("cache of %d bytes: it needs room for a blob", size)
	}
	root, err := prepare(dir)
	if err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(root, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the cache directory: %w: %s", err, remedy)
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &Cache{
		root:     root,
		limit:    size,
		log:      log,
		free:     make(chan struct{}, queueBuffers),
		pieces:   make(chan piece, queueBuffers+mostLoans),
		stop:     make(chan struct{}),
		turn:     make(chan struct{}, 1),
		entries:  map[digest.Digest]*entry{},
		verified: map[digest.Digest]identity{},
		bad:      map[digest.Digest]time.Time{},
	}
	c.usage.lock = lock
	c.buffers.New = func() any { return new([queueBuffer]byte) }
	for range queueBuffers {
		c.free <- struct{}{}
	}
	c.done.Add(1)
	go c.write()
	return c, nil
}

// Close writes what was read so far and ends all work in the background. Blobs
// that are open can still be read.
func (c *Cache) Close() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	c.mu.Unlock()
	close(c.stop)
	c.done.Wait()
	return c.usage.lock.Close()
}

// Blob opens a blob for reading and filling. A size of -1 is for whoever does
// not know it: then the answer is nil unless some of it is here. It is nil also
// for a blob that cannot be kept, or of which there is another size here.
func (c *Cache) Blob(d digest.Digest, size int64) *Blob {
	if c == nil || size == 0 || d.Algorithm() != digest.SHA256 || d.Validate() != nil {
		return nil
	}
	e := c.entry(d)
	ok := e.open(size)
	if e.dead.Load() { // it was damaged: there is nothing yet
		c.release(e)
		e = c.entry(d)
		ok = e.open(size)
	}
	if !ok {
		c.release(e)
		return nil
	}
	return &Blob{e: e}
}

// Has reports whether the whole blob seems to be here, without opening it.
func (c *Cache) Has(d digest.Digest) bool {
	if c == nil || d.Algorithm() != digest.SHA256 || d.Validate() != nil {
		return false
	}
	_, err := os.Lstat(c.path(d))
	return err == nil
}

func (c *Cache) entry(d digest.Digest) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[d]
	if e == nil {
		e = &entry{c: c, d: d, size: -1}
		c.entries[d] = e
	}
	e.refs++
	return e
}

// Bad reports whether the store has lately sent other bytes than the digest
// names: what is read of that blob is not to be trusted.
func (c *Cache) Bad(d digest.Digest) bool {
	if c == nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	until, ok := c.bad[d]
	if ok && time.Now().After(until) {
		delete(c.bad, d)
		ok = false
	}
	return ok
}

// Replaced tells that the blob has been written to the store again.
func (c *Cache) Replaced(d digest.Digest) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.bad, d)
}

const (
	badFor       = 20 * time.Second
	manyEntries  = 1 << 16
	touchedAfter = time.Minute
)

func (c *Cache) setBad(d digest.Digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.bad) >= manyEntries {
		clear(c.bad)
	}
	c.bad[d] = time.Now().Add(badFor)
}

func (c *Cache) setVerified(d digest.Digest, id identity) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.verified) >= manyEntries {
		clear(c.verified) // they are hashed once more
	}
	c.verified[d] = id
}

func (c *Cache) isVerified(d digest.Digest, id identity) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.verified[d]
	return ok && known == id
}

// release closes the entry when nobody uses it any more. Its files are closed
// with the lock held, so that whoever opens the blob next can have its lock.
func (c *Cache) release(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.refs--; e.refs > 0 || c.refetch(e) {
		return
	}
	if c.entries[e.d] == e {
		delete(c.entries, e.d)
	}
	e.close()
}

// retire makes the next Blob start anew. Who has the entry keeps it, and finds
// nothing more in it.
func (c *Cache) retire(e *entry) {
	e.dead.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries[e.d] == e {
		delete(c.entries, e.d)
	}
	delete(c.verified, e.d)
}
