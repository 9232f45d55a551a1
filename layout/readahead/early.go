package readahead

import (
	"container/list"
	"time"
)

const (
	// maxEarly is how many files are prefetched and not open at once, and
	// earlyFor how long they wait to be opened.
	maxEarly = 32
	earlyFor = 10 * time.Second

	// maxWhole is how large a file may be to be prefetched whole; of a larger
	// one it is the first minPart.
	maxWhole = 4 << 20
)

// earlyFiles are files that were prefetched and are not open yet.
type earlyFiles struct {
	byPath   map[string]*list.Element
	order    list.List // of earlyFile, the oldest first
	expiring bool      // a timer runs
}

type earlyFile struct {
	f  *File
	at time.Time
}

func (e *earlyFiles) take(path string) *File {
	el := e.byPath[path]
	if el == nil {
		return nil
	}
	return e.remove(el)
}

func (e *earlyFiles) remove(el *list.Element) *File {
	f := e.order.Remove(el).(earlyFile).f
	delete(e.byPath, f.src.path)
	return f
}

func (e *earlyFiles) takeOldest() *File {
	if e.order.Len() == 0 {
		return nil
	}
	return e.remove(e.order.Front())
}

// takeOld takes those that have waited since before then, or all but limit.
func (e *earlyFiles) takeOld(then time.Time, limit int) (old []*File) {
	for el := e.order.Front(); el != nil; el = e.order.Front() {
		if e.order.Len() <= limit && el.Value.(earlyFile).at.After(then) {
			break
		}
		old = append(old, e.remove(el))
	}
	return old
}

func (e *earlyFiles) takeAll() []*File { return e.takeOld(time.Now(), 0) }

func (e *earlyFiles) put(f *File, now time.Time) {
	if e.byPath == nil {
		e.byPath = map[string]*list.Element{}
	}
	e.byPath[f.src.path] = e.order.PushBack(earlyFile{f, now})
}

// Prefetch begins to fetch a file that is likely to be opened next, if there is
// memory that nobody else has a use for. What nobody opens is given up soon.
// It reports whether the file is on its way.
func (p *Pool) Prefetch(path string, size int64) bool {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.early.byPath[path] != nil {
		return true
	}
	old := p.early.takeOld(now.Add(-earlyFor), maxEarly-1)
	defer func() {
		for _, f := range old {
			go f.Close() // takes the lock
		}
	}()
	n := size
	if size > maxWhole {
		n = minPart
	}
	if n == 0 {
		return true // there is nothing to fetch
	}
	if !p.budget.TryAcquire(partMemory(n)) {
		return false
	}
	f := p.open(path, size)
	w := &window{}
	if n < size {
		w.depth = 2 // a reader that has come here in order reads it all
	}
	w.parts = []*part{newPart(f.ctx, f.src, p.budget, 0, n, nil)}
	f.windows = []*window{w}
	p.early.put(f, now)
	if !p.early.expiring {
		p.early.expiring = true
		time.AfterFunc(earlyFor, p.expire)
	}
	return true
}

// expire gives up what nobody has opened in time.
func (p *Pool) expire() {
	p.mu.Lock()
	old := p.early.takeOld(time.Now().Add(-earlyFor), maxEarly)
	p.early.expiring = len(p.early.byPath) > 0
	if p.early.expiring {
		time.AfterFunc(earlyFor/2, p.expire)
	}
	p.mu.Unlock()
	for _, f := range old {
		f.Close()
	}
}
