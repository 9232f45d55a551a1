package filesystem

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"registryfs/drivers"
)

// Move implements drivers.StorageDriver. It is a rename: atomic, and an error
// from one file system to another.
func (d *Driver) Move(_ context.Context, src, dst string) error {
	from, to := d.local(src), d.local(dst)
	st, err := os.Lstat(from)
	if err != nil {
		return absence(err, src)
	}
	if !st.IsDir() && isReserved(src) {
		return drivers.PathNotFoundError{Path: src}
	}
	if isReserved(dst) {
		return drivers.InvalidPathError{Path: dst}
	}
	made := d.dirs.later()
	defer made.end()
	err = os.Rename(from, to)
	if errors.Is(err, fs.ErrNotExist) {
		if err := made.make(filepath.Dir(to)); err != nil {
			return err
		}
		err = os.Rename(from, to)
	}
	if err != nil {
		return err
	}
	if err := errors.Join(d.dropPartial(src), d.dropPartial(dst)); err != nil {
		return err
	}
	return made.settle(filepath.Dir(to), filepath.Dir(from))
}

// Delete implements drivers.StorageDriver. Of a symbolic link it removes the
// link alone.
func (d *Driver) Delete(_ context.Context, path string) error {
	local := d.local(path)
	st, err := os.Lstat(local)
	if err == nil && !st.IsDir() && isReserved(path) {
		return drivers.PathNotFoundError{Path: path}
	}
	if err != nil {
		return errors.Join(absence(err, path), d.dropPartial(path))
	}
	return errors.Join(os.RemoveAll(local), d.dropPartial(path))
}

// Chtimes implements drivers.TimeSetter. It sets the access time as well.
func (d *Driver) Chtimes(_ context.Context, path string, mtime time.Time) error {
	if isReserved(path) {
		return drivers.PathNotFoundError{Path: path}
	}
	if err := os.Chtimes(d.local(path), mtime, mtime); err != nil {
		return absence(err, path)
	}
	return nil
}
