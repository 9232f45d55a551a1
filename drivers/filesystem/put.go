package filesystem

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sync/errgroup"

	"registryfs/drivers"
)

// maxSyncs is how many files of a batch are written and synced at once.
const maxSyncs = 16

// PutContent implements drivers.StorageDriver.
func (d *Driver) PutContent(ctx context.Context, path string, content []byte) error {
	return d.PutContents(ctx, []drivers.Content{{Path: path, Bytes: content}})
}

// PutContents implements drivers.BatchPutter. The files are synced side by side
// and renamed in order, then the directories are synced, side by side as well:
// a disk takes one flush for all of them. A machine that crashes during those
// last syncs can show a later file without an earlier one only if its file
// system does not keep renames in order; ext4 and XFS do.
func (d *Driver) PutContents(ctx context.Context, files []drivers.Content) error {
	made := d.dirs.later()
	defer made.end()
	temps, err := d.writeTemps(files, made)
	if err != nil {
		return err
	}
	for i, f := range files {
		if err := ctx.Err(); err != nil {
			return errors.Join(err, discard(temps[i:]...))
		}
		if err := d.publish(temps[i], f.Path); err != nil {
			return errors.Join(err, discard(temps[i+1:]...))
		}
	}
	dirs := make([]string, len(files))
	for i, f := range files {
		dirs[i] = filepath.Dir(d.local(f.Path))
	}
	return made.settle(dirs...)
}

// writeTemps makes a temporary file for each of files, or none.
func (d *Driver) writeTemps(files []drivers.Content, made *madeDirs) (names []string, err error) {
	temps := make([]*os.File, 0, len(files))
	defer func() {
		if err != nil {
			for _, f := range temps {
				err = errors.Join(err, discard(f.Name()))
			}
		}
	}()
	var g errgroup.Group
	g.SetLimit(maxSyncs)
	for _, f := range files {
		temp, err := d.createTemp(f.Path, made)
		if err != nil {
			return nil, errors.Join(err, g.Wait())
		}
		temps = append(temps, temp)
		names = append(names, temp.Name())
		g.Go(func() error { return fill(temp, f.Bytes) })
	}
	return names, g.Wait()
}

// PutContentIfAbsent implements drivers.ConditionalPutter. It is link(2) that
// decides, so it is exclusive among all programs. Where there are no hard links
// an empty file is seen for a moment.
func (d *Driver) PutContentIfAbsent(_ context.Context, path string, content []byte) error {
	if isReserved(path) {
		return drivers.InvalidPathError{Path: path}
	}
	local := d.local(path)
	if _, err := os.Lstat(local); err == nil {
		return &fs.PathError{Op: "put", Path: path, Err: fs.ErrExist}
	}
	made := d.dirs.later()
	defer made.end()
	temp, err := d.writeTemp(path, content, made)
	if err != nil {
		return err
	}
	err = os.Link(temp, local)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EPERM) {
		err = d.publishOverEmpty(temp, path)
	} else {
		err = errors.Join(err, discard(temp))
	}
	if err != nil {
		return err
	}
	if err := d.dropPartial(path); err != nil {
		return err
	}
	return made.settle(filepath.Dir(local))
}

// publishOverEmpty gives temp the name path after making sure of it with an
// empty file. On an error neither is left.
func (d *Driver) publishOverEmpty(temp, path string) error {
	f, err := os.OpenFile(d.local(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return errors.Join(err, discard(temp))
	}
	if err := f.Close(); err != nil {
		return errors.Join(err, discard(temp, d.local(path)))
	}
	if err := d.publish(temp, path); err != nil {
		return errors.Join(err, discard(d.local(path)))
	}
	return nil
}

// publish gives temp the name path. On an error temp is gone.
func (d *Driver) publish(temp, path string) error {
	if err := os.Rename(temp, d.local(path)); err != nil {
		return errors.Join(err, discard(temp))
	}
	return d.dropPartial(path)
}

// writeTemp makes a synced temporary file with content beside path and returns
// its name. On an error there is none.
func (d *Driver) writeTemp(path string, content []byte, made *madeDirs) (string, error) {
	f, err := d.createTemp(path, made)
	if err != nil {
		return "", err
	}
	if err := fill(f, content); err != nil {
		return "", errors.Join(err, discard(f.Name()))
	}
	return f.Name(), nil
}

// fill writes, syncs and closes f.
func fill(f *os.File, content []byte) error {
	_, err := f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// createTemp makes an empty temporary file beside path, in a directory made if
// need be.
func (d *Driver) createTemp(path string, made *madeDirs) (*os.File, error) {
	if isReserved(path) {
		return nil, drivers.InvalidPathError{Path: path}
	}
	dir := filepath.Dir(d.local(path))
	// The directory may vanish again before the file is in it, by a Delete of
	// what seemed empty.
	const attempts = 10
	var err error
	for range attempts {
		var f *os.File
		f, err = os.OpenFile(dir+"/"+tempName(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		switch {
		case err == nil:
			return f, nil
		case errors.Is(err, fs.ErrNotExist):
			if err := made.make(dir); err != nil {
				return nil, err
			}
		case !errors.Is(err, fs.ErrExist):
			return nil, err
		}
	}
	return nil, err
}

// dropPartial removes the unfinished write of path, if there is one.
func (d *Driver) dropPartial(path string) error {
	err := os.Remove(d.partial(path))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	return err
}

// partial returns where the unfinished write of path waits.
func (d *Driver) partial(path string) string {
	dir, name := filepath.Split(d.local(path))
	return dir + partialName(name)
}

// discard removes local files; an empty name stands for none.
func discard(names ...string) error {
	var errs []error
	for _, name := range names {
		if name != "" {
			errs = append(errs, os.Remove(name))
		}
	}
	return errors.Join(errs...)
}
