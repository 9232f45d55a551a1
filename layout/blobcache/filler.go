package blobcache

import "time"

// What is read waits to be written: copies in buffers, which are all the memory
// that a Cache takes, and up to some bytes that remain their owner's.
const (
	queueBuffer  = 256 << 10
	queueBuffers = 64

	leastLoan = 64 << 10 // smaller pieces are copied
	mostLoans = 1024
)

// piece is bytes of a blob on their way to the disk.
type piece struct {
	e       *entry
	off     int64
	p       []byte
	release func() // nil for a buffer of ours
}

// Borrow lets so many bytes wait to be written that Keep was lent.
func (c *Cache) Borrow(bytes int64) {
	if c != nil {
		c.mostBorrowed.Store(min(bytes, mostLoans*leastLoan))
	}
}

// borrow takes n bytes on loan if there is room for them in the queue.
func (c *Cache) borrow(n int64) bool {
	if c.borrowed.Add(n) <= c.mostBorrowed.Load() {
		return true
	}
	c.borrowed.Add(-n)
	return false
}

// giveBack gives back what p was in.
func (c *Cache) giveBack(p piece) {
	if p.release == nil {
		c.buffers.Put((*[queueBuffer]byte)(p.p[:queueBuffer]))
		c.free <- struct{}{}
		return
	}
	p.release()
	c.borrowed.Add(-int64(len(p.p)))
}

// filler cuts a stream into pieces that end where blocks do.
type filler struct {
	e   *entry
	off int64 // of buf
	buf []byte
}

// Write copies p into the queue and never fails.
func (f *filler) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		at := f.off + int64(len(f.buf))
		k := min(len(p), int(queueBuffer-at%queueBuffer))
		if f.buf == nil && !f.e.sealed.Load() {
			f.buf = f.e.c.buffer()
		}
		if f.buf == nil {
			f.e.leaveOut(k)
			f.off += int64(k)
		} else {
			f.buf = append(f.buf, p[:k]...)
		}
		p = p[k:]
		if (at+int64(k))%queueBuffer == 0 {
			f.send()
		}
	}
	return n, nil
}

// Close sends the rest. More may be written afterwards.
func (f *filler) Close() error {
	f.send()
	return nil
}

func (f *filler) send() {
	if f.buf == nil {
		return
	}
	f.e.c.enqueue(piece{f.e, f.off, f.buf, nil})
	f.off += int64(len(f.buf))
	f.buf = nil
}

// leaveOut notes that there was no place in the queue for n bytes.
func (e *entry) leaveOut(n int) {
	if e.sealed.Load() {
		return
	}
	e.c.stats.dropped.Add(int64(n))
	e.left.Add(int64(n))
	e.dropped.Store(true)
}

// buffer is an empty one, or nil if all are in use.
func (c *Cache) buffer() []byte {
	select {
	case <-c.free:
		return c.freeBuffer()
	default:
		return nil
	}
}

// freeBuffer is one that somebody has just used, if there is any: it is in the
// processor's cache. The caller has taken it from free.
func (c *Cache) freeBuffer() []byte { return c.buffers.Get().(*[queueBuffer]byte)[:0] }

// enqueue never waits: there are no more pieces than buffers and loans.
func (c *Cache) enqueue(p piece) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || p.e.refs == 0 {
		c.giveBack(p)
		return
	}
	p.e.refs++
	c.came = time.Now()
	c.pieces <- p
}

// write writes the pieces, until the cache is closed.
func (c *Cache) write() {
	defer c.done.Done()
	c.count()
	for {
		select {
		case p := <-c.pieces:
			c.keep(p)
			continue
		default:
		}
		select {
		case p := <-c.pieces:
			c.keep(p)
		case <-c.stop:
			if len(c.pieces) == 0 { // none is sent any more
				return
			}
		}
	}
}

func (c *Cache) keep(p piece) {
	p.e.keep(p.p, p.off)
	c.release(p.e)
	c.giveBack(p)
}
