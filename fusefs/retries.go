package fusefs

import (
	"sync"
	"time"
)

// retries remembers who was answered with ESTALE a moment ago. The kernel looks
// the name up and tries once more; should the tag have moved again by then, the
// caller gets what was the tag's when it was looked up, and no error.
type retries struct {
	mu   sync.Mutex // guards the following
	last map[uint32]time.Time
}

// retryPatience is how long the second try may take to come, in one system call.
const retryPatience = 100 * time.Millisecond

// first reports whether this is not such a second try.
func (r *retries) first(pid uint32) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for p, t := range r.last {
		if now.Sub(t) > retryPatience {
			delete(r.last, p)
		}
	}
	if _, again := r.last[pid]; again {
		delete(r.last, pid)
		return false
	}
	if r.last == nil {
		r.last = map[uint32]time.Time{}
	}
	r.last[pid] = now
	return true
}

// done ends the try of a caller that has got an answer.
func (r *retries) done(pid uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.last, pid)
}
