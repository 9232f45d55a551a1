//go:build !race

package drivers

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapBuffer makes n bytes outside of Go's heap. They stay mapped for ever: who
// reads them after they were given back, as net/http may read the body of a
// request that has failed, gets wrong bytes and no fault.
func mapBuffer(n int64) []byte {
	size := wholePages(n)
	mapped, err := unix.MmapPtr(-1, 0, nil, size+LargeBuffer, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return make([]byte, size)[:n:n]
	}
	// A huge page begins at a multiple of its size. What is cut off had no memory.
	before := -uintptr(mapped) % LargeBuffer
	start := unsafe.Add(mapped, before)
	if before > 0 {
		_ = unix.MunmapPtr(mapped, before)
	}
	_ = unix.MunmapPtr(unsafe.Add(start, size), LargeBuffer-before)
	whole := unsafe.Slice((*byte)(start), size)
	_ = unix.Madvise(whole, unix.MADV_HUGEPAGE) // ordinary pages do too
	return whole[:n:n]
}

// unmapPages gives the memory of a buffer back. What is read of it is zero then.
func unmapPages(buf []byte) {
	whole := unsafe.Slice(&buf[0], wholePages(int64(len(buf))))
	_ = unix.Madvise(whole, unix.MADV_DONTNEED) // else it takes some until it is used again
}

func wholePages(n int64) uintptr {
	return uintptr((n + LargeBuffer - 1) / LargeBuffer * LargeBuffer)
}
