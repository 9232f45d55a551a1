//go:build race

package fusefs

import "iter"

// suspend does as iter.Pull with a goroutine. Of coroutines the race detector keeps
// something for ever: a gigabyte after three walks of a store.
func suspend[T any](seq iter.Seq[T]) (next func() (T, bool), stop func()) {
	want, got := make(chan struct{}), make(chan T)
	go func() {
		defer close(got)
		if _, ok := <-want; !ok {
			return
		}
		for v := range seq {
			got <- v
			if _, ok := <-want; !ok {
				return
			}
		}
	}()
	next = func() (T, bool) {
		want <- struct{}{}
		v, ok := <-got
		return v, ok
	}
	stop = func() {
		close(want)
		for range got {
		}
	}
	return next, stop
}
