package fusefs

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
)

// turnover follows the names that change through this mount. An answer to the
// kernel takes as long as the store does, and what was found for it may have
// been replaced when it is given: the kernel would then believe in the old file
// although the writer has been told that there is a new one.
type turnover struct {
	// clock counts all changes. latest is what it was at the latest change of a
	// name, or of another one of the same place in it.
	clock  atomic.Uint64
	latest [1 << 12]atomic.Uint64

	mu    sync.Mutex // guards the following
	names map[staleName]*written
}

// written is a name that drafts are to replace.
type written struct {
	drafts int
	told   []key // of the files that the kernel was told of meanwhile, under this name
}

// maxTold bounds what is remembered of one name.
const maxTold = 64

var turnoverSeed = maphash.MakeSeed()

func (t *turnover) latestOf(n staleName) *atomic.Uint64 {
	h := maphash.String(turnoverSeed, n.name) ^ binary.LittleEndian.Uint64(n.dir[:8])
	return &t.latest[h%uint64(len(t.latest))]
}

// changed is called when n means something else than before.
func (t *turnover) changed(n staleName) {
	t.latestOf(n).Store(t.clock.Add(1))
}

// since reports whether n has changed after the clock was so.
func (t *turnover) since(n staleName, clock uint64) bool {
	return t.latestOf(n).Load() > clock
}

// begin and end enclose the time in which a draft may replace n.
func (t *turnover) begin(n staleName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.names == nil {
		t.names = map[staleName]*written{}
	}
	w := t.names[n]
	if w == nil {
		w = &written{}
		t.names[n] = w
	}
	w.drafts++
}

func (t *turnover) end(n staleName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w := t.names[n]; w != nil {
		if w.drafts--; w.drafts == 0 {
			delete(t.names, n)
		}
	}
}

// replaced is called when n has become the file by. It returns the others that
// the kernel may take it for.
func (t *turnover) replaced(n staleName, by key) []key {
	t.changed(n)
	t.mu.Lock()
	defer t.mu.Unlock()
	w := t.names[n]
	if w == nil {
		return nil
	}
	told := slices.DeleteFunc(w.told, func(k key) bool { return k == by })
	w.told = []key{by}
	return told
}

// tell notes that the kernel is told of a file under a name. If one of those
// noted before has to be left out, it is returned.
func (t *turnover) tell(n staleName, k key) (left key, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := t.names[n]
	if w == nil || slices.Contains(w.told, k) {
		return key{}, false
	}
	if len(w.told) == maxTold {
		left, ok = w.told[0], true
		w.told = w.told[1:]
	}
	w.told = append(w.told, k)
	return left, ok
}

// tell gives the kernel a number for f, which was found under the name when the
// turnover's clock was so, or later. It is nil if the name has changed since.
func (s *fsys) tell(parent *node, name string, f *found, clock uint64) *node {
	at := staleName{parent.key, name}
	if s.turnover.since(at, clock) {
		return nil
	}
	n := s.nodes.add(parent, name, f)
	if left, ok := s.turnover.tell(at, f.key); ok {
		s.notify.moved(left)
	}
	if !s.turnover.since(at, clock) {
		return n
	}
	s.notify.moved(f.key)
	s.nodes.forget(n.id, 1)
	return nil
}
