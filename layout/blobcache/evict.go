package blobcache

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// usage is how much room there is. Others write to the same directory, so what
// was counted is counted again when as much as a sixteenth of the cache has been
// added.
type usage struct {
	lock *os.File // held while something is evicted

	mu        sync.Mutex // guards the following
	used      int64      // bytes
	added     int64      // since used was counted
	spare     int64      // what the disk has to give
	spareAt   time.Time
	fullUntil time.Time
}

const (
	countAfter  = 16              // parts of the cache
	leftFree    = 20              // parts of the disk
	evictTo     = 10              // parts of the cache that are freed at once
	spareFor    = 2 * time.Second // how long the disk's figures are believed
	fullFor     = 10 * time.Second
	leftoverAge = time.Minute
)

// take reserves n bytes, and evicts to have them.
func (c *Cache) take(n int64) bool {
	n = (n + 4095) &^ 4095
	u := &c.usage
	u.mu.Lock()
	defer u.mu.Unlock()
	if time.Now().Before(u.fullUntil) {
		return false
	}
	if u.added > c.limit/countAfter {
		c.list()
	}
	c.lookAtDisk()
	if limit := min(c.limit, u.used+u.spare); u.used+n > limit {
		if limit > n { // else all we have would not free the disk
			c.evict(limit - limit/evictTo - n)
			c.lookAtDisk()
		}
		if u.used+n > min(c.limit, u.used+u.spare) {
			// What is there is being filled, or somebody else is evicting.
			u.fullUntil = time.Now().Add(fullFor / 20)
			return false
		}
	}
	u.used += n
	u.added += n
	u.spare -= n
	return true
}

// isFull reports whether take has failed a moment ago, or writing has.
func (c *Cache) isFull() bool {
	c.usage.mu.Lock()
	defer c.usage.mu.Unlock()
	return time.Now().Before(c.usage.fullUntil)
}

// count counts what is there, removes what processes that ended badly have left,
// and evicts what a larger cache had room for.
func (c *Cache) count() {
	c.usage.mu.Lock()
	defer c.usage.mu.Unlock()
	c.list()
	if c.usage.used > c.limit {
		c.evict(c.limit - c.limit/evictTo)
	}
}

// lookAtDisk finds out how much more may be written. u.mu is held.
func (c *Cache) lookAtDisk() {
	u := &c.usage
	if time.Since(u.spareAt) < spareFor {
		return
	}
	var st unix.Statfs_t
	if err := unix.Statfs(c.root, &st); err != nil {
		c.log.Debug("cannot see how full the cache's disk is", "error", err)
		u.spare, u.spareAt = c.limit, time.Now()
		return
	}
	u.spare = (int64(st.Bavail) - int64(st.Blocks)/leftFree) * st.Bsize
	u.spareAt = time.Now()
}

// failed notes an error of writing: nothing more is written for a while.
func (c *Cache) failed(err error) {
	c.stats.failures.Add(1)
	u := &c.usage
	u.mu.Lock()
	defer u.mu.Unlock()
	u.spareAt = time.Time{}
	if time.Now().Before(u.fullUntil) {
		return
	}
	u.fullUntil = time.Now().Add(fullFor)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		c.log.Debug("no room for the cache", "error", err)
		return
	}
	c.log.Warn("cannot write to the cache", "error", err)
}

// kept is a blob on disk, as a listing shows it.
type kept struct {
	path string // without suffixes
	part bool
	size int64 // of all its files, as they lie on the disk
	used time.Time
}

// mostListed is how many blobs a list has: there may be millions, of a few bytes
// each. It is a variable for the tests.
var mostListed = 1 << 16

// list counts what is there and returns the longest unused, in that order: all of
// it, or as many as are to be held in memory. u.mu is held.
func (c *Cache) list() []kept {
	var all []kept
	u := &c.usage
	shards, _ := filepath.Glob(filepath.Join(c.root, string(digest.SHA256), "??"))
	u.used, u.added = 0, 0
	for _, shard := range shards {
		for _, k := range c.listShard(shard) {
			u.used += k.size
			all = append(all, k)
		}
		if len(all) > 2*mostListed {
			all = longestUnused(all)
		}
	}
	return longestUnused(all)
}

// longestUnused sorts the blobs and leaves out those beyond mostListed.
func longestUnused(all []kept) []kept {
	slices.SortFunc(all, func(a, b kept) int { return a.used.Compare(b.used) })
	n := min(len(all), mostListed)
	clear(all[n:])
	return all[:n]
}

func (c *Cache) listShard(dir string) []kept {
	names, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.log.Warn("cannot list the cache", "error", err)
	}
	var out []kept
	for i := 0; i < len(names); {
		// The files of one blob follow each other: <hex>, <hex>.map, <hex>.part.
		hex, _, _ := strings.Cut(names[i].Name(), ".")
		k := kept{path: filepath.Join(dir, hex)}
		var whole, part, sums fs.FileInfo
		for ; i < len(names); i++ {
			base, suffix, dot := strings.Cut(names[i].Name(), ".")
			if base != hex {
				break
			}
			info, err := names[i].Info()
			if err != nil {
				continue // it has just gone
			}
			k.size += room(info.Sys().(*syscall.Stat_t))
			switch {
			case !dot:
				whole = info
			case "."+suffix == partSuffix:
				part = info
			case "."+suffix == sumsSuffix:
				sums = info
			}
		}
		switch {
		case whole != nil:
			k.used = lastUse(whole)
		case part != nil && sums == nil:
			c.removePart(k.path) // without checksums it is good for nothing
			continue
		case part != nil:
			k.part, k.used = true, lastUse(part)
		case sums != nil && time.Since(sums.ModTime()) > leftoverAge:
			c.remove(k.path + sumsSuffix)
			continue
		default:
			continue
		}
		out = append(out, k)
	}
	return out
}

func lastUse(info fs.FileInfo) time.Time {
	atime := time.Unix(info.Sys().(*syscall.Stat_t).Atim.Unix())
	if atime.Before(info.ModTime()) {
		return info.ModTime()
	}
	return atime
}

// evict removes what was not used for longest until no more than target bytes
// are used. u.mu is held.
func (c *Cache) evict(target int64) {
	u := &c.usage
	if !tryLock(u.lock) {
		return // another process is at it
	}
	defer unix.Flock(int(u.lock.Fd()), unix.LOCK_UN)
	for _, k := range c.list() {
		if u.used <= target {
			break
		}
		if k.part && !c.removePart(k.path) {
			continue
		}
		if !k.part {
			c.remove(k.path, k.path+sumsSuffix)
		}
		u.used -= k.size
		c.stats.evicted.Add(1)
		c.stats.evictedBytes.Add(k.size)
	}
	u.spareAt = time.Time{}
}

// removePart removes an unfinished blob unless it is being written.
func (c *Cache) removePart(path string) bool {
	f, err := os.Open(path + partSuffix)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	defer f.Close()
	if !tryLock(f) || !isAt(f, path+partSuffix) {
		return false
	}
	c.remove(path+partSuffix, path+sumsSuffix)
	return true
}

func (c *Cache) remove(paths ...string) {
	for _, path := range paths {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.log.Warn("cannot remove from the cache", "error", err)
		}
	}
}
