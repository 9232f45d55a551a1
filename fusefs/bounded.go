package fusefs

import "sync"

// boundedMap keeps the newest entries up to a limit. Its zero value is usable.
type boundedMap[K comparable, V any] struct {
	mu    sync.Mutex // guards the following
	items map[K]V
	order []K // oldest first; a key that was deleted or put again may be in it twice
}

func (m *boundedMap[K, V]) get(k K) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.items[k]
	return v, ok
}

func (m *boundedMap[K, V]) put(k K, v V, limit int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.items == nil {
		m.items = map[K]V{}
	}
	if _, ok := m.items[k]; !ok {
		m.order = append(m.order, k)
	}
	m.items[k] = v
	for len(m.items) > limit || len(m.order) > 2*limit {
		delete(m.items, m.order[0])
		m.order = m.order[1:]
	}
}

func (m *boundedMap[K, V]) remove(k K) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.items[k]
	delete(m.items, k)
	return ok
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
