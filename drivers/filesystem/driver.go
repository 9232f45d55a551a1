package filesystem

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"registryfs/drivers"
)

// Driver is the storage itself. Its methods count on the checks of package
// base; use New.
type Driver struct {
	root string // absolute, without a slash at the end; "" is the root of all
	dirs *dirs
}

// Name implements drivers.StorageDriver.
func (d *Driver) Name() string { return driverName }

// local returns where path is on the disk.
func (d *Driver) local(path string) string {
	if path == "/" && d.root != "" {
		return d.root
	}
	return d.root + path
}

// GetContent implements drivers.StorageDriver.
func (d *Driver) GetContent(_ context.Context, path string) ([]byte, error) {
	content, _, err := d.read(path)
	return content, err
}

// GetContentInfo implements drivers.ContentInfoGetter. Both are of one file,
// even if another takes its name meanwhile.
func (d *Driver) GetContentInfo(_ context.Context, path string) ([]byte, drivers.FileInfo, error) {
	content, mtime, err := d.read(path)
	if err != nil {
		return nil, nil, err
	}
	return content, drivers.FileInfoFields{FullPath: path, Bytes: int64(len(content)), Modified: mtime}, nil
}

// read reads a whole file without the machinery of os.File: trees of links are
// read by the ten thousand.
func (d *Driver) read(path string) ([]byte, time.Time, error) {
	fd, st, err := d.open(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer unix.Close(fd) // only read from: nothing can be lost
	content := make([]byte, st.Size)
	n := 0
	for n < len(content) {
		m, err := retry(func() (int, error) { return unix.Read(fd, content[n:]) })
		if err != nil {
			return nil, time.Time{}, &fs.PathError{Op: "read", Path: d.local(path), Err: err}
		}
		if m == 0 {
			break // truncated since; the registry up to v3.0 writes in place
		}
		n += m
	}
	return content[:n], time.Unix(st.Mtim.Unix()), nil
}

// Reader implements drivers.StorageDriver.
func (d *Driver) Reader(_ context.Context, path string, offset int64) (io.ReadCloser, error) {
	f, size, err := d.openFile(path)
	if err != nil {
		return nil, err
	}
	if offset >= size && offset > 0 {
		// Some file systems refuse to seek that far.
		if err := f.Close(); err != nil {
			return nil, err
		}
		return io.NopCloser(strings.NewReader("")), nil
	}
	if offset > 0 {
		if _, err := f.Seek(offset, io.SeekStart); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return f, nil
}

// OpenFile implements drivers.FileOpener.
func (d *Driver) OpenFile(_ context.Context, path string) (*os.File, error) {
	f, _, err := d.openFile(path)
	return f, err
}

func (d *Driver) openFile(path string) (f *os.File, size int64, err error) {
	fd, st, err := d.open(path)
	if err != nil {
		return nil, 0, err
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		return nil, 0, errors.Join(&fs.PathError{Op: "open", Path: d.local(path), Err: err}, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), d.local(path)), st.Size, nil
}

// open opens a regular file for reading. The descriptor does not block, so that
// a pipe somebody left in the tree cannot stop the call.
func (d *Driver) open(path string) (int, *unix.Stat_t, error) {
	if isReserved(path) {
		return -1, nil, drivers.PathNotFoundError{Path: path}
	}
	local := d.local(path)
	fd, err := retry(func() (int, error) {
		return unix.Open(local, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	})
	if err == unix.ENXIO { // a socket
		return -1, nil, drivers.PathNotFoundError{Path: path}
	}
	if err != nil {
		return -1, nil, absence(&fs.PathError{Op: "open", Path: local, Err: err}, path)
	}
	st := new(unix.Stat_t)
	err = unix.Fstat(fd, st)
	switch {
	case err != nil:
		err = &fs.PathError{Op: "stat", Path: local, Err: err}
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		err = drivers.PathNotFoundError{Path: path}
	default:
		return fd, st, nil
	}
	return -1, nil, errors.Join(err, unix.Close(fd))
}

// Stat implements drivers.StorageDriver. It follows symbolic links.
func (d *Driver) Stat(_ context.Context, path string) (drivers.FileInfo, error) {
	st, err := os.Stat(d.local(path))
	if path == "/" && errors.Is(err, fs.ErrNotExist) {
		return drivers.FileInfoFields{FullPath: path, Dir: true}, nil // not made yet
	}
	if err != nil {
		return nil, absence(err, path)
	}
	if !isShown(path, st.Mode()) {
		return nil, drivers.PathNotFoundError{Path: path}
	}
	info := drivers.FileInfoFields{FullPath: path, Modified: st.ModTime(), Dir: st.IsDir()}
	if !info.Dir {
		info.Bytes = st.Size()
	}
	return info, nil
}

// isShown reports whether what is at path, of this mode, is registry content.
func isShown(path string, mode fs.FileMode) bool {
	return mode.IsDir() || mode.IsRegular() && !isReserved(path)
}

// isReserved reports whether path has a name that hides a file.
func isReserved(path string) bool {
	return path != "/" && isHidden(path[strings.LastIndexByte(path, '/')+1:])
}

// absence turns an error that means there is nothing at path into a
// PathNotFoundError. A file where a directory should be means that too.
func absence(err error, path string) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return drivers.PathNotFoundError{Path: path}
	}
	return err
}
