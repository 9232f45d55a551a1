package layout

import (
	"sync"
	"testing"
)

func TestLRU(t *testing.T) {
	c := newLRU[string, int](100)
	c.put("a", 1, 25)
	c.put("b", 2, 25)
	c.put("c", 3, 25)
	c.put("d", 4, 25)
	c.get("a") // used, so b is the oldest
	c.put("e", 5, 10)
	for key, want := range map[string]int{"a": 1, "b": 0, "c": 3, "d": 4, "e": 5} {
		if got, ok := c.get(key); got != want || ok != (want != 0) {
			t.Errorf("get(%s) = %d, %v, want %d", key, got, ok, want)
		}
	}
	c.put("a", 6, 26) // too large to be kept, and the old value is wrong now
	if got, ok := c.get("a"); ok {
		t.Errorf("get(a) = %d after a put of what is too large", got)
	}
	c.forget("c")
	c.forget("none")
	if _, ok := c.get("c"); ok || c.cost != 35 {
		t.Errorf("after forget: found %v, cost %d, want 35", ok, c.cost)
	}
}

func TestKeyedLock(t *testing.T) {
	var l keyedLock
	var wg sync.WaitGroup
	counts := map[string]*int{"a": new(int), "b": new(int)}
	for range 100 {
		for key, n := range counts {
			wg.Go(func() {
				unlock, err := l.lock(t.Context(), key)
				if err != nil {
					t.Error(err)
					return
				}
				defer unlock()
				*n++ // the race detector watches
			})
		}
	}
	wg.Wait()
	if *counts["a"] != 100 || *counts["b"] != 100 || len(l.held) != 0 {
		t.Errorf("counts %d and %d, %d held", *counts["a"], *counts["b"], len(l.held))
	}
}
