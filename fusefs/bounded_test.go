package fusefs

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestBoundedMap(t *testing.T) {
	var m boundedMap[string, int]
	if _, ok := m.get("a"); ok || m.remove("a") || len(m.keys(func(string) bool { return true })) > 0 {
		t.Error("an empty map has something")
	}
	for i := range 10 {
		m.put(fmt.Sprint(i), i, 4)
	}
	got := m.keys(func(string) bool { return true })
	slices.Sort(got)
	if want := []string{"6", "7", "8", "9"}; !slices.Equal(got, want) {
		t.Errorf("keys = %q, want the newest %q", got, want)
	}
	m.put("6", 66, 4)
	if v, ok := m.get("6"); v != 66 || !ok {
		t.Errorf("get(6) = %d, %v, want 66", v, ok)
	}
	if got := m.keys(func(k string) bool { return k > "7" }); len(got) != 2 {
		t.Errorf("keys above 7 = %q, want 8 and 9", got)
	}
	if !m.remove("6") || m.remove("6") {
		t.Error("remove(6) does not tell whether it was there")
	}
	m.put("10", 10, 4)
	if _, ok := m.get("7"); !ok {
		t.Error("7 is gone, although there was room")
	}
}

// TestBoundedMapChurn puts and removes for long: it does not grow, and what was
// put last stays.
func TestBoundedMapChurn(t *testing.T) {
	var m boundedMap[int, int]
	const limit = 100
	for i := range 20_000 {
		m.put(i, i, limit)
		if _, ok := m.get(i); !ok {
			t.Fatalf("put(%d) is not there", i)
		}
		if i%3 > 0 {
			m.remove(i)
		}
	}
	if len(m.items) > limit || len(m.order) > 3*limit {
		t.Errorf("%d items in an order of %d, want at most %d", len(m.items), len(m.order), limit)
	}
	for i := 20_000 - limit; i < 20_000; i++ {
		if _, ok := m.get(i); ok != (i%3 == 0) {
			t.Fatalf("get(%d) = %v", i, ok)
		}
	}
}

// TestBoundedMapKeeps has an entry that others come and go beside.
func TestBoundedMapKeeps(t *testing.T) {
	var m boundedMap[int, int]
	m.put(-1, 0, 10)
	for i := range 1000 {
		m.put(i%2, i, 10)
		m.remove(i % 2)
	}
	if _, ok := m.get(-1); !ok {
		t.Error("the only entry is gone, with a limit of 10")
	}
}

func TestTimes(t *testing.T) {
	var kept times
	k := key{1}
	was, set := time.Unix(1, 0), time.Unix(2, 0)
	if got := kept.or(k, was); got != was {
		t.Errorf("or = %v, want %v", got, was)
	}
	kept.set(k, set)
	if got := kept.or(k, was); got != set {
		t.Errorf("or after set = %v, want %v", got, set)
	}
}
