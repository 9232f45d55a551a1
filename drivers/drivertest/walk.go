package drivertest

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"testing"

	"registryfs/drivers"
)

// walkFiles is a tree in which the order of bytes is not that of a walk:
// walkOrder is that of a walk and flatOrder that of the bytes.
var (
	walkFiles = []string{"/w/a/b/c", "/w/a/b-c/d", "/w/a/b.c", "/w/a-b", "/w/a.b/x", "/w/B", "/w/b", "/other/file"}
	walkOrder = []string{
		"/w/B", "/w/a", "/w/a/b", "/w/a/b/c", "/w/a/b-c", "/w/a/b-c/d", "/w/a/b.c",
		"/w/a-b", "/w/a.b", "/w/a.b/x", "/w/b",
	}
	flatOrder = []string{"/w/B", "/w/a-b", "/w/a.b/x", "/w/a/b-c/d", "/w/a/b.c", "/w/a/b/c", "/w/b"}
)

func walked(t *testing.T, d drivers.StorageDriver, from string, result func(path string) error, options ...func(*drivers.WalkOptions)) ([]string, error) {
	t.Helper()
	var met []string
	err := d.Walk(t.Context(), from, func(info drivers.FileInfo) error {
		met = append(met, info.Path())
		return result(info.Path())
	}, options...)
	return met, err
}

func goOn(string) error { return nil }

func wantWalked(t *testing.T, what string, got []string, err error, want []string) {
	t.Helper()
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%s: met %q, %v, want %q", what, got, err, want)
	}
}

func testWalkOrder(t *testing.T, d drivers.StorageDriver) {
	putAll(t, d, walkFiles...)
	met, err := walked(t, d, "/w", goOn)
	wantWalked(t, "Walk", met, err, walkOrder)
	met, err = walked(t, d, "/", goOn)
	wantWalked(t, "Walk of the root", met, err, append([]string{"/other", "/other/file", "/w"}, walkOrder...))
	err = d.Walk(t.Context(), "/w/a", func(info drivers.FileInfo) error {
		if info.Path() == "/w/a/b" || info.Path() == "/w/a/b-c" {
			if !info.IsDir() {
				t.Errorf("Walk: %q is no directory", info.Path())
			}
			return nil
		}
		wantFile(t, info, info.Path(), int64(len(info.Path())))
		wantContent(t, d, info.Path(), []byte(info.Path()))
		return nil
	})
	if err != nil {
		t.Errorf("Walk = %v", err)
	}
}

func testWalkSkip(t *testing.T, d drivers.StorageDriver) {
	putAll(t, d, walkFiles...)
	met, err := walked(t, d, "/w", func(path string) error {
		// Of a file, there is nothing to skip.
		if path == "/w/a/b" || path == "/w/a.b" || path == "/w/B" {
			return drivers.ErrSkipDir
		}
		return nil
	})
	wantWalked(t, "Walk", met, err, []string{
		"/w/B", "/w/a", "/w/a/b", "/w/a/b-c", "/w/a/b-c/d", "/w/a/b.c", "/w/a-b", "/w/a.b", "/w/b",
	})
}

func testWalkStop(t *testing.T, d drivers.StorageDriver) {
	putAll(t, d, walkFiles...)
	for i, stop := range walkOrder {
		met, err := walked(t, d, "/w", func(path string) error {
			if path == stop {
				return drivers.ErrFilledBuffer
			}
			return nil
		})
		wantWalked(t, "Walk that stops at "+stop, met, err, walkOrder[:i+1])
	}
}

func testWalkError(t *testing.T, d drivers.StorageDriver) {
	putAll(t, d, walkFiles...)
	// The last is one that a walk itself might take for its own.
	for _, want := range []error{errors.New("enough"), fs.ErrNotExist, drivers.PathNotFoundError{Path: "/w/a/b", DriverName: "another"}} {
		met, err := walked(t, d, "/w", func(path string) error {
			if path == "/w/a/b/c" {
				return want
			}
			return nil
		})
		wantError(t, "Walk", err, want)
		wantWalked(t, "Walk that fails", met, nil, walkOrder[:4])
	}
	ctx, cancel := context.WithCancel(t.Context())
	met := 0
	err := d.Walk(ctx, "/w", func(drivers.FileInfo) error {
		met++
		cancel()
		return nil
	})
	if met != 1 || !errors.Is(err, context.Canceled) {
		t.Errorf("Walk cancelled at the first entry met %d, %v, want context.Canceled", met, err)
	}
}

func testWalkHint(t *testing.T, d drivers.StorageDriver) {
	putAll(t, d, walkFiles...)
	hints := append([]string{"/", "/a", "/w", "/w/A", "/w/a/b/a", "/w/a/b/z", "/w/a/b/c/below", "/w/a/zz", "/w/zzz", "/x"}, walkOrder...)
	for _, hint := range hints {
		var want, wantFiles []string
		for _, path := range walkOrder {
			if drivers.ComparePaths(path, hint) > 0 {
				want = append(want, path)
			}
		}
		for _, path := range flatOrder {
			if path > hint {
				wantFiles = append(wantFiles, path)
			}
		}
		met, err := walked(t, d, "/w", goOn, drivers.WithStartAfterHint(hint))
		wantWalked(t, "Walk after "+hint, met, err, want)
		wantWalkInfo(t, d, "/w", hint, wantFiles)
	}
	met, err := walked(t, d, "/w", func(string) error { return drivers.ErrFilledBuffer }, drivers.WithStartAfterHint("/w/a/b/c"))
	wantWalked(t, "Walk that stops below the hint", met, err, []string{"/w/a/b-c"})
}

func testWalkMissing(t *testing.T, d drivers.StorageDriver) {
	putAll(t, d, "/dir/file")
	for _, from := range []string{"/missing", "/di", "/dir/file"} {
		met, err := walked(t, d, from, goOn)
		wantError(t, "Walk "+from, err, notFound(d, from))
		if len(met) != 0 {
			t.Errorf("Walk(%q) met %q", from, met)
		}
		for info, err := range drivers.WalkInfo(t.Context(), d, from, "") {
			wantError(t, "WalkInfo "+from, err, notFound(d, from))
			if info != nil {
				t.Errorf("WalkInfo(%q) gives %q", from, info.Path())
			}
		}
		if files, next, err := drivers.WalkPage(t.Context(), d, from, ""); len(files) != 0 || next != "" || err != nil {
			t.Errorf("WalkPage(%q) = %d files, %q, %v, want nothing", from, len(files), next, err)
		}
	}
	// A directory that goes away under the walk is no error.
	putAll(t, d, "/w/a/file", "/w/b/file", "/w/c")
	met, err := walked(t, d, "/w", func(path string) error {
		if path == "/w/a" {
			return d.Delete(t.Context(), "/w/a")
		}
		return nil
	})
	met = slices.DeleteFunc(met, func(path string) bool { return path == "/w/a/file" }) // it may be known already
	wantWalked(t, "Walk beside a Delete", met, err, []string{"/w/a", "/w/b", "/w/b/file", "/w/c"})
}

func testWalkInfo(t *testing.T, d drivers.StorageDriver) {
	putAll(t, d, walkFiles...)
	wantWalkInfo(t, d, "/w", "", flatOrder)
	wantWalkInfo(t, d, "/w/a.b", "", []string{"/w/a.b/x"})
	met := 0
	for info, err := range drivers.WalkInfo(t.Context(), d, "/w", "") {
		if err != nil {
			t.Fatalf("WalkInfo = %v", err)
		}
		wantFile(t, info, info.Path(), int64(len(info.Path())))
		wantContent(t, d, info.Path(), []byte(info.Path()))
		if met++; met == 3 {
			break
		}
	}
}

// wantWalkInfo lists flat, in one go and page by page.
func wantWalkInfo(t *testing.T, d drivers.StorageDriver, from, startAfter string, want []string) {
	t.Helper()
	var paged []string
	for next, pages := startAfter, 0; ; pages++ {
		files, after, err := drivers.WalkPage(t.Context(), d, from, next)
		if err != nil || pages > 100 {
			t.Fatalf("WalkPage(%q, %q) = %v, page %d", from, next, err, pages)
		}
		for _, info := range files {
			paged = append(paged, info.Path())
		}
		if after == "" {
			break
		}
		next = after
	}
	if !slices.Equal(paged, want) {
		t.Errorf("WalkPage(%q, %q) gives %q, want %q", from, startAfter, paged, want)
	}
	var got []string
	for info, err := range drivers.WalkInfo(t.Context(), d, from, startAfter) {
		if err != nil {
			t.Fatalf("WalkInfo(%q, %q) = %v", from, startAfter, err)
		}
		got = append(got, info.Path())
	}
	if !slices.Equal(got, want) {
		t.Errorf("WalkInfo(%q, %q) = %q, want %q", from, startAfter, got, want)
	}
}
