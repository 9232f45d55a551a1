package drivers

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func checkUsed(t *testing.T, b *Budget, want int64) {
	t.Helper()
	if got := b.Snapshot(); got.Used != want {
		t.Errorf("Snapshot = %+v, want %d used", got, want)
	}
}

func TestBudgetTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(80)
		if !b.TryAcquire(70) || b.TryAcquire(1) {
			t.Error("TryAcquire takes other than all but an eighth")
		}
		var granted [2]atomic.Bool
		for i, n := range []int64{30, 10} {
			go func() {
				if err := b.Acquire(t.Context(), n); err != nil {
					t.Error(err)
				}
				granted[i].Store(true)
			}()
			synctest.Wait()
		}
		if got, want := b.Snapshot(), (BudgetUse{80, 70, 2}); got != want {
			t.Errorf("Snapshot = %+v, want %+v", got, want)
		}
		b.Release(20) // enough for the second, whose turn it is not
		synctest.Wait()
		if granted[0].Load() || granted[1].Load() {
			t.Error("granted out of turn")
		}
		if b.TryAcquire(1) {
			t.Error("TryAcquire goes before those who wait")
		}
		if !b.Demand(5) {
			t.Error("Demand does not take what is free")
		}
		b.Release(15)
		synctest.Wait()
		if !granted[0].Load() || granted[1].Load() {
			t.Errorf("granted %v %v, want the first only", granted[0].Load(), granted[1].Load())
		}
		b.Release(10)
		synctest.Wait()
		if !granted[1].Load() {
			t.Error("the second is not granted")
		}
		checkUsed(t, b, 70)
	})
}

func TestBudgetGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(80)
		b.TryAcquire(60)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		failed := make(chan error)
		go func() { failed <- b.Acquire(ctx, 50) }()
		synctest.Wait()
		next := make(chan error)
		go func() { next <- b.Acquire(t.Context(), 10) }()
		if err := <-failed; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Acquire: %v, want context.DeadlineExceeded", err)
		}
		if err := <-next; err != nil { // waits for nobody any more
			t.Error(err)
		}
		checkUsed(t, b, 70)
	})
}

// What is larger than the whole is had alone.
func TestBudgetLarger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(80)
		if b.Demand(81) {
			t.Error("Demand of more than all succeeds")
		}
		b.TryAcquire(1)
		done := make(chan error)
		go func() { done <- b.Acquire(t.Context(), 100) }()
		synctest.Wait()
		b.Release(1)
		if err := <-done; err != nil {
			t.Error(err)
		}
		checkUsed(t, b, 100)
		b.Release(100)
	})
}

func TestBudgetReserve(t *testing.T) {
	b := NewBudget(80)
	if err := b.Acquire(t.Context(), 70); err != nil {
		t.Fatal(err)
	}
	if !b.Demand(10) || b.Demand(1) {
		t.Error("Demand gets other than the reserve")
	}
	b.Release(80)
	checkUsed(t, b, 0)
}

func TestBudgetPressure(t *testing.T) {
	b := NewBudget(80)
	var speculated atomic.Int64
	stop := b.OnPressure(func(n int64) {
		n = min(n, speculated.Load())
		speculated.Add(-n)
		b.Release(n)
	})
	for b.TryAcquire(10) {
		speculated.Add(10)
	}
	if err := b.Acquire(t.Context(), 25); err != nil {
		t.Fatal(err)
	}
	if got := speculated.Load(); got != 45 {
		t.Errorf("%d left of what was speculated with, want 45", got)
	}
	if !b.Demand(30) {
		t.Error("Demand fails while there is speculation")
	}
	if got := speculated.Load(); got != 25 {
		t.Errorf("%d left of what was speculated with, want 25", got)
	}
	stop()
	if b.Demand(10) {
		t.Error("asked after it was stopped")
	}
	checkUsed(t, b, 80)
}

// Writers that hold a chunk while they wait for the next, and readers that hold
// what they speculated with: all come to an end, within the size.
func TestBudgetNoDeadlock(t *testing.T) {
	const size, chunk = 1000, 100
	b := NewBudget(size)
	var held atomic.Int64 // by speculation
	b.OnPressure(func(n int64) {
		for n > 0 {
			h := held.Load()
			give := min(n, h)
			if give == 0 {
				return
			}
			if held.CompareAndSwap(h, h-give) {
				b.Release(give)
				n -= give
			}
		}
	})
	var most atomic.Int64
	var all sync.WaitGroup
	for range 6 { // writers, each with one chunk being sent and one being filled
		all.Go(func() {
			var sending sync.WaitGroup
			for range 50 {
				if err := b.Acquire(t.Context(), chunk); err != nil {
					t.Error(err)
					return
				}
				most.Store(max(most.Load(), b.Snapshot().Used))
				sending.Wait()
				sending.Go(func() {
					time.Sleep(time.Duration(rand.IntN(100)) * time.Microsecond)
					b.Release(chunk)
				})
			}
			sending.Wait()
		})
	}
	for range 6 { // readers
		all.Go(func() {
			for range 300 {
				if b.Demand(50) {
					b.Release(50)
				}
				if b.TryAcquire(70) {
					held.Add(70)
				}
				time.Sleep(10 * time.Microsecond)
			}
		})
	}
	all.Wait()
	if most.Load() > size {
		t.Errorf("%d used at once of %d", most.Load(), size)
	}
	checkUsed(t, b, held.Load())
}
