package layout

import (
	"context"
	"sync"
)

// keyedLock is a mutex for each key that waits no longer than a context.
type keyedLock struct {
	mu   sync.Mutex // guards the following
	held map[string]chan struct{}
}

// lock waits until key is free and takes it; unlock gives it back.
func (l *keyedLock) lock(ctx context.Context, key string) (unlock func(), err error) {
	for {
		l.mu.Lock()
		if l.held == nil {
			l.held = make(map[string]chan struct{})
		}
		busy, ok := l.held[key]
		if !ok {
			free := make(chan struct{})
			l.held[key] = free
			l.mu.Unlock()
			return func() {
				l.mu.Lock()
				delete(l.held, key)
				l.mu.Unlock()
				close(free)
			}, nil
		}
		l.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
