package filesystem

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"

	"golang.org/x/sys/unix"

	"registryfs/drivers"
)

// Leftovers answers drivers.LeftoversOf: the files that isHidden hides.
func (d *Driver) Leftovers() drivers.Leftovers { return leftovers{d} }

type leftovers struct{ d *Driver }

// All implements drivers.Leftovers. It does not follow symbolic links.
func (l leftovers) All(ctx context.Context, from string) iter.Seq2[drivers.FileInfo, error] {
	return func(yield func(drivers.FileInfo, error) bool) {
		dirs := []string{from}
		for more := true; more && len(dirs) > 0; {
			dir := dirs[len(dirs)-1]
			dirs = dirs[:len(dirs)-1]
			err := readDir(ctx, l.d.local(dir), func(name string, mode fs.FileMode) bool {
				path := dir + "/" + name
				switch {
				case mode.IsDir():
					dirs = append(dirs, path)
				case mode.IsRegular() && isHidden(name):
					more = yield(&childInfo{root: l.d.root, path: path}, nil)
				}
				return more
			})
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				yield(nil, err)
				return
			}
		}
	}
}

// Open implements drivers.Leftovers.
func (l leftovers) Open(_ context.Context, path string) (io.ReadCloser, error) {
	if !isReserved(path) {
		return nil, drivers.PathNotFoundError{Path: path}
	}
	f, err := os.Open(l.d.local(path))
	if err != nil {
		return nil, absence(err, path)
	}
	return f, nil
}

// Remove implements drivers.Leftovers.
func (l leftovers) Remove(_ context.Context, path string) error {
	if !isReserved(path) {
		return drivers.PathNotFoundError{Path: path}
	}
	if err := os.Remove(l.d.local(path)); err != nil {
		return absence(err, path)
	}
	return nil
}

// RemoveDir implements drivers.Leftovers.
func (l leftovers) RemoveDir(_ context.Context, path string) (bool, error) {
	_, err := retry(func() (int, error) { return 0, unix.Rmdir(l.d.local(path)) })
	switch err {
	case nil:
		return true, nil
	case unix.ENOTEMPTY, unix.EEXIST, unix.EBUSY, unix.ENOTDIR, unix.ENOENT:
		return false, nil
	}
	return false, &fs.PathError{Op: "rmdir", Path: l.d.local(path), Err: err}
}
