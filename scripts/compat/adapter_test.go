package compat

import (
	"context"
	"errors"
	"io"
	"net/http"

	"registryfs/drivers"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
)

// adapter makes one of our drivers one of distribution's. The two interfaces
// differ in the names of their types only; distribution wants its own error
// types, as values and not wrapped.
type adapter struct {
	d drivers.StorageDriver
}

var _ storagedriver.StorageDriver = adapter{}

func (a adapter) Name() string { return a.d.Name() }

func (a adapter) GetContent(ctx context.Context, path string) ([]byte, error) {
	content, err := a.d.GetContent(ctx, path)
	return content, theirs(err)
}

func (a adapter) PutContent(ctx context.Context, path string, content []byte) error {
	return theirs(a.d.PutContent(ctx, path, content))
}

func (a adapter) Reader(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	r, err := a.d.Reader(ctx, path, offset)
	return r, theirs(err)
}

func (a adapter) Writer(ctx context.Context, path string, append bool) (storagedriver.FileWriter, error) {
	w, err := a.d.Writer(ctx, path, append)
	return w, theirs(err)
}

func (a adapter) Stat(ctx context.Context, path string) (storagedriver.FileInfo, error) {
	info, err := a.d.Stat(ctx, path)
	return info, theirs(err)
}

func (a adapter) List(ctx context.Context, path string) ([]string, error) {
	paths, err := a.d.List(ctx, path)
	return paths, theirs(err)
}

func (a adapter) Move(ctx context.Context, src, dst string) error {
	return theirs(a.d.Move(ctx, src, dst))
}

func (a adapter) Delete(ctx context.Context, path string) error {
	return theirs(a.d.Delete(ctx, path))
}

// RedirectURL redirects nobody: our drivers have no URLs to give.
func (a adapter) RedirectURL(*http.Request, string) (string, error) { return "", nil }

func (a adapter) Walk(ctx context.Context, from string, f storagedriver.WalkFn, options ...func(*storagedriver.WalkOptions)) error {
	var o storagedriver.WalkOptions
	for _, option := range options {
		option(&o)
	}
	return theirs(a.d.Walk(ctx, from, func(info drivers.FileInfo) error {
		switch err := f(info); {
		case errors.Is(err, storagedriver.ErrSkipDir):
			return drivers.ErrSkipDir
		case errors.Is(err, storagedriver.ErrFilledBuffer):
			return drivers.ErrFilledBuffer
		default:
			return err
		}
	}, drivers.WithStartAfterHint(o.StartAfterHint)))
}

// theirs turns our errors into distribution's. It looks at the outermost type
// only, so that a driver that wraps its typed errors is found out.
func theirs(err error) error {
	switch e := err.(type) {
	case drivers.PathNotFoundError:
		return storagedriver.PathNotFoundError{Path: e.Path, DriverName: e.DriverName}
	case drivers.InvalidPathError:
		return storagedriver.InvalidPathError{Path: e.Path, DriverName: e.DriverName}
	case drivers.InvalidOffsetError:
		return storagedriver.InvalidOffsetError{Path: e.Path, Offset: e.Offset, DriverName: e.DriverName}
	case drivers.ErrUnsupportedMethod:
		return storagedriver.ErrUnsupportedMethod{DriverName: e.DriverName}
	case drivers.Error:
		return storagedriver.Error{DriverName: e.DriverName, Detail: e.Detail}
	default:
		return err
	}
}
