package readahead

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"registryfs/drivers"
)

const (
	minBlock = 64 << 10
	maxBlock = drivers.LargeBuffer
)

// block is a piece of memory, of a size that is a power of two. It is in use as
// long as there are references to it.
type block struct {
	buf    []byte
	budget *drivers.Budget // gets len(buf) back
	refs   atomic.Int32
}

// free holds the memory of former blocks, by size. Those of maxBlock have theirs
// of the budget.
var free [5]sync.Pool

// blockSize is the size of a block for n bytes.
func blockSize(n int64) int64 {
	if n <= minBlock {
		return minBlock
	}
	return min(maxBlock, int64(1)<<bits.Len64(uint64(n-1)))
}

func sizeClass(n int64) int { return bits.TrailingZeros64(uint64(n / minBlock)) }

// newBlock makes a block for n bytes, of memory that the caller has taken from
// the budget, with one reference.
func newBlock(n int64, budget *drivers.Budget) *block {
	var b *block
	size := blockSize(n)
	if size < maxBlock {
		b, _ = free[sizeClass(size)].Get().(*block)
	}
	if b == nil {
		b = &block{buf: budget.Buffer(size)}
	}
	b.budget = budget
	b.refs.Store(1)
	return b
}

func (b *block) release() {
	if b.refs.Add(-1) > 0 {
		return
	}
	budget, buf := b.budget, b.buf
	if size := int64(len(buf)); size < maxBlock {
		free[sizeClass(size)].Put(b)
	}
	budget.GiveBack(buf)
}

// View is what a read has found: in the reader's buffer, or in memory that is
// not to be changed and has to be released.
type View struct {
	Bytes  [][]byte
	blocks []*block
}

// Len is how many bytes it has.
func (v *View) Len() int {
	n := 0
	for _, b := range v.Bytes {
		n += len(b)
	}
	return n
}

// CopyTo copies the bytes to p, where they may be already, and returns how many
// there are. p is the buffer that was read with.
func (v *View) CopyTo(p []byte) int {
	n := 0
	for _, b := range v.Bytes {
		n += copy(p[n:], b)
	}
	return n
}

// Release ends the use of the bytes.
func (v *View) Release() {
	for _, b := range v.blocks {
		b.release()
	}
	v.Bytes, v.blocks = nil, nil
}
