package readahead

import (
	"testing"
	"time"
)

func TestPrefetch(t *testing.T) {
	s := newStore(t, 3*mib)
	_, pool := openPool(t, s, 64*mib)
	for range 2 {
		if !pool.Prefetch(path, 3*mib) {
			t.Error("Prefetch refuses")
		}
	}
	f := pool.Open(path, 3*mib)
	defer f.Close()
	var kept int
	f.Keep(func(p []byte, _ int64, release func()) {
		if release != nil {
			defer release()
		}
		kept += len(p)
	})
	readAll(t, s, f)
	if requests, sent := s.counts(); requests != 1 || sent != 3*mib {
		t.Errorf("%d requests for %d bytes, want 1", requests, sent)
	}
	if kept != 3*mib {
		t.Errorf("%d bytes kept", kept)
	}
}

func TestPrefetchLarge(t *testing.T) {
	s := newStore(t, 16*mib)
	_, pool := openPool(t, s, 64*mib)
	pool.Prefetch(path, 16*mib)
	eventually(t, "the beginning has come", func() bool { _, sent := s.counts(); return sent == mib })
	f := pool.Open(path, 16*mib)
	defer f.Close()
	readAll(t, s, f)
	if _, sent := s.counts(); sent != 16*mib {
		t.Errorf("%d bytes were sent", sent)
	}
}

// A file of another size is another file.
func TestPrefetchChanged(t *testing.T) {
	s := newStore(t, mib)
	_, pool := openPool(t, s, 64*mib)
	pool.Prefetch(path, 1000)
	f := pool.Open(path, mib)
	defer f.Close()
	readAll(t, s, f)
}

func TestPrefetchGivesBack(t *testing.T) {
	s := newStore(t, 4*mib)
	_, pool := openPool(t, s, 32*mib)
	for _, p := range []string{"/a", "/b", "/c", path} {
		if !pool.Prefetch(p, 4*mib) {
			t.Errorf("Prefetch(%s) refuses", p)
		}
	}
	if err := pool.budget.Acquire(t.Context(), 28*mib); err != nil {
		t.Fatal(err)
	}
	if pool.Prefetch("/d", mib) {
		t.Error("Prefetch takes memory that there is not")
	}
	pool.budget.Release(28 * mib)
}

func TestPrefetchBounded(t *testing.T) {
	s := newStore(t, kib)
	_, pool := openPool(t, s, 64*mib)
	for i := range 3 * maxEarly {
		pool.Prefetch(path+string(rune('a'+i)), kib)
	}
	pool.mu.Lock()
	if got := pool.early.order.Len(); got != maxEarly {
		t.Errorf("%d files are held, want %d", got, maxEarly)
	}
	old := pool.early.takeOld(time.Now().Add(time.Hour), maxEarly)
	pool.mu.Unlock()
	for _, f := range old {
		f.Close()
	}
	if len(old) != maxEarly {
		t.Errorf("%d files are old, want all", len(old))
	}
}
