package ahead

import (
	"sort"
	"time"
)

// changes are the paths written lately. A page tells nothing about one whose
// write had not ended when its request began. The Driver's lock guards them.
type changes struct {
	paths []string // sorted
	of    map[string]*change
}

type change struct {
	running int       // writes under way
	ended   time.Time // the last one
	seen    time.Time // when the store was asked last, and had it
}

// maxChanges is how many are kept before it is simpler to forget what was read.
const maxChanges = 1024

func (c *changes) begin(path string) {
	if ch := c.of[path]; ch != nil {
		ch.running++
		return
	}
	if c.of == nil {
		c.of = map[string]*change{}
	}
	c.of[path] = &change{running: 1}
	i := sort.SearchStrings(c.paths, path)
	c.paths = append(c.paths, "")
	copy(c.paths[i+1:], c.paths[i:])
	c.paths[i] = path
}

func (c *changes) end(path string, now time.Time) {
	ch := c.of[path]
	ch.running--
	ch.ended = now
}

// seen notes that the store had what was written.
func (c *changes) seen(path string, asked time.Time) {
	if ch := c.of[path]; ch != nil {
		ch.seen = asked
	}
}

// holds reports whether one of the first files that were written between the keys
// has been seen since then, and since.
func (c *changes) holds(low, high string, since time.Time) bool {
	const tries = 8
	i := sort.SearchStrings(c.paths, low)
	for _, path := range c.paths[i:min(i+tries, len(c.paths))] {
		if path >= high {
			break
		}
		if seen := c.of[path].seen; seen.After(since) && !c.at(path, seen) {
			return true
		}
	}
	return false
}

// clear forgets the writes that have ended: nothing older than them is left.
func (c *changes) clear() {
	kept := c.paths[:0]
	for _, path := range c.paths {
		if c.of[path].running > 0 {
			kept = append(kept, path)
			continue
		}
		delete(c.of, path)
	}
	c.paths = kept
}

func (c *change) hides(asked time.Time) bool {
	return c.running > 0 || !asked.After(c.ended)
}

// at reports whether what was asked then tells nothing about path itself: it,
// or a directory it is in, was written.
func (c *changes) at(path string, asked time.Time) bool {
	if len(c.paths) == 0 {
		return false
	}
	for {
		if ch := c.of[path]; ch != nil && ch.hides(asked) {
			return true
		}
		if path == "/" {
			return false
		}
		path = parentOf(path)
	}
}

// in is at for path and all that is below it.
func (c *changes) in(path string, asked time.Time) bool {
	if len(c.paths) == 0 {
		return false
	}
	if c.at(path, asked) {
		return true
	}
	low, high := bounds(path)
	for i := sort.SearchStrings(c.paths, low); i < len(c.paths) && c.paths[i] < high; i++ {
		if c.of[c.paths[i]].hides(asked) {
			return true
		}
	}
	return false
}
