package blobcache

import (
	"crypto/sha256"
	"errors"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

const (
	// hashAhead is how many bytes wait to be hashed before the worker is told.
	hashAhead = 4 << 20

	// The worker leaves the processor to readers until nothing has come for them
	// for quiet, but no longer than patience, and not if so many blobs wait.
	quiet       = 50 * time.Millisecond
	patience    = 2 * time.Second
	mostWaiting = 16
)

// hashSoon has what is there of a blob hashed in the background. Its verdict
// comes when that is all of it.
func (c *Cache) hashSoon(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || slices.Contains(c.hashing, e) {
		return
	}
	e.refs++
	c.hashing = append(c.hashing, e)
	if !c.worker {
		c.worker = true
		c.done.Add(1)
		go c.hashAll()
	}
}

// hashAll ends with the last blob, and its thread with it: a priority once
// lowered cannot be raised again.
func (c *Cache) hashAll() {
	defer c.done.Done()
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 10) // of this thread; else it is only less polite
	buf := make([]byte, queueBuffer)
	for {
		c.mu.Lock()
		if len(c.hashing) == 0 {
			c.worker = false
			c.mu.Unlock()
			return
		}
		e := c.hashing[0]
		c.hashing = c.hashing[1:]
		c.mu.Unlock()
		c.awaitQuiet()
		e.hashOn(buf)
		e.vouch()
		c.release(e)
	}
}

// awaitQuiet returns when it is time to hash.
func (c *Cache) awaitQuiet() {
	tick := time.NewTicker(quiet / 2)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		c.mu.Lock()
		now := len(c.hashing) >= mostWaiting || time.Since(c.came) >= quiet
		c.mu.Unlock()
		if now {
			return
		}
		select {
		case <-tick.C:
		case <-c.stop:
			return
		}
	}
}

// hashOn hashes what is there from the beginning on. Only one goroutine does.
func (e *entry) hashOn(buf []byte) {
	f := e.files.Load()
	for f != nil && !e.dead.Load() && !e.verified.Load() {
		end := e.hashable()
		at := e.hashed.Load()
		if e.hash == nil || at > end {
			e.hash, at = sha256.New(), 0
		}
		for at < end {
			select {
			case <-e.c.stop:
				return
			default:
			}
			n, err := f.data.ReadAt(buf[:min(int64(len(buf)), end-at)], at)
			if n == 0 { // the file is shorter than its blob, or cannot be read
				e.c.log.Warn("cannot read from the cache", "digest", e.d, "error", err)
				e.verdict(f, false)
				return
			}
			e.hash.Write(buf[:n])
			at += int64(n)
			e.hashed.Store(at)
		}
		if at == e.size {
			e.verdict(f, digest.NewDigest(digest.SHA256, e.hash) == e.d)
			return
		}
		if e.hashable() <= end {
			return
		}
	}
}

// vouch lets the next process do without hashing what this one has hashed. The
// blob has to be on the disk before that: a crash could take the bytes and leave
// the word.
func (e *entry) vouch() {
	f := e.files.Load()
	if f == nil || f.sums == nil || !e.verified.Load() || f.sums.vouched(identify(f.data)) {
		return
	}
	err := f.data.Sync()
	if err == nil {
		var s *sums
		if s, _, err = openSums(e.c.path(e.d)+sumsSuffix, os.O_RDWR); err == nil {
			err = errors.Join(s.vouch(identify(f.data)), s.f.Close())
		}
	}
	if err != nil {
		e.c.log.Warn("the next process will have to hash a blob of the cache again", "digest", e.d, "error", err)
	}
}

// hashable is how many bytes are there from the beginning on.
func (e *entry) hashable() int64 {
	if f := e.files.Load(); f != nil && f.whole {
		return e.size
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fill == nil {
		return 0
	}
	return min(e.size, e.fill.prefix*block)
}

func (e *entry) verdict(f *files, ok bool) {
	e.hash = nil
	e.hashed.Store(0)
	if f.whole {
		e.finishWhole(f, ok)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fill != nil && (ok || e.fill.missing == 0) {
		e.finish(ok)
	}
}
