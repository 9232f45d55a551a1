//go:build !race

package fusefs

import "iter"

// suspend lets a sequence wait where it is between its elements. To go on takes
// a switch of coroutines, and no other thread: goroutines that take turns have
// the scheduler wake one for each turn, and ls -lR of a registry in S3 took an
// eighth longer with them.
func suspend[T any](seq iter.Seq[T]) (next func() (T, bool), stop func()) { return iter.Pull(seq) }
