package readahead

import (
	"context"
	"slices"
)

const (
	// slack is how far a read may be from the last one and still belong to the
	// window: the kernel's read-ahead comes in parallel and out of order.
	slack = 2 << 20

	// firstPart is the least that is fetched for a window; a reader that asks
	// for bulk at once gets a minPart.
	firstPart = 128 << 10
	minPart   = 1 << 20

	// maxParts is how many are fetched at once, of up to maxPart. All of them come
	// side by side, so that larger ones take as much more memory.
	maxParts = 16
	maxPart  = 8 << 20

	// Of a store that is near two keep any reader busy. Each comes so soon that what
	// a request costs besides its bytes would count in a smaller one.
	nearParts = 2
	nearPart  = 16 << 20
)

// window is a place in a file from which on it is read in order.
type window struct {
	start int64   // where it began
	pos   int64   // end of the furthest read
	read  int64   // bytes, of all reads
	depth int     // how many parts are fetched ahead of pos
	parts []*part // by offset
}

// low and end are the bounds of what is held or coming.
func (w *window) low() int64 {
	if len(w.parts) == 0 {
		return w.pos
	}
	return w.parts[0].low()
}

func (w *window) end() int64 {
	if len(w.parts) == 0 {
		return w.pos
	}
	return w.parts[len(w.parts)-1].end()
}

// follows reports whether a read at off goes on with the window: the further it
// has come, the larger a step is taken for one on the way.
func (w *window) follows(off int64) bool {
	return off <= w.pos+min(slack, w.pos-w.start)
}

// takes reports whether a read at off is for the window to answer.
func (w *window) takes(off int64) bool {
	return off >= w.low() && (off < w.end() || w.follows(off))
}

// isSparse reports whether the reader leaves out more than it reads: then what
// lies between is not worth fetching.
func (w *window) isSparse() bool {
	return w.pos-w.start > 2*w.read+slack
}

// partSize grows with the way that the reader has come.
func (w *window) partSize(most int64) int64 {
	size := int64(minPart)
	for size < most && size*4 <= w.pos-w.start {
		size *= 2
	}
	return size
}

// deepen is called when the reader has to wait. most is how many parts may be
// fetched at once.
func (w *window) deepen(most int) {
	w.depth = max(w.depth, min(most, max(1, 4*w.depth)))
}

// cover returns the parts that have [off, end), making those that are missing,
// or nil if there is no memory or the bytes are gone. The caller holds f.mu.
func (w *window) cover(ctx context.Context, f *File, off, end int64) []*part {
	var parts []*part
	i := 0
	for x := off; x < end; {
		for i < len(w.parts) && w.parts[i].end() <= x {
			i++
		}
		if i < len(w.parts) && w.parts[i].failed() {
			if x < w.parts[i].off {
				return nil
			}
			again := f.demand(ctx, x, w.parts[i].end()-x)
			if again == nil {
				return nil
			}
			w.parts[i].drop()
			w.parts[i] = again
		}
		if i == len(w.parts) {
			p := w.demandNext(ctx, f, x, end)
			if p == nil {
				return nil
			}
			w.parts = append(w.parts, p)
		}
		p := w.parts[i]
		if x < p.low() {
			return nil
		}
		parts = append(parts, p)
		x = p.end()
	}
	return parts
}

// demandNext makes a part at the end of the window, which a reader waits for:
// it has the bytes up to end, and more if there is memory for it.
func (w *window) demandNext(ctx context.Context, f *File, off, end int64) *part {
	need := end - off
	want := roundUp(need, firstPart)
	bulk := w.depth > 0 || need >= firstPart
	if bulk {
		_, most := f.pool.delay.parts()
		want = max(want, w.partSize(most))
	}
	if rest := f.src.size - off; want > rest || bulk && rest-want < minPart/2 {
		want = rest // rather than another request for so little
	}
	want = max(need, f.wanted(off, want))
	if p := f.demand(ctx, off, want); p != nil || want == need {
		return p
	}
	return f.demand(ctx, off, need)
}

// extend begins parts ahead of the reader, as far as there is memory.
func (w *window) extend(ctx context.Context, f *File) {
	if w.depth == 0 {
		return
	}
	share := f.pool.share(f)
	most, largest := f.pool.delay.parts()
	size := min(w.partSize(largest), max(minPart, share/int64(most)/minPart*minPart))
	ahead := min(int64(min(w.depth, most))*size, share, 4*(w.pos-w.start)+4*minPart)
	limit := min(f.src.size, w.pos+ahead)
	running := 0
	for _, p := range w.parts {
		if p.isRunning() {
			running++
		}
	}
	for off := w.end(); off < limit && running < most; off = w.end() {
		n := min(size, f.src.size-off)
		if rest := f.src.size - off - n; rest < minPart/2 {
			n += rest // rather than another request for so little
		}
		n = f.wanted(off, n)
		if n == 0 || !f.pool.budget.TryAcquire(partMemory(n)) {
			return
		}
		w.parts = append(w.parts, newPart(ctx, f.src, f.pool.budget, off, n, f.keep))
		running++
	}
}

// advance gives back what lies well behind the reader.
func (w *window) advance() {
	behind := w.pos - slack
	for len(w.parts) > 0 && w.parts[0].end() <= behind {
		w.parts[0].drop()
		w.parts = w.parts[1:]
	}
	if len(w.parts) > 0 {
		w.parts[0].freeBefore(behind)
	}
}

// shrink gives back up to n bytes, the furthest first, but no part that a read
// waits for, nor any before such a one.
func (w *window) shrink(n int64) (freed int64) {
	for freed < n && len(w.parts) > 0 {
		last := w.parts[len(w.parts)-1]
		if last.hasWaiters() {
			break
		}
		freed += last.drop()
		w.parts = w.parts[:len(w.parts)-1]
	}
	return freed
}

// cancel drops what is still coming, if no read waits for any of it.
func (w *window) cancel() {
	i := slices.IndexFunc(w.parts, (*part).isRunning)
	if i < 0 || slices.ContainsFunc(w.parts, (*part).hasWaiters) {
		return
	}
	for _, p := range w.parts[i:] {
		p.drop()
	}
	w.parts = w.parts[:i]
}

func (w *window) drop() {
	for _, p := range w.parts {
		p.drop()
	}
	w.parts = nil
}

func roundUp(n, to int64) int64 { return (n + to - 1) / to * to }
