//go:build !race

package drivers

import (
	"syscall"
	"unsafe"
)

// mapBuffer makes n bytes outside of Go's heap. They stay mapped for ever: who
// reads them after they were given back, as net/http may read the body of a
// request that has failed, gets wrong bytes and no fault.
func mapBuffer(n int64) []byte {
	size := wholePages(n)
	mapped, err := syscall.Mmap(-1, 0, size+LargeBuffer, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return make([]byte, size)[:n:n]
	}
	// A huge page begins at a multiple of its size. What is before and behind is
	// never touched and takes no memory.
	before := -uintptr(unsafe.Pointer(unsafe.SliceData(mapped))) % LargeBuffer
	whole := mapped[before:][:size]
	_ = syscall.Madvise(whole, syscall.MADV_HUGEPAGE) // ordinary pages do too
	return whole[:n:n]
}

// unmapPages gives the memory of a buffer back. What is read of it is zero then.
func unmapPages(buf []byte) {
	whole := unsafe.Slice(unsafe.SliceData(buf), wholePages(int64(len(buf))))
	_ = syscall.Madvise(whole, syscall.MADV_DONTNEED) // else it takes some until it is used again
}

func wholePages(n int64) int {
	return int((n + LargeBuffer - 1) / LargeBuffer * LargeBuffer)
}
