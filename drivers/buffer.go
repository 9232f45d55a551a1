package drivers

import "time"

// LargeBuffer is the size, in bytes, from which on Buffer takes memory straight
// from the system, in huge pages where it has them: the processor has thousands
// of pages fewer to make for a large transfer, which on virtual machines costs
// more than the transfer itself.
const LargeBuffer = 2 << 20

// coolAfter is how long a buffer is not used before its memory goes back to the
// system.
const coolAfter = time.Second

// buffers are those of LargeBuffer and more that nobody uses, by size. The last
// ones were used last; the first ones may have no memory.
type buffers struct {
	free    map[int64]*freeBuffers
	warm    int64 // bytes that have memory, of all sizes
	cooling bool  // a timer runs
}

type freeBuffers struct {
	bufs  [][]byte
	cold  int // how many of them, from the first on, have no memory
	least int // how many had memory at least since the timer ran
}

// Buffer is room for n bytes that were taken, of any content. Who is done with it
// calls GiveBack.
func (b *Budget) Buffer(n int64) []byte {
	if n < LargeBuffer {
		return make([]byte, n)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.idle.free[n]
	if f == nil || len(f.bufs) == 0 {
		return mapBuffer(n)
	}
	last := len(f.bufs) - 1
	buf := f.bufs[last]
	f.bufs[last] = nil
	f.bufs = f.bufs[:last]
	if f.cold > last {
		f.cold = last
	} else {
		b.idle.warm -= n
	}
	f.least = min(f.least, last-f.cold)
	return buf
}

// GiveBack is Release of a Buffer, all of it, and of what was taken for it.
func (b *Budget) GiveBack(buf []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := int64(len(buf))
	b.release(n)
	if n < LargeBuffer {
		return
	}
	i := &b.idle
	if i.free == nil {
		i.free = map[int64]*freeBuffers{}
	}
	if i.free[n] == nil {
		i.free[n] = &freeBuffers{}
	}
	f := i.free[n]
	f.bufs = append(f.bufs, buf)
	i.warm += n
	i.cool(b.used + i.warm - b.size)
	if !i.cooling {
		i.cooling = true
		time.AfterFunc(coolAfter, b.cool)
	}
}

// cool gives the memory of up to n bytes back to the system, or of a little more.
func (i *buffers) cool(n int64) {
	for size, f := range i.free {
		for n > 0 && f.cold < len(f.bufs) {
			i.coolOne(f)
			n -= size
		}
	}
}

func (i *buffers) coolOne(f *freeBuffers) {
	buf := f.bufs[f.cold]
	unmapPages(buf)
	f.cold++
	f.least = min(f.least, len(f.bufs)-f.cold)
	i.warm -= int64(len(buf))
}

// cool gives back the memory that nobody has had a use for since it was called
// last.
func (b *Budget) cool() {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := &b.idle
	for _, f := range i.free {
		for range f.least {
			i.coolOne(f)
		}
		f.least = len(f.bufs) - f.cold
	}
	i.cooling = i.warm > 0
	if i.cooling {
		time.AfterFunc(coolAfter, b.cool)
	}
}
