package base_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"syscall"
	"testing"

	"registryfs/drivers"
	"registryfs/drivers/base"
	"registryfs/drivers/drivertest"
	"registryfs/drivers/inmemory"
)

func TestBase(t *testing.T) {
	drivertest.Run(t, func(*testing.T) drivers.StorageDriver { return base.New(inmemory.New()) })
}

func TestBaseOverFallback(t *testing.T) {
	drivertest.Run(t, func(*testing.T) drivers.StorageDriver {
		return base.New(drivertest.Fallback(inmemory.New()))
	})
}

// failing returns err from what is called here, and panics elsewhere.
type failing struct {
	drivers.StorageDriver
	err error
}

func (failing) Name() string                                       { return "failing" }
func (f failing) PutContent(context.Context, string, []byte) error { return f.err }

func (f failing) Walk(_ context.Context, _ string, fn drivers.WalkFn, _ ...func(*drivers.WalkOptions)) error {
	if err := fn(drivers.FileInfoFields{FullPath: "/file"}); err != nil {
		return drivers.Error{DriverName: "inside", Detail: err}
	}
	return f.err
}

func TestBaseShapesErrors(t *testing.T) {
	cause := &fs.PathError{Op: "write", Path: "/x", Err: syscall.ENOSPC}
	wrapped := drivers.Error{DriverName: "failing", Detail: cause}
	for _, test := range []struct{ err, want error }{
		{nil, nil},
		{drivers.PathNotFoundError{Path: "/a"}, drivers.PathNotFoundError{Path: "/a", DriverName: "failing"}},
		{fmt.Errorf("more: %w", drivers.PathNotFoundError{Path: "/a"}), drivers.PathNotFoundError{Path: "/a", DriverName: "failing"}},
		{drivers.InvalidPathError{Path: "/a"}, drivers.InvalidPathError{Path: "/a", DriverName: "failing"}},
		{drivers.InvalidOffsetError{Path: "/a", Offset: 1}, drivers.InvalidOffsetError{Path: "/a", Offset: 1, DriverName: "failing"}},
		{drivers.ErrUnsupportedMethod{}, drivers.ErrUnsupportedMethod{DriverName: "failing"}},
		{cause, wrapped},
		{wrapped, wrapped},
		{context.Canceled, drivers.Error{DriverName: "failing", Detail: context.Canceled}},
	} {
		d := base.New(failing{err: test.err})
		if got := d.PutContent(t.Context(), "/a", nil); got != test.want {
			t.Errorf("%#v comes out as %#v, want %#v", test.err, got, test.want)
		}
	}
}

func TestBaseWalkErrors(t *testing.T) {
	d := base.New(failing{err: syscall.EIO})
	err := d.Walk(t.Context(), "/", func(drivers.FileInfo) error { return nil })
	if want := (drivers.Error{DriverName: "failing", Detail: syscall.EIO}); err != error(want) {
		t.Errorf("Walk = %#v, want %#v", err, want)
	}
	mine := errors.New("mine")
	err = d.Walk(t.Context(), "/", func(drivers.FileInfo) error { return mine })
	if err != mine {
		t.Errorf("Walk whose callback fails = %#v, want the callback's %#v", err, mine)
	}
}

// odd lists names that no call could use.
type odd struct{ drivers.StorageDriver }

func (o odd) List(ctx context.Context, dir string) ([]string, error) {
	paths, err := o.StorageDriver.List(ctx, dir)
	return append(paths, "/dir/lost+found", "/dir/marker/", "/dir/.."), err
}

func (o odd) ListInfo(ctx context.Context, dir string) iter.Seq2[drivers.FileInfo, error] {
	return func(yield func(drivers.FileInfo, error) bool) {
		if !yield(drivers.FileInfoFields{FullPath: "/dir/lost+found", Dir: true}, nil) {
			return
		}
		drivers.ListInfo(ctx, o.StorageDriver, dir)(yield)
	}
}

func (o odd) Walk(ctx context.Context, from string, fn drivers.WalkFn, options ...func(*drivers.WalkOptions)) error {
	return drivers.Walk(ctx, o, from, fn, options...)
}

func TestBaseHidesInvalidNames(t *testing.T) {
	inner := inmemory.New()
	if err := inner.PutContent(t.Context(), "/dir/file", nil); err != nil {
		t.Fatal(err)
	}
	d := base.New(odd{inner})
	paths, err := d.List(t.Context(), "/dir")
	if err != nil {
		t.Fatalf("List = %v", err)
	}
	var infos, walked []string
	for info, err := range drivers.ListInfo(t.Context(), d, "/dir") {
		if err != nil {
			t.Fatalf("ListInfo = %v", err)
		}
		infos = append(infos, info.Path())
	}
	if err := d.Walk(t.Context(), "/dir", func(info drivers.FileInfo) error {
		walked = append(walked, info.Path())
		return nil
	}); err != nil {
		t.Fatalf("Walk = %v", err)
	}
	for how, got := range map[string][]string{"List": paths, "ListInfo": infos, "Walk": walked} {
		if want := []string{"/dir/file"}; !slices.Equal(got, want) {
			t.Errorf("%s = %q, want %q", how, got, want)
		}
	}
}
