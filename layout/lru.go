package layout

import (
	"container/list"
	"sync"
)

// lru keeps what was used last, up to a total cost.
type lru[K comparable, V any] struct {
	max int

	mu      sync.Mutex // guards the following
	cost    int
	entries map[K]*list.Element
	order   list.List // of lruEntry[K, V], the last used first
}

type lruEntry[K comparable, V any] struct {
	key   K
	value V
	cost  int
}

func newLRU[K comparable, V any](max int) *lru[K, V] {
	return &lru[K, V]{max: max, entries: make(map[K]*list.Element)}
}

func (c *lru[K, V]) get(key K) (value V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if !ok {
		return value, false
	}
	c.order.MoveToFront(e)
	return e.Value.(lruEntry[K, V]).value, true
}

// update replaces the value of key by what fn makes of it; fn must not call the
// cache. What costs more than a quarter of the whole is not kept.
func (c *lru[K, V]) update(key K, fn func(old V, ok bool) (value V, cost int)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var old V
	e, ok := c.entries[key]
	if ok {
		old = e.Value.(lruEntry[K, V]).value
		c.drop(e)
	}
	value, cost := fn(old, ok)
	if cost > c.max/4 {
		return
	}
	c.entries[key] = c.order.PushFront(lruEntry[K, V]{key, value, cost})
	c.cost += cost
	for c.cost > c.max {
		c.drop(c.order.Back())
	}
}

func (c *lru[K, V]) put(key K, value V, cost int) {
	c.update(key, func(V, bool) (V, int) { return value, cost })
}

func (c *lru[K, V]) forget(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[key]; ok {
		c.drop(e)
	}
}

// drop is called with the lock held.
func (c *lru[K, V]) drop(e *list.Element) {
	entry := c.order.Remove(e).(lruEntry[K, V])
	delete(c.entries, entry.key)
	c.cost -= entry.cost
}
