package drivertest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"registryfs/drivers"
)

func testRoot(t *testing.T, d drivers.StorageDriver) {
	wantListed(t, d, "/")
	info, err := d.Stat(t.Context(), "/")
	if err != nil {
		t.Fatalf("Stat(/) of an empty store = %v", err)
	}
	if info.Path() != "/" || !info.IsDir() || info.Size() != 0 {
		t.Errorf("Stat(/) = %q, dir %v, size %d, want the directory /", info.Path(), info.IsDir(), info.Size())
	}
	if err := d.Walk(t.Context(), "/", func(info drivers.FileInfo) error {
		t.Errorf("Walk of an empty store meets %q", info.Path())
		return nil
	}); err != nil {
		t.Errorf("Walk of an empty store = %v", err)
	}
}

func testValidPaths(t *testing.T, d drivers.StorageDriver) {
	for _, path := range []string{
		"/a", "/2", "/aa", "/a.2", "/0-9/abcdefg", "/abcdefg/z.75", "/abc/1.2.3.4.5-6_zyx/123.z/4",
		"/docker/docker-registry", "/123.abc", "/.abc0", "/a--b", "/a-.b", "/_.abc", "/Docker/docker-registry",
		"/Abc/Cba", "/abc./abc", "/.../..a/a..", "/" + strings.Repeat("n", 255),
	} {
		put(t, d, path, []byte(path))
		wantContent(t, d, path, []byte(path))
	}
}

// badPaths no driver may ever see.
var badPaths = []string{
	"", "abc", "123.abc", "//bcd", "/abc_123/", "/a//b", "/a b", "/a:b", "/a+b", "/ä", "/a\x00", "/a\n",
	"/.", "/..", "/../a", "/a/..", "/a/../b", "/./a", "/a/./b", "/a/.",
}

func testInvalidPaths(t *testing.T, d drivers.StorageDriver) {
	putAll(t, d, "/file")
	for name, call := range calls(d) {
		paths := badPaths
		if !call.takesRoot {
			paths = append([]string{"/"}, paths...)
		}
		for _, path := range paths {
			wantError(t, name, call.do(t.Context(), path), drivers.InvalidPathError{Path: path, DriverName: d.Name()})
		}
	}
	wantError(t, "Move from", d.Move(t.Context(), "/..", "/a"), drivers.InvalidPathError{Path: "/..", DriverName: d.Name()})
	err := d.PutContent(t.Context(), "/../x", nil)
	if err == nil || !strings.Contains(err.Error(), d.Name()) {
		t.Errorf("the message %q does not name the driver", err)
	}
	wantListed(t, d, "/", "/file")
}

func testCancelledContext(t *testing.T, d drivers.StorageDriver) {
	putAll(t, d, "/dir/file")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range calls(d) {
		if err := call.do(ctx, "/dir/file"); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a cancelled context = %v, want context.Canceled", name, err)
		}
	}
	if _, err := drivers.StatFS(ctx, d); !errors.Is(err, context.Canceled) && !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("StatFS with a cancelled context = %v, want context.Canceled", err)
	}
	wantContent(t, d, "/dir/file", []byte("/dir/file"))
	wantListed(t, d, "/dir", "/dir/file")
}

type call struct {
	do        func(ctx context.Context, path string) error
	takesRoot bool
}

// calls is every call that takes a path.
func calls(d drivers.StorageDriver) map[string]call {
	file := func(do func(ctx context.Context, path string) error) call { return call{do: do} }
	dir := func(do func(ctx context.Context, path string) error) call { return call{do: do, takesRoot: true} }
	content := []byte("content")
	return map[string]call{
		"GetContent": file(func(ctx context.Context, path string) error { _, err := d.GetContent(ctx, path); return err }),
		"PutContent": file(func(ctx context.Context, path string) error { return d.PutContent(ctx, path, content) }),
		"Reader":     file(func(ctx context.Context, path string) error { _, err := d.Reader(ctx, path, 0); return err }),
		"Writer":     file(func(ctx context.Context, path string) error { _, err := d.Writer(ctx, path, false); return err }),
		"append":     file(func(ctx context.Context, path string) error { _, err := d.Writer(ctx, path, true); return err }),
		"Stat":       dir(func(ctx context.Context, path string) error { _, err := d.Stat(ctx, path); return err }),
		"List":       dir(func(ctx context.Context, path string) error { _, err := d.List(ctx, path); return err }),
		"Move":       file(func(ctx context.Context, path string) error { return d.Move(ctx, "/file", path) }),
		"Delete":     file(func(ctx context.Context, path string) error { return d.Delete(ctx, path) }),
		"Walk": dir(func(ctx context.Context, path string) error {
			return d.Walk(ctx, path, func(drivers.FileInfo) error { return nil })
		}),
		"ListInfo": dir(func(ctx context.Context, path string) error {
			for _, err := range drivers.ListInfo(ctx, d, path) {
				return err
			}
			return nil
		}),
		"WalkInfo": dir(func(ctx context.Context, path string) error {
			for _, err := range drivers.WalkInfo(ctx, d, path, "") {
				return err
			}
			return nil
		}),
		"GetContentInfo": file(func(ctx context.Context, path string) error {
			_, _, err := drivers.GetContentInfo(ctx, d, path)
			return err
		}),
		"PutContentIfAbsent": file(func(ctx context.Context, path string) error {
			return drivers.PutContentIfAbsent(ctx, d, path, content)
		}),
		"PutContents": file(func(ctx context.Context, path string) error {
			return drivers.PutContents(ctx, d, []drivers.Content{{Path: path, Bytes: content}})
		}),
		"ReadRange": file(func(ctx context.Context, path string) error {
			_, err := drivers.ReadRange(ctx, d, path, 0, 1)
			return err
		}),
	}
}

// testChtimes takes no for an answer, and else looks at the effect.
func testChtimes(t *testing.T, d drivers.StorageDriver) {
	putAll(t, d, "/dir/file")
	want := time.Date(2021, 3, 4, 5, 6, 7, 0, time.UTC)
	for _, path := range []string{"/dir/file", "/dir"} {
		err := drivers.Chtimes(t.Context(), d, path, want)
		if errors.Is(err, errors.ErrUnsupported) {
			wantError(t, "Chtimes", err, drivers.ErrUnsupportedMethod{DriverName: d.Name()})
			continue
		}
		if err != nil {
			t.Fatalf("Chtimes(%q) = %v", path, err)
		}
		info, err := d.Stat(t.Context(), path)
		if err != nil || !info.ModTime().Equal(want) {
			t.Errorf("Stat(%q) after Chtimes = %v, %v, want %v", path, info, err, want)
		}
	}
	err := drivers.Chtimes(t.Context(), d, "/missing", want)
	if !errors.Is(err, errors.ErrUnsupported) {
		wantError(t, "Chtimes", err, notFound(d, "/missing"))
		err = drivers.Chtimes(t.Context(), d, "/dir/..", want)
		wantError(t, "Chtimes", err, drivers.InvalidPathError{Path: "/dir/..", DriverName: d.Name()})
	}
	wantContent(t, d, "/dir/file", []byte("/dir/file"))
}

func testCopyFrom(t *testing.T, d drivers.StorageDriver) {
	const size = 6 << 20 // more than one part may have
	large := random(size)
	put(t, d, "/large", large)
	putAll(t, d, "/dir/file", "/old")
	err := drivers.CopyFrom(t.Context(), d, drivers.CopySource(d, "/dir/file"), "/new/file")
	if errors.Is(err, errors.ErrUnsupported) {
		wantError(t, "CopyFrom", err, drivers.ErrUnsupportedMethod{DriverName: d.Name()})
		wantAbsent(t, d, "/new/file")
		return
	}
	if err != nil {
		t.Fatalf("CopyFrom = %v", err)
	}
	wantContent(t, d, "/new/file", []byte("/dir/file"))
	for source, path := range map[string]string{"/dir/file": "/old", "/large": "/new/large"} {
		if err := drivers.CopyFrom(t.Context(), d, drivers.CopySource(d, source), path); err != nil {
			t.Errorf("CopyFrom(%q, %q) = %v", source, path, err)
		}
	}
	wantContent(t, d, "/old", []byte("/dir/file"))
	wantContent(t, d, "/new/large", large)
	err = drivers.CopyFrom(t.Context(), d, drivers.CopySource(d, "/missing"), "/old")
	wantError(t, "CopyFrom of nothing", err, notFound(d, "/missing"))
	err = drivers.CopyFrom(t.Context(), d, drivers.CopySource(d, "/old"), "/dir/..")
	wantError(t, "CopyFrom", err, drivers.InvalidPathError{Path: "/dir/..", DriverName: d.Name()})
	err = drivers.CopyFrom(t.Context(), d, "another's", "/old")
	wantError(t, "CopyFrom of another store", err, drivers.ErrUnsupportedMethod{DriverName: d.Name()})
	wantContent(t, d, "/old", []byte("/dir/file"))
}

func testStatFS(t *testing.T, d drivers.StorageDriver) {
	info, err := drivers.StatFS(t.Context(), d)
	if errors.Is(err, errors.ErrUnsupported) {
		wantError(t, "StatFS", err, drivers.ErrUnsupportedMethod{DriverName: d.Name()})
		return
	}
	if err != nil {
		t.Fatalf("StatFS = %v", err)
	}
	if info.BlockSize <= 0 || info.Blocks == 0 || info.Free > info.Blocks || info.Available > info.Free {
		t.Errorf("StatFS = %+v, which cannot be", info)
	}
}
