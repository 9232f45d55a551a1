package readahead

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"registryfs/drivers"
)

func TestReadInOrder(t *testing.T) {
	tests := []struct {
		size, most int // bytes, requests
	}{
		{1, 1},
		{200 * kib, 1},
		{mib, 1},
		{mib + 400*kib, 1},
		{4*mib + 1, 4},
		{64 * mib, 40},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.size), func(t *testing.T) {
			s := newStore(t, tt.size)
			readAll(t, s, open(t, s, 256*mib))
			requests, sent := s.counts()
			if requests > tt.most {
				t.Errorf("%d requests %v, want at most %d", requests, s.ranges, tt.most)
			}
			if sent != int64(tt.size) {
				t.Errorf("%d bytes were sent, want %d", sent, tt.size)
			}
		})
	}
}

// What reads a little of a file costs little.
func TestReadBeginning(t *testing.T) {
	tests := []struct {
		n, most int64
	}{
		{1, 128 * kib}, {16 * kib, 128 * kib}, {64 * kib, 128 * kib}, {256 * kib, 2 * mib},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.n), func(t *testing.T) {
			s := newStore(t, 16*mib)
			f := open(t, s, 256*mib)
			read(t, s, f, 0, tt.n)
			time.Sleep(20 * time.Millisecond) // for what is read ahead
			if _, sent := s.counts(); sent > tt.most {
				t.Errorf("%d bytes were sent, want at most %d", sent, tt.most)
			}
		})
	}
}

func TestReadRandom(t *testing.T) {
	for _, size := range []int{32 * mib, 256 * mib} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			s := newStore(t, size)
			f := open(t, s, 256*mib)
			const n, reads = 64 * kib, 500
			rnd := rand.New(rand.NewPCG(1, 2))
			for range reads {
				read(t, s, f, rnd.Int64N(int64(size)/n)*n, n)
			}
			requests, sent := s.counts()
			if sent > 2*n*reads {
				t.Errorf("%d bytes were sent for %d", sent, n*reads)
			}
			if requests > reads*11/10 {
				t.Errorf("%d requests, want about %d", requests, reads)
			}
		})
	}
}

// A reader that leaves out most is not read ahead for.
func TestReadStrided(t *testing.T) {
	const size, n, stride = 256 * mib, 64 * kib, mib
	s := newStore(t, size)
	f := open(t, s, 256*mib)
	reads := int64(0)
	for off := int64(0); off < size; off += stride {
		read(t, s, f, off, n)
		reads++
	}
	if _, sent := s.counts(); sent > 2*n*reads+16*mib {
		t.Errorf("%d bytes were sent for %d", sent, n*reads)
	}
}

// The kernel asks in parallel, and its requests come out of order.
func TestReadOutOfOrder(t *testing.T) {
	const size = 64 * mib
	s := newStore(t, size)
	s.delay = time.Millisecond
	f := open(t, s, 256*mib)
	var next atomic.Int64
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(i)))
			for {
				off := next.Add(256*kib) - 256*kib
				if off >= size {
					return
				}
				time.Sleep(time.Duration(rnd.IntN(200)) * time.Microsecond)
				read(t, s, f, off, 256*kib)
			}
		})
	}
	wg.Wait()
	if requests, sent := s.counts(); requests > 60 || sent > size*5/4 {
		t.Errorf("%d requests for %d bytes, want at most 60 for about %d", requests, sent, size)
	}
}

// The kernel's first requests may come in any order: what is begun at each of
// two is one way through the file.
func TestReadBeginsOutOfOrder(t *testing.T) {
	const size, n = 64 * mib, 256 * kib
	s := newStore(t, size)
	f := open(t, s, 256*mib)
	for _, off := range []int64{0, 10 * n, 9 * n, n, 2 * n, 3 * n, 4 * n, 5 * n, 6 * n, 7 * n, 8 * n} {
		read(t, s, f, off, n)
	}
	for off := int64(11 * n); off < size; off += n {
		read(t, s, f, off, n)
	}
	if _, sent := s.counts(); sent > size+4*mib {
		t.Errorf("%d bytes were sent for %d", sent, size)
	}
}

// Small steps back and forth stay within what is held.
func TestReadSeeks(t *testing.T) {
	const size = 64 * mib
	s := newStore(t, size)
	f := open(t, s, 256*mib)
	for off := int64(0); off < 32*mib; off += 256 * kib {
		read(t, s, f, off, 256*kib)
	}
	s.mu.Lock()
	before := len(s.ranges)
	s.mu.Unlock()
	for _, off := range []int64{31 * mib, 33 * mib, 32 * mib, 31*mib + 512*kib, 34 * mib} {
		read(t, s, f, off, 64*kib)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.ranges[before:] {
		if r.off < 34*mib {
			t.Errorf("%v is asked for anew", r)
		}
	}
}

// Several places of one file are read in order at the same time.
func TestReadInterleaved(t *testing.T) {
	const size = 64 * mib
	s := newStore(t, size)
	f := open(t, s, 256*mib)
	for off := int64(0); off < size/2; off += 512 * kib {
		read(t, s, f, off, 512*kib)
		read(t, s, f, size/2+off, 512*kib)
	}
	if requests, sent := s.counts(); requests > 70 || sent > size*8/5 {
		// The first half is read ahead of beyond its end.
		t.Errorf("%d requests for %d bytes, want at most 70 for about 3/2 of %d", requests, sent, size)
	}
}

func TestMemoryBound(t *testing.T) {
	const size, memory = 64 * mib, 16 * mib
	s := newStore(t, size)
	s.delay = time.Millisecond
	f, pool := openPool(t, s, memory)
	more := make([]*File, 3)
	for i := range more {
		more[i] = pool.Open(path, size)
		defer more[i].Close()
	}
	stop := make(chan struct{})
	var watch, wg sync.WaitGroup
	var most atomic.Int64
	watch.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				most.Store(max(most.Load(), pool.budget.Snapshot().Used))
				time.Sleep(100 * time.Microsecond)
			}
		}
	})
	for _, f := range append(more, f) {
		wg.Go(func() { readAll(t, s, f) })
	}
	wg.Wait()
	close(stop)
	watch.Wait()
	if most.Load() > memory {
		t.Errorf("%d bytes held of %d", most.Load(), memory)
	}
	if most.Load() < memory/2 {
		t.Errorf("only %d bytes held of %d", most.Load(), memory)
	}
}

// With no memory at all everything can be read.
func TestNoMemory(t *testing.T) {
	s := newStore(t, 8*mib)
	f, pool := openPool(t, s, mib)
	if err := pool.budget.Acquire(t.Context(), mib); err != nil {
		t.Fatal(err)
	}
	readAll(t, s, f)
	if _, sent := s.counts(); sent != 8*mib {
		t.Errorf("%d bytes were sent", sent)
	}
	pool.budget.Release(mib)
}

// Memory that an idle reader holds goes to a writer that waits for it.
func TestGivesBack(t *testing.T) {
	s := newStore(t, 64*mib)
	s.delay = 30 * time.Millisecond // so that the reader has to wait
	f, pool := openPool(t, s, 32*mib)
	for off := int64(0); off < 16*mib; off += mib {
		read(t, s, f, off, mib)
	}
	if used := pool.budget.Snapshot().Used; used <= 4*mib {
		t.Errorf("%d bytes are held: there is nothing to give back", used)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := pool.budget.Acquire(ctx, 28*mib); err != nil {
		t.Fatal(err)
	}
	for off := int64(16 * mib); off < 64*mib; off += mib {
		read(t, s, f, off, mib)
	}
	pool.budget.Release(28 * mib)
}

// One program copies from the file system to the file system: its reads stop
// while its writes wait for memory, in either direction.
func TestReaderFeedsWriter(t *testing.T) {
	const size, chunk, memory = 64 * mib, 4 * mib, 32 * mib
	s := newStore(t, size)
	_, pool := openPool(t, s, memory)
	var programs sync.WaitGroup
	for range 3 {
		programs.Go(func() {
			f := pool.Open(path, size)
			defer f.Close()
			var sending sync.WaitGroup
			for off := int64(0); off < size; off += chunk {
				if err := pool.budget.Acquire(t.Context(), chunk); err != nil {
					t.Error(err)
					return
				}
				for at := off; at < off+chunk; at += mib {
					read(t, s, f, at, mib)
				}
				sending.Go(func() {
					time.Sleep(time.Millisecond)
					pool.budget.Release(chunk)
				})
			}
			sending.Wait()
		})
	}
	programs.Wait()
}

func TestBrokenBodies(t *testing.T) {
	broken := errors.New("connection reset")
	tests := []struct {
		name string
		cut  func(request int, off int64) (int64, error)
	}{
		{"each first one", func(request int, _ int64) (int64, error) {
			if request%2 == 1 {
				return 100_000, broken
			}
			return -1, nil
		}},
		{"cut short", func(request int, _ int64) (int64, error) {
			if request%3 == 0 {
				return 300_001, io.EOF
			}
			return -1, nil
		}},
		{"little at once", func(int, int64) (int64, error) { return 700_000, io.ErrUnexpectedEOF }},
		{"stalls", func(request int, _ int64) (int64, error) {
			if request == 2 {
				return 70_000, nil
			}
			return -1, nil
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStore(t, 8*mib)
			s.cut = tt.cut
			f, pool := openPool(t, s, 64*mib)
			f.src.stall = 30 * time.Millisecond
			readAll(t, s, f)
			random := pool.Open(path, int64(len(s.content)))
			defer random.Close()
			for _, off := range []int64{5 * mib, 3 * mib, 7 * mib} {
				read(t, s, random, off, mib)
			}
			if _, sent := s.counts(); sent > 8*mib+3*mib+4*mib {
				t.Errorf("%d bytes were sent: bodies are not gone on with", sent)
			}
		})
	}
}

// A request that fails fails the reads that wait for it, and no other: at each
// of them, and then no more.
func TestFailedRequests(t *testing.T) {
	const size = 8 * mib
	forbidden := fmt.Errorf("not now: %w", fs.ErrPermission)
	for at := range 8 {
		s := newStore(t, size)
		s.failing = func(request int, _ int64) error {
			if request == at {
				return forbidden
			}
			return nil
		}
		f := open(t, s, 64*mib)
		for off := int64(0); off < size; {
			p := make([]byte, 512*kib)
			n, err := f.ReadAt(t.Context(), p, off)
			if err != nil && err != io.EOF {
				if !errors.Is(err, fs.ErrPermission) || n > 0 {
					t.Fatalf("request %d: ReadAt(%d) = %d, %v", at, off, n, err)
				}
				continue
			}
			if string(p) != string(s.content[off:off+int64(n)]) {
				t.Fatalf("request %d: ReadAt(%d) gives other bytes", at, off)
			}
			off += int64(n)
		}
	}
}

func TestGone(t *testing.T) {
	s := newStore(t, mib)
	f := open(t, s, 64*mib)
	if err := s.Delete(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(t.Context(), make([]byte, 1), 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadAt of a file that is gone: %v, want fs.ErrNotExist", err)
	}
}

func TestShorter(t *testing.T) {
	s := newStore(t, 8*mib)
	f := open(t, s, 64*mib)
	read(t, s, f, 0, 64*kib)
	if err := s.PutContent(t.Context(), path, []byte("short")); err != nil {
		t.Fatal(err)
	}
	for _, off := range []int64{128 * kib, 4 * mib} {
		if _, err := f.ReadAt(t.Context(), make([]byte, mib), off); !errors.Is(err, ErrShort) {
			t.Errorf("ReadAt(%d) of a file that is shorter: %v, want ErrShort", off, err)
		}
	}
}

// An interrupted read returns at once, and its request ends unless somebody
// comes back.
func TestInterrupted(t *testing.T) {
	for _, off := range []int64{0, 4 * mib} {
		s := newStore(t, 8*mib)
		s.delay = time.Hour
		f := open(t, s, 64*mib)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := f.ReadAt(ctx, make([]byte, mib), off); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ReadAt(%d): %v, want context.DeadlineExceeded", off, err)
		}
		eventually(t, "the request is cancelled", s.isQuiet)
		s.delay = 0
		read(t, s, f, off, mib)
	}
}

// Whoever is interrupted and comes back at once finds the same request.
func TestInterruptedAgain(t *testing.T) {
	s := newStore(t, 8*mib)
	s.delay = 500 * time.Millisecond // longer than all of the following takes
	f := open(t, s, 64*mib)
	for range 4 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		if _, err := f.ReadAt(ctx, make([]byte, 64*kib), 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ReadAt: %v, want context.DeadlineExceeded", err)
		}
		cancel()
	}
	read(t, s, f, 0, 64*kib)
	if requests, _ := s.counts(); requests != 1 {
		t.Errorf("%d requests, want 1", requests)
	}
}

func TestCloseEnds(t *testing.T) {
	s := newStore(t, 8*mib)
	s.delay = time.Hour
	f := open(t, s, 64*mib)
	failed := make(chan error, 2)
	for _, off := range []int64{0, 4 * mib} {
		go func() {
			_, err := f.ReadAt(t.Context(), make([]byte, mib), off)
			failed <- err
		}()
	}
	eventually(t, "both are asked for", func() bool { n, _ := s.counts(); return n >= 2 })
	f.Close()
	for range 2 {
		if err := <-failed; !errors.Is(err, context.Canceled) {
			t.Errorf("ReadAt: %v, want context.Canceled", err)
		}
	}
}

// A View stays what it is when the file is read on and closed.
func TestViewHolds(t *testing.T) {
	s := newStore(t, 16*mib)
	f, pool := openPool(t, s, 4*mib)
	v, err := f.View(t.Context(), make([]byte, mib), 0)
	if err != nil || v.Len() != mib {
		t.Fatalf("View = %d, %v", v.Len(), err)
	}
	readAll(t, s, f)
	f.Close()
	other := pool.Open(path, 16*mib)
	defer other.Close()
	readAll(t, s, other)
	var got []byte
	for _, b := range v.Bytes {
		got = append(got, b...)
	}
	if string(got) != string(s.content[:mib]) {
		t.Error("a View has other bytes after a while")
	}
	v.Release()
}

func TestKeep(t *testing.T) {
	s := newStore(t, 16*mib)
	f, pool := openPool(t, s, 64*mib)
	var mu sync.Mutex
	kept := make([]byte, 16*mib)
	keep := func(p []byte, off int64, release func()) {
		if release != nil {
			defer release()
		}
		mu.Lock()
		defer mu.Unlock()
		copy(kept[off:], p)
	}
	f.Keep(keep)
	readAll(t, s, f)
	mu.Lock()
	defer mu.Unlock()
	if string(kept) != string(s.content) {
		t.Error("not all is kept, or other bytes")
	}
	_ = pool
}

func TestParallelReaders(t *testing.T) {
	s := newStore(t, 24*mib)
	_, pool := openPool(t, s, 24*mib)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			f := pool.Open(path, 24*mib)
			defer f.Close()
			if i%2 == 0 {
				readAll(t, s, f)
				return
			}
			rnd := rand.New(rand.NewPCG(uint64(i), 0))
			for range 100 {
				read(t, s, f, rnd.Int64N(24*mib), rnd.Int64N(mib))
			}
		})
	}
	wg.Go(func() {
		for range 50 {
			if err := pool.budget.Acquire(t.Context(), 16*mib); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Millisecond)
			pool.budget.Release(16 * mib)
		}
	})
	wg.Wait()
}

func BenchmarkReadInOrder(b *testing.B) {
	const size = 256 * mib
	s := newStore(b, size)
	budget := drivers.NewBudget(256 * mib)
	pool := NewPool(s.StorageDriver, budget)
	p := make([]byte, mib)
	b.SetBytes(size)
	for b.Loop() {
		f := pool.Open(path, size)
		for off := int64(0); off < size; off += mib {
			v, err := f.View(b.Context(), p, off)
			if err != nil && err != io.EOF {
				b.Fatal(err)
			}
			v.Release()
		}
		f.Close()
	}
}

func BenchmarkReadRandom(b *testing.B) {
	s := newStore(b, 64*mib)
	pool := NewPool(s.StorageDriver, drivers.NewBudget(64*mib))
	f := pool.Open(path, 64*mib)
	defer f.Close()
	p := make([]byte, 64*kib)
	rnd := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		if _, err := f.ReadAt(b.Context(), p, rnd.Int64N(1023)*64*kib); err != nil {
			b.Fatal(err)
		}
	}
}
