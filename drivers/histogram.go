package drivers

import (
	"sync/atomic"
	"time"
)

// DurationBounds are where the buckets of a Histogram end.
var DurationBounds = [...]time.Duration{
	10 * time.Microsecond, 30 * time.Microsecond, 100 * time.Microsecond, 300 * time.Microsecond,
	time.Millisecond, 3 * time.Millisecond, 10 * time.Millisecond, 30 * time.Millisecond,
	100 * time.Millisecond, 300 * time.Millisecond, time.Second, 3 * time.Second,
	10 * time.Second, 30 * time.Second,
}

// Histogram counts how long things took. Its zero value is empty, and all its
// methods may be called at the same time. To observe costs a few nanoseconds.
type Histogram struct {
	buckets [len(DurationBounds) + 1]atomic.Int64
	sum     atomic.Int64 // nanoseconds
}

// Durations is what a Histogram has seen.
type Durations struct {
	Count  int64
	Sum    time.Duration
	Within [len(DurationBounds)]int64 // how many took at most that bound
}

// Observe counts one thing that took d.
func (h *Histogram) Observe(d time.Duration) {
	i := 0
	for i < len(DurationBounds) && d > DurationBounds[i] {
		i++
	}
	h.buckets[i].Add(1)
	h.sum.Add(int64(d))
}

// Durations tells what was observed.
func (h *Histogram) Durations() Durations {
	var d Durations
	for i := range h.buckets {
		d.Count += h.buckets[i].Load()
		if i < len(d.Within) {
			d.Within[i] = d.Count
		}
	}
	d.Sum = time.Duration(h.sum.Load())
	return d
}
