package drivertest

import (
	"fmt"
	"slices"
	"testing"

	"registryfs/drivers"
)

func testList(t *testing.T, d drivers.StorageDriver) {
	putAll(t, d, "/a/file", "/a/dir/one", "/a/dir/two", "/ab", "/b-c/x")
	wantListed(t, d, "/", "/a", "/ab", "/b-c")
	wantListed(t, d, "/a", "/a/dir", "/a/file")
	wantListed(t, d, "/a/dir", "/a/dir/one", "/a/dir/two")
	for info, err := range drivers.ListInfo(t.Context(), d, "/a") {
		if err != nil {
			t.Fatalf("ListInfo = %v", err)
		}
		if info.Path() == "/a/file" {
			wantFile(t, info, "/a/file", int64(len("/a/file")))
		} else if !info.IsDir() || info.Size() != 0 {
			t.Errorf("ListInfo gives %q dir %v, size %d, want a directory", info.Path(), info.IsDir(), info.Size())
		}
	}
	for range drivers.ListInfo(t.Context(), d, "/a") {
		break // must not be called again
	}
}

func testListMissing(t *testing.T, d drivers.StorageDriver) {
	putAll(t, d, "/dir/file")
	for _, path := range []string{"/missing", "/di", "/dir/file", "/dir/file/below", "/dir/fil"} {
		paths, err := d.List(t.Context(), path)
		wantError(t, "List "+path, err, notFound(d, path))
		if paths != nil {
			t.Errorf("List(%q) = %q beside the error", path, paths)
		}
		met := 0
		for info, err := range drivers.ListInfo(t.Context(), d, path) {
			met++
			if info != nil {
				t.Errorf("ListInfo(%q) gives %q beside the error", path, info.Path())
			}
			wantError(t, "ListInfo "+path, err, notFound(d, path))
		}
		if met != 1 {
			t.Errorf("ListInfo(%q) yields %d times, want the error once", path, met)
		}
	}
}

// testListMany lists more than a driver may get at once.
func testListMany(t *testing.T, d drivers.StorageDriver) {
	const count = 2500
	files := make([]drivers.Content, count)
	want := make([]string, count)
	for i := range count {
		want[i] = fmt.Sprintf("/many/%04d", i)
		files[i] = drivers.Content{Path: want[i], Bytes: []byte("x")}
	}
	if err := drivers.PutContents(t.Context(), d, files); err != nil {
		t.Fatalf("PutContents = %v", err)
	}
	wantListed(t, d, "/many", want...)
	wantListed(t, d, "/", "/many")
	// The body of a listing may use the driver, and end early.
	met := 0
	for info, err := range drivers.ListInfo(t.Context(), d, "/many") {
		if err != nil {
			t.Fatalf("ListInfo = %v", err)
		}
		if met++; met > 1500 {
			break
		}
		if met%100 == 0 {
			wantContent(t, d, info.Path(), []byte("x"))
		}
	}
}

func testStat(t *testing.T, d drivers.StorageDriver) {
	for _, path := range []string{"/a", "/a/b", "/a/b/file"} {
		wantAbsent(t, d, path)
	}
	put(t, d, "/a/b/file", random(4096))
	info, err := d.Stat(t.Context(), "/a/b/file")
	if err != nil {
		t.Fatalf("Stat = %v", err)
	}
	wantFile(t, info, "/a/b/file", 4096)
	put(t, d, "/a/b/file", random(10))
	again, err := d.Stat(t.Context(), "/a/b/file")
	if err != nil {
		t.Fatalf("Stat = %v", err)
	}
	wantFile(t, again, "/a/b/file", 10)
	if again.ModTime().Before(info.ModTime()) {
		t.Errorf("ModTime went back from %v to %v", info.ModTime(), again.ModTime())
	}
	for _, path := range []string{"/a", "/a/b"} {
		info, err := d.Stat(t.Context(), path)
		if err != nil {
			t.Fatalf("Stat(%q) = %v", path, err)
		}
		if info.Path() != path || !info.IsDir() || info.Size() != 0 {
			t.Errorf("Stat(%q) = %q, dir %v, size %d, want the directory", path, info.Path(), info.IsDir(), info.Size())
		}
	}
	// What others begin with is not there.
	for _, path := range []string{"/a/b/fil", "/a/b/file/below", "/a/b/f"} {
		wantAbsent(t, d, path)
	}
	putAll(t, d, "/prefix-only/file")
	wantAbsent(t, d, "/prefix")
	wantAbsent(t, d, "/prefix-")
}

func testMove(t *testing.T, d drivers.StorageDriver) {
	put(t, d, "/from/file", random(100))
	move := func(src, dst string) {
		t.Helper()
		if err := d.Move(t.Context(), src, dst); err != nil {
			t.Fatalf("Move(%q, %q) = %v", src, dst, err)
		}
	}
	move("/from/file", "/to/deep/file")
	wantContent(t, d, "/to/deep/file", random(100))
	wantAbsent(t, d, "/from/file")

	put(t, d, "/to/other", random(5000))
	move("/to/deep/file", "/to/other")
	wantContent(t, d, "/to/other", random(100))
	wantAbsent(t, d, "/to/deep/file")
}

func testMoveDirectory(t *testing.T, d drivers.StorageDriver) {
	putAll(t, d, "/src/file", "/src/a/b/file", "/src-sibling/file", "/srcfile")
	if err := d.Move(t.Context(), "/src", "/dst/new"); err != nil {
		t.Fatalf("Move = %v", err)
	}
	wantContent(t, d, "/dst/new/file", []byte("/src/file"))
	wantContent(t, d, "/dst/new/a/b/file", []byte("/src/a/b/file"))
	wantListed(t, d, "/dst/new", "/dst/new/a", "/dst/new/file")
	wantListed(t, d, "/dst/new/a", "/dst/new/a/b")
	wantAbsent(t, d, "/src")
	wantAbsent(t, d, "/src/a/b/file")
	wantContent(t, d, "/src-sibling/file", []byte("/src-sibling/file"))
	wantContent(t, d, "/srcfile", []byte("/srcfile"))
	if err := d.Delete(t.Context(), "/dst/new/a"); err != nil {
		t.Errorf("Delete of what was moved = %v", err)
	}
	wantListed(t, d, "/dst/new", "/dst/new/file")
}

func testMoveMissing(t *testing.T, d drivers.StorageDriver) {
	putAll(t, d, "/dir/file", "/fileandmore")
	for _, src := range []string{"/missing", "/file", "/dir/fil"} {
		wantError(t, "Move", d.Move(t.Context(), src, "/dir/file"), notFound(d, src))
		wantError(t, "Move", d.Move(t.Context(), src, "/dir/file/below"), notFound(d, src))
	}
	wantContent(t, d, "/dir/file", []byte("/dir/file"))
	wantListed(t, d, "/dir", "/dir/file")
}

func testDelete(t *testing.T, d drivers.StorageDriver) {
	putAll(t, d, "/dir/file", "/dir/other", "/dir/sub/a/file", "/dir/sub/b")
	wantError(t, "Delete", d.Delete(t.Context(), "/missing"), notFound(d, "/missing"))
	wantError(t, "Delete", d.Delete(t.Context(), "/dir/missing"), notFound(d, "/dir/missing"))
	for _, path := range []string{"/dir/file", "/dir/sub"} {
		if err := d.Delete(t.Context(), path); err != nil {
			t.Fatalf("Delete(%q) = %v", path, err)
		}
		wantAbsent(t, d, path)
		wantError(t, "second Delete", d.Delete(t.Context(), path), notFound(d, path))
	}
	wantAbsent(t, d, "/dir/sub/a/file")
	wantListed(t, d, "/dir", "/dir/other")
	if err := d.Delete(t.Context(), "/dir"); err != nil {
		t.Fatalf("Delete = %v", err)
	}
	wantListed(t, d, "/")
}

func testDeleteSiblings(t *testing.T, d drivers.StorageDriver) {
	keep := []string{"/dir/x-dir/file", "/dir/x.dir/file", "/dir/xfile", "/dir/xsuffix", "/dir/w"}
	putAll(t, d, keep...)
	wantError(t, "Delete of a mere prefix", d.Delete(t.Context(), "/dir/x"), notFound(d, "/dir/x"))
	putAll(t, d, "/dir/x/file")
	if err := d.Delete(t.Context(), "/dir/x"); err != nil {
		t.Fatalf("Delete = %v", err)
	}
	wantAbsent(t, d, "/dir/x")
	for _, path := range keep {
		wantContent(t, d, path, []byte(path))
	}
	paths := listed(t, d, "/dir")
	if slices.Contains(paths, "/dir/x") || len(paths) != len(keep) {
		t.Errorf("List = %q, want what was kept", paths)
	}
}
