package base

import (
	"context"
	"errors"
	"iter"
	"slices"

	"registryfs/drivers"
)

func (d *driver) checkContext(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return drivers.Error{DriverName: d.Name(), Detail: err}
	}
	return nil
}

// checkPath refuses a dead context and a path that names no file.
func (d *driver) checkPath(ctx context.Context, path string) error {
	if err := d.checkContext(ctx); err != nil {
		return err
	}
	if !drivers.ValidPath(path) {
		return drivers.InvalidPathError{Path: path, DriverName: d.Name()}
	}
	return nil
}

// checkDir is checkPath for the methods that also take the root.
func (d *driver) checkDir(ctx context.Context, path string) error {
	if path == "/" {
		return d.checkContext(ctx)
	}
	return d.checkPath(ctx, path)
}

func (d *driver) checkRead(ctx context.Context, path string, offset int64) error {
	if offset < 0 {
		return drivers.InvalidOffsetError{Path: path, Offset: offset, DriverName: d.Name()}
	}
	return d.checkPath(ctx, path)
}

// seq is a listing of dir with the checks before it and its errors wrapped.
func (d *driver) seq(ctx context.Context, dir string, infos iter.Seq2[drivers.FileInfo, error]) iter.Seq2[drivers.FileInfo, error] {
	return func(yield func(drivers.FileInfo, error) bool) {
		if err := d.checkDir(ctx, dir); err != nil {
			yield(nil, err)
			return
		}
		for info, err := range infos {
			if err != nil {
				yield(nil, d.wrap(err))
				return
			}
			// A flat listing goes through directories that nobody could ask for.
			if drivers.ValidPath(info.Path()) && !yield(info, nil) {
				return
			}
		}
	}
}

// withoutInvalid drops what the storage holds under names that break the path
// rules: nobody could open them.
func withoutInvalid(paths []string) []string {
	return slices.DeleteFunc(paths, func(path string) bool { return !drivers.ValidChild(path) })
}

// wrap puts the driver's name into err. The typed errors come out as plain
// values, because callers compare them; all else becomes one drivers.Error.
func (d *driver) wrap(err error) error {
	if err == nil {
		return nil
	}
	var (
		notFound      drivers.PathNotFoundError
		invalidPath   drivers.InvalidPathError
		invalidOffset drivers.InvalidOffsetError
		unsupported   drivers.ErrUnsupportedMethod
		wrapped       drivers.Error
	)
	switch {
	case errors.As(err, &notFound):
		notFound.DriverName = d.Name()
		return notFound
	case errors.As(err, &invalidPath):
		invalidPath.DriverName = d.Name()
		return invalidPath
	case errors.As(err, &invalidOffset):
		invalidOffset.DriverName = d.Name()
		return invalidOffset
	case errors.As(err, &unsupported):
		unsupported.DriverName = d.Name()
		return unsupported
	case errors.As(err, &wrapped):
		return err
	}
	return drivers.Error{DriverName: d.Name(), Detail: err}
}
