package check

import (
	"os"

	"golang.org/x/sys/unix"
)

// dropPages lets go of what memory has of a file, so that it is the disk that is
// read, and memory does not fill with what is read once.
func dropPages(f *os.File) {
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) // it is advice
}
