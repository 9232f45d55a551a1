package fusefs

import "sync"

// boundedMap keeps the newest entries up to a limit. Its zero value is usable.
type boundedMap[K comparable, V any] struct {
	mu    sync.Mutex // guards the following
	items map[K]dated[V]
	order []dated[K] // oldest first; those that items does not have with that date are dead
	clock uint64
}

type dated[T any] struct {
	value T
	at    uint64
}

func (m *boundedMap[K, V]) get(k K) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.items[k]
	return d.value, ok
}

func (m *boundedMap[K, V]) put(k K, v V, limit int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.items == nil {
		m.items = map[K]dated[V]{}
	}
	old, ok := m.items[k]
	if !ok {
		m.clock++
		old.at = m.clock
		m.order = append(m.order, dated[K]{k, m.clock})
	}
	m.items[k] = dated[V]{v, old.at}
	for len(m.items) > limit {
		m.dropOldest()
	}
	if len(m.order) > 2*len(m.items)+64 {
		m.compact()
	}
}

func (m *boundedMap[K, V]) dropOldest() {
	first := m.order[0]
	m.order = m.order[1:]
	if m.items[first.value].at == first.at {
		delete(m.items, first.value)
	}
}

// compact forgets the order of what is gone.
func (m *boundedMap[K, V]) compact() {
	live := make([]dated[K], 0, len(m.items))
	for _, d := range m.order {
		if m.items[d.value].at == d.at {
			live = append(live, d)
		}
	}
	m.order = live
}

func (m *boundedMap[K, V]) remove(k K) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.items[k]
	delete(m.items, k)
	return ok
}

func (m *boundedMap[K, V]) size() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.items)
}

// keys returns those that match.
func (m *boundedMap[K, V]) keys(match func(K) bool) []K {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []K
	for k := range m.items {
		if match(k) {
			out = append(out, k)
		}
	}
	return out
}
