package filesystem

import (
	"bytes"
	"context"
	"encoding/binary"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// direntBuffers are what getdents64(2) fills, one for each listing under way.
var direntBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// readDir calls each with the entries of a local directory until that is false.
// A registry's tree is made of directories with one entry, and for those the
// machinery of os.File costs several times what the three system calls do.
func readDir(ctx context.Context, local string, each func(name string, mode fs.FileMode) bool) error {
	fd, err := retry(func() (int, error) {
		return unix.Open(local, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return &fs.PathError{Op: "open", Path: local, Err: err}
	}
	defer unix.Close(fd) // only read from: nothing can be lost
	buf := direntBuffers.Get().(*[32 << 10]byte)
	defer direntBuffers.Put(buf)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := retry(func() (int, error) { return unix.Getdents(fd, buf[:]) })
		if err != nil {
			return &fs.PathError{Op: "readdir", Path: local, Err: err}
		}
		if n == 0 || !eachDirent(buf[:n], local, each) {
			return nil
		}
	}
}

// eachDirent goes through what getdents64(2) has filled in: for each entry the
// inode (8 bytes), an offset (8), the record's length (2), the type (1) and the
// name, which ends with a NUL. It reports whether each wants more.
func eachDirent(buf []byte, local string, each func(name string, mode fs.FileMode) bool) bool {
	for len(buf) > 19 {
		length := binary.NativeEndian.Uint16(buf[16:])
		kind, name := buf[18], buf[19:length]
		buf = buf[length:]
		if end := bytes.IndexByte(name, 0); end >= 0 {
			name = name[:end]
		}
		if string(name) == "." || string(name) == ".." {
			continue
		}
		mode, ok := modeOf(kind)
		if !ok {
			st, err := os.Lstat(local + "/" + string(name))
			if err != nil {
				continue // gone
			}
			mode = st.Mode().Type()
		}
		if !each(string(name), mode) {
			return false
		}
	}
	return true
}

// modeOf is the file type of a d_type. Some file systems do not know it.
func modeOf(kind byte) (mode fs.FileMode, ok bool) {
	switch kind {
	case unix.DT_REG:
		return 0, true
	case unix.DT_DIR:
		return fs.ModeDir, true
	case unix.DT_LNK:
		return fs.ModeSymlink, true
	case unix.DT_UNKNOWN:
		return 0, false
	}
	return fs.ModeIrregular, true
}
