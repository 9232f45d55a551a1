package drivers

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Budget is memory, in bytes, that the readers and writers of a process share.
// What somebody waits for goes before what is only likely to be wanted:
//
//   - Acquire is for who cannot go on without: a writer with a chunk to fill.
//   - Demand is for who waits too and has a slower way: a blocked reader.
//   - TryAcquire is for speculation. Who holds memory for that registers with
//     OnPressure and gives it back when asked.
//
// Only Acquire waits. As long as what was acquired comes free without further
// memory, and what was speculated with is given back, nobody waits for ever.
type Budget struct {
	size    int64
	reserve int64 // kept for Demand, so that writers cannot starve readers

	mu         sync.Mutex // guards the following
	used       int64
	waiting    []*claim
	reclaimers []*reclaimer
	idle       buffers

	relieving sync.Mutex // held while the reclaimers are asked
}

// claim is an Acquire that waits.
type claim struct {
	bytes   int64
	granted chan struct{}
}

type reclaimer struct{ give func(bytes int64) }

// BudgetUse is what a Budget is used for at one moment.
type BudgetUse struct {
	Size    int64 // bytes, all of it
	Used    int64 // bytes
	Waiting int   // calls of Acquire
}

// relieveEvery is how often an Acquire that waits asks for speculation to be
// given up. Memory that readers use comes free by itself sooner than that.
const relieveEvery = 20 * time.Millisecond

// NewBudget makes a Budget of so many bytes.
func NewBudget(bytes int64) *Budget { return &Budget{size: bytes, reserve: bytes / 8} }

// Size is the whole of it.
func (b *Budget) Size() int64 { return b.size }

// Snapshot tells how much is used.
func (b *Budget) Snapshot() BudgetUse {
	b.mu.Lock()
	defer b.mu.Unlock()
	return BudgetUse{Size: b.size, Used: b.used, Waiting: len(b.waiting)}
}

// OnPressure registers give, which is called when somebody waits: it should
// Release up to so many bytes that nobody is using. It is called without a lock
// of the Budget, by one goroutine at a time, and again if it was not enough.
func (b *Budget) OnPressure(give func(bytes int64)) (stop func()) {
	r := &reclaimer{give}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reclaimers = append(slices.Clone(b.reclaimers), r)
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.reclaimers = slices.DeleteFunc(slices.Clone(b.reclaimers), func(o *reclaimer) bool { return o == r })
	}
}

// Acquire waits, in turn, until n bytes are free and takes them. What is larger
// than the whole budget waits until it can have all of it.
func (b *Budget) Acquire(ctx context.Context, n int64) error {
	b.mu.Lock()
	if len(b.waiting) == 0 && b.fits(n) {
		b.take(n)
		b.mu.Unlock()
		return nil
	}
	c := &claim{n, make(chan struct{})}
	b.waiting = append(b.waiting, c)
	b.mu.Unlock()
	if b.wait(ctx, c) == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.waiting, c); i >= 0 {
		b.waiting = slices.Delete(b.waiting, i, i+1)
		b.grant()
		return ctx.Err()
	}
	return nil // granted in this moment
}

func (b *Budget) wait(ctx context.Context, c *claim) error {
	tick := time.NewTicker(relieveEvery)
	defer tick.Stop()
	for {
		b.relieve()
		select {
		case <-c.granted:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// relieve asks for what the first in the queue lacks.
func (b *Budget) relieve() {
	if !b.relieving.TryLock() {
		return // somebody is at it
	}
	defer b.relieving.Unlock()
	b.mu.Lock()
	var missing int64
	if len(b.waiting) > 0 {
		missing = b.missing(b.waiting[0].bytes, b.size-b.reserve)
	}
	from := b.reclaimers
	b.mu.Unlock()
	for _, r := range from {
		if missing > 0 {
			r.give(missing)
		}
	}
}

// Demand takes n bytes for somebody who waits for them and can do without. It
// may take what is kept from the other two, does not queue behind Acquire, and
// has speculation given up before it fails.
func (b *Budget) Demand(n int64) bool {
	if n > b.size {
		return false
	}
	b.mu.Lock()
	missing := b.missing(n, b.size)
	if missing <= 0 {
		b.take(n)
		b.mu.Unlock()
		return true
	}
	from := b.reclaimers
	b.mu.Unlock()
	for _, r := range from {
		r.give(missing)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.missing(n, b.size) > 0 {
		return false
	}
	b.take(n)
	return true
}

// TryAcquire takes n bytes for something that nobody waits for: it fails if they
// are not free or if somebody does wait.
func (b *Budget) TryAcquire(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) > 0 || !b.fits(n) {
		return false
	}
	b.take(n)
	return true
}

// Release gives n bytes back.
func (b *Budget) Release(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.release(n)
}

func (b *Budget) release(n int64) {
	if b.used -= n; b.used < 0 {
		panic("drivers: a Budget was given back more than was taken")
	}
	b.grant()
}

// take is called when n bytes are free for who asks for them.
func (b *Budget) take(n int64) {
	b.used += n
	b.idle.cool(b.used + b.idle.warm - b.size)
}

// missing is how many of n bytes are not free below a limit, or 0 or less.
func (b *Budget) missing(n, limit int64) int64 {
	if n > limit {
		return b.used
	}
	return b.used + n - limit
}

func (b *Budget) fits(n int64) bool {
	return b.used == 0 || b.used+n <= b.size-b.reserve
}

func (b *Budget) grant() {
	for len(b.waiting) > 0 && b.fits(b.waiting[0].bytes) {
		b.take(b.waiting[0].bytes)
		close(b.waiting[0].granted)
		b.waiting = b.waiting[1:]
	}
}
