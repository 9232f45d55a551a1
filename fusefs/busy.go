package fusefs

import "sync"

// busyDirs counts the requests under way in each directory. For those the
// kernel holds the directory's lock until we answer, and a notification about a
// name in it waits for that lock in a way that no signal ends: were the process
// killed right then, that one thread would keep the connection open for ever,
// and with it everybody who waits for an answer. So notifications go where
// nothing is under way.
type busyDirs struct {
	mu    sync.Mutex // guards the following
	count map[uint64]int
}

// enter counts a request in the directory; the caller calls leave at its end.
func (b *busyDirs) enter(dir uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.count == nil {
		b.count = map[uint64]int{}
	}
	b.count[dir]++
}

func (b *busyDirs) leave(dir uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.count[dir]--; b.count[dir] == 0 {
		delete(b.count, dir)
	}
}

func (b *busyDirs) has(dir uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count[dir] > 0
}
