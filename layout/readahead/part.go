package readahead

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"registryfs/drivers"
)

// errDropped ends the fetching of a part that nobody wants any more.
var errDropped = errors.New("dropped")

// part is a range of a file that is being fetched, or has been. It can be read
// as far as it has come.
type part struct {
	src    *source
	budget *drivers.Budget
	off, n int64
	got    atomic.Int64 // bytes that are there, from off on
	cancel context.CancelFunc

	mu       sync.Mutex // guards the following
	blocks   []*block   // of maxBlock each but the last; nil before and after
	freed    int        // blocks given back, from the first on
	reserved int64      // taken from the budget for blocks that are not there yet
	waiters  []waiter
	keep     Keep  // or nil
	kept     int64 // bytes handed to keep
	running  bool
	dropped  bool
	err      error
}

// waiter waits for the bytes up to until, counted from the part's first.
type waiter struct {
	until int64
	ready chan struct{}
}

// partMemory is what a part of n bytes takes from the budget.
func partMemory(n int64) int64 {
	whole := n / maxBlock * maxBlock
	if rest := n - whole; rest > 0 {
		return whole + blockSize(rest)
	}
	return whole
}

// newPart begins to fetch, into partMemory(n) that the caller has taken.
func newPart(ctx context.Context, src *source, budget *drivers.Budget, off, n int64, keep Keep) *part {
	ctx, cancel := context.WithCancel(ctx)
	p := &part{
		src: src, budget: budget, off: off, n: n, cancel: cancel, keep: keep,
		blocks:   make([]*block, (n+maxBlock-1)/maxBlock),
		reserved: partMemory(n),
		running:  true,
	}
	go p.run(ctx)
	return p
}

func (p *part) end() int64 { return p.off + p.n }

func (p *part) run(ctx context.Context) {
	err := p.src.fetch(ctx, p.off, p.n, p)
	p.cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running, p.err = false, err
	for _, w := range p.waiters {
		close(w.ready)
	}
	p.waiters = nil
	if p.dropped {
		p.freeLocked()
	}
	if p.reserved > 0 { // of an error
		p.budget.Release(p.reserved)
		p.reserved = 0
	}
}

// room implements sink.
func (p *part) room() ([]byte, error) {
	got := p.got.Load()
	i, at := got/maxBlock, got%maxBlock
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dropped {
		return nil, errDropped
	}
	if p.blocks[i] == nil {
		b := newBlock(p.n-i*maxBlock, p.budget)
		p.blocks[i] = b
		p.reserved -= int64(len(b.buf))
	}
	return p.blocks[i].buf[at:], nil
}

// took implements sink.
func (p *part) took(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	got := p.got.Add(int64(n))
	if got%maxBlock == 0 || got == p.n {
		p.keepLocked()
	}
	if len(p.waiters) == 0 {
		return
	}
	left := p.waiters[:0]
	for _, w := range p.waiters {
		if w.until <= got {
			close(w.ready)
		} else {
			left = append(left, w)
		}
	}
	p.waiters = left
}

// keepLocked hands on what has come and was not handed on yet. Blocks that
// were given back before somebody wanted them kept are left out.
func (p *part) keepLocked() {
	if p.keep == nil {
		return
	}
	for got := p.got.Load(); p.kept < got; {
		i, at := p.kept/maxBlock, p.kept%maxBlock
		n := min(maxBlock-at, got-p.kept)
		if b := p.blocks[i]; b != nil {
			b.refs.Add(1)
			p.keep(b.buf[at:at+n], p.off+p.kept, b.release)
		}
		p.kept += n
	}
}

// setKeep hands all bytes on from now on, and those that are there already.
func (p *part) setKeep(keep Keep) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keep = keep
	if !p.running {
		p.keepLocked()
	}
}

// isThere reports whether the bytes before end have come.
func (p *part) isThere(end int64) bool { return p.off+p.got.Load() >= end }

// wait returns when the bytes before end, an offset in the file, are there. idle
// tells whether nobody else waits for the part if it gives up.
func (p *part) wait(ctx context.Context, end int64) (idle bool, err error) {
	until := end - p.off
	if p.got.Load() >= until {
		return false, nil
	}
	p.mu.Lock()
	if p.got.Load() >= until {
		p.mu.Unlock()
		return false, nil
	}
	if !p.running || p.dropped {
		defer p.mu.Unlock()
		return false, p.failedLocked()
	}
	w := waiter{until, make(chan struct{})}
	p.waiters = append(p.waiters, w)
	p.mu.Unlock()
	select {
	case <-w.ready:
		if p.got.Load() >= until {
			return false, nil
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		return false, p.failedLocked()
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.waiters {
		if p.waiters[i].ready == w.ready {
			p.waiters = append(p.waiters[:i], p.waiters[i+1:]...)
			break
		}
	}
	return len(p.waiters) == 0, ctx.Err()
}

func (p *part) failedLocked() error {
	if p.err == nil || p.dropped {
		return errDropped
	}
	return p.err
}

// failed reports whether the part has ended before its end.
func (p *part) failed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dropped || !p.running && p.err != nil
}

func (p *part) isRunning() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running
}

// hasWaiters reports whether a read waits for bytes of the part.
func (p *part) hasWaiters() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiters) > 0
}

// view adds the bytes of [off, end) to v, and reports whether they are held.
func (p *part) view(v *View, off, end int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for off < end {
		i, at := (off-p.off)/maxBlock, (off-p.off)%maxBlock
		b := p.blocks[i]
		if b == nil || p.dropped {
			return false
		}
		n := min(maxBlock-at, end-off)
		b.refs.Add(1)
		v.blocks = append(v.blocks, b)
		v.Bytes = append(v.Bytes, b.buf[at:at+n])
		off += n
	}
	return true
}

// low is where the bytes that are held begin.
func (p *part) low() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.off + int64(p.freed)*maxBlock
}

// freeBefore gives back whole blocks that have come and end at or before off.
func (p *part) freeBefore(off int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	end := min(off-p.off, p.got.Load())
	for int64(p.freed+1)*maxBlock <= end {
		p.blocks[p.freed].release()
		p.blocks[p.freed] = nil
		p.freed++
	}
}

// drop cancels what is under way and gives all memory back. It returns how
// many bytes of it come free now or soon.
func (p *part) drop() int64 {
	p.cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dropped {
		return 0
	}
	p.dropped = true
	held := p.reserved
	for _, b := range p.blocks {
		if b != nil {
			held += int64(len(b.buf))
		}
	}
	if p.running {
		p.budget.Release(p.reserved) // run is still writing to a block, but begins no other
		p.reserved = 0
		return held
	}
	p.freeLocked()
	return held
}

func (p *part) freeLocked() {
	for i, b := range p.blocks {
		if b != nil {
			b.release()
			p.blocks[i] = nil
		}
	}
}
