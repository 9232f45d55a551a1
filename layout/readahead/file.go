package readahead

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
	"time"
)

const (
	maxWindows = 4
	maxRecent  = 8

	// patience is how long what an interrupted read waited for goes on: a signal
	// makes the caller ask again at once.
	patience = 100 * time.Millisecond
)

// File is one open file. Its methods may be called in parallel, but nothing
// after Close.
type File struct {
	pool *Pool
	src  *source
	ctx  context.Context // ends with Close
	stop context.CancelFunc

	last lastRead // guarded by pool.mu

	mu      sync.Mutex // guards the following
	windows []*window  // the last used last
	recent  []span     // reads besides the windows, the newest last
	keep    Keep
	missing func(off, n int64) int64
	reads   int // how many there were
}

// span is the range of a read.
type span struct{ off, end int64 }

// Size is the size of the file.
func (f *File) Size() int64 { return f.src.size }

// Close cancels all that is under way.
func (f *File) Close() error {
	f.stop()
	f.pool.remove(f)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.windows {
		w.drop()
	}
	f.windows = nil
	return nil
}

// ReadAt reads as io.ReaderAt does.
func (f *File) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	v, err := f.View(ctx, p, off)
	defer v.Release()
	return v.CopyTo(p), err
}

// View is ReadAt without a copy where that can be done: the bytes are in p or in
// memory of the File.
func (f *File) View(ctx context.Context, p []byte, off int64) (View, error) {
	if off < 0 {
		return View{}, fmt.Errorf("read %s at %d: %w", f.src.path, off, fs.ErrInvalid)
	}
	if off >= f.src.size {
		return View{}, io.EOF
	}
	var atEnd error
	if rest := f.src.size - off; int64(len(p)) >= rest {
		p, atEnd = p[:rest], io.EOF
	}
	v, err := f.view(ctx, p, off)
	if err == nil {
		err = atEnd
	}
	return v, err
}

// view is View of a range within the file.
func (f *File) view(ctx context.Context, p []byte, off int64) (View, error) {
	end := off + int64(len(p))
	if len(p) == 0 {
		return View{}, nil
	}
	parts := f.find(off, end)
	if parts == nil {
		return f.exact(ctx, p, off)
	}
	var v View
	for _, part := range parts {
		from, to := max(off, part.off), min(end, part.end())
		idle, err := part.wait(ctx, to)
		if err == nil && !part.view(&v, from, to) {
			err = errDropped
		}
		if err == nil {
			continue
		}
		v.Release()
		if idle {
			f.interrupted()
		}
		if errors.Is(err, errDropped) || errors.Is(err, context.Canceled) && ctx.Err() == nil {
			return f.exact(ctx, p, off)
		}
		return View{}, err
	}
	return v, nil
}

// exact is one request for just these bytes.
func (f *File) exact(ctx context.Context, p []byte, off int64) (View, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(f.ctx, cancel)()
	b := buffer{p: p}
	err := f.src.fetch(ctx, off, int64(len(p)), &b)
	if err == nil {
		f.mu.Lock()
		keep := f.keep
		f.mu.Unlock()
		if keep != nil {
			keep(p, off, nil)
		}
	}
	return View{Bytes: [][]byte{p[:b.n]}}, err
}

// find returns the parts that have [off, end), or nil if it is to be read
// exactly.
func (f *File) find(off, end int64) []*part {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	w, new := f.window(off, end)
	if w == nil {
		f.remember(span{off, end})
		return nil
	}
	follows := w.follows(off)
	parts := w.cover(f.ctx, f, off, end)
	if parts == nil {
		return nil
	}
	f.pool.used(f)
	if !follows { // a look at what is held, not a way to go on
		return parts
	}
	starved := slices.ContainsFunc(parts, func(p *part) bool { return !p.isThere(min(end, p.end())) })
	if starved && end > w.pos && (!new || off == 0 && end >= firstPart) {
		most, _ := f.pool.delay.parts()
		w.deepen(most)
	}
	w.read += end - off
	w.pos = max(w.pos, end)
	w.advance()
	w.extend(f.ctx, f)
	return parts
}

// window returns the window that the read belongs to, a new one if it begins
// one, or nil.
func (f *File) window(off, end int64) (w *window, new bool) {
	i := lastIndex(f.windows, func(w *window) bool { return w.takes(off) && w.follows(off) })
	if i < 0 {
		i = lastIndex(f.windows, func(w *window) bool { return w.takes(off) })
	}
	if i >= 0 {
		w := f.windows[i]
		f.windows = slices.Delete(f.windows, i, i+1)
		if w.isSparse() {
			w.drop()
			return nil, false
		}
		f.windows = append(f.windows, w)
		return w, false
	}
	start := off
	if off > 0 {
		i := slices.IndexFunc(f.recent, func(s span) bool {
			return off >= s.end && off-s.end < end-off || end == s.off
		})
		if i < 0 {
			return nil, false
		}
		start = min(off, f.recent[i].off)
		f.recent = slices.Delete(f.recent, i, i+1)
	}
	if len(f.windows) == maxWindows {
		f.windows[0].drop()
		f.windows = f.windows[1:]
	}
	w = &window{start: start, pos: off}
	f.windows = append(f.windows, w)
	return w, true
}

// lastIndex finds the window used last: of two at the same place the other one
// must not be kept going.
func lastIndex(windows []*window, is func(*window) bool) int {
	for i, w := range slices.Backward(windows) {
		if is(w) {
			return i
		}
	}
	return -1
}

// Covers reports whether the range is held or coming, so that reading it is no
// request more.
func (f *File) Covers(off, n int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.windows, func(w *window) bool {
		return len(w.parts) > 0 && off >= w.low() && off+n <= w.end()
	})
}

// Missing tells File what is worth fetching ahead: missing is how many of n bytes
// from off on cannot be had elsewhere, up to the first that can.
func (f *File) Missing(missing func(off, n int64) int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.missing = missing
}

// wanted is how much of a part is to be fetched. The caller holds f.mu.
func (f *File) wanted(off, n int64) int64 {
	if f.missing == nil {
		return n
	}
	return f.missing(off, n)
}

// Expect says that what was read elsewhere ended at off: a read there goes on
// with it, and begins a window.
func (f *File) Expect(off int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.remember(span{off, off})
}

func (f *File) remember(s span) {
	f.recent = append(f.recent, s)
	if len(f.recent) > maxRecent {
		f.recent = f.recent[1:]
	}
}

// demand makes a part that a reader waits for, or nil if there is no memory.
func (f *File) demand(ctx context.Context, off, n int64) *part {
	if !f.pool.budget.Demand(partMemory(n)) {
		return nil
	}
	return newPart(ctx, f.src, f.pool.budget, off, n, f.keep)
}

// interrupted cancels what is under way if nobody reads any more.
func (f *File) interrupted() {
	f.mu.Lock()
	seen := f.reads
	f.mu.Unlock()
	time.AfterFunc(patience, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.reads != seen {
			return
		}
		for _, w := range f.windows {
			w.cancel()
		}
	})
}

// shrink gives back up to n bytes that nobody waits for. A file that is just
// being read keeps what it has; it may be the one that asks.
func (f *File) shrink(n int64) (freed int64) {
	if !f.mu.TryLock() {
		return 0
	}
	defer f.mu.Unlock()
	for _, w := range f.windows {
		if freed < n {
			freed += w.shrink(n - freed)
		}
	}
	return freed
}

// Keep is given bytes of a file and must not take long. It calls release when it
// does not need them any more; if that is nil, they are the reader's and p is not
// to be held on to.
type Keep func(p []byte, off int64, release func())

// Keep hands all that is fetched to keep, once, in pieces of any order. What has
// been fetched already comes first.
func (f *File) Keep(keep Keep) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keep = keep
	for _, w := range f.windows {
		for _, p := range w.parts {
			p.setKeep(keep)
		}
	}
}
