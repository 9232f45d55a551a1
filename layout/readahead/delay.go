package readahead

import (
	"sync/atomic"
	"time"
)

// nearTime is within what a store that is near begins to answer. None farther
// away does, and S3 itself hardly ever.
const nearTime = 8 * time.Millisecond

// delay is how soon a store begins to answer: the least of late, for a store that
// has much to do is slow for all but a few requests. It is forgotten by a 64th
// with each answer.
type delay struct {
	least atomic.Int64 // nanoseconds; 0 before the first answer
}

func (d *delay) saw(took time.Duration) {
	least := d.least.Load()
	if least > 0 {
		took = min(took, time.Duration(least+least/64+1))
	}
	d.least.Store(int64(took)) // of two at once one may be lost
}

func (d *delay) isNear() bool {
	least := time.Duration(d.least.Load())
	return least > 0 && least < nearTime
}

// parts is how many parts of a window the store is to be asked for at once, and the
// most bytes of each.
func (d *delay) parts() (n int, size int64) {
	if d.isNear() {
		return nearParts, nearPart
	}
	return maxParts, maxPart
}
