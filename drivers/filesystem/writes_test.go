package filesystem

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"registryfs/drivers"
	"registryfs/drivers/drivertest"
)

// onDisk returns all regular files below dir, hidden ones included.
func onDisk(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			files = append(files, strings.TrimPrefix(path, dir))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func wantOnDisk(t *testing.T, dir string, want ...string) {
	t.Helper()
	if got := onDisk(t, dir); !slices.Equal(got, want) {
		t.Errorf("on the disk is %q, want %q", got, want)
	}
}

// noted is a driver whose syncs of directories are noted.
func noted(t *testing.T) (d *Driver, root string, synced func() []string) {
	t.Helper()
	root = t.TempDir()
	d = newDriver(root)
	var mu sync.Mutex
	var dirs []string
	d.dirs.sync = func(dir string) error {
		mu.Lock()
		defer mu.Unlock()
		dirs = append(dirs, strings.TrimPrefix(dir, root))
		return syncDir(dir)
	}
	return d, root, func() []string {
		mu.Lock()
		defer mu.Unlock()
		got := slices.Compact(slices.Sorted(slices.Values(dirs)))
		dirs = nil
		return got
	}
}

func TestDirectoriesAreSynced(t *testing.T) {
	d, _, synced := noted(t)
	write := func(path string, commit bool) error {
		w, err := d.Writer(t.Context(), path, false)
		if err != nil {
			return err
		}
		if commit {
			err = w.Commit(t.Context())
		}
		return errors.Join(err, w.Close())
	}
	put := func(paths ...string) error {
		var files []drivers.Content
		for _, path := range paths {
			files = append(files, drivers.Content{Path: path})
		}
		return d.PutContents(t.Context(), files)
	}
	for _, test := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"PutContent in new directories", func() error { return d.PutContent(t.Context(), "/a/b/c/file", nil) }, []string{"", "/a", "/a/b", "/a/b/c"}},
		{"PutContent beside", func() error { return d.PutContent(t.Context(), "/a/b/c/other", nil) }, []string{"/a/b/c"}},
		{"PutContent over", func() error { return d.PutContent(t.Context(), "/a/b/c/other", nil) }, []string{"/a/b/c"}},
		{"PutContentIfAbsent", func() error { return d.PutContentIfAbsent(t.Context(), "/a/b/d/file", nil) }, []string{"/a/b", "/a/b/d"}},
		{"PutContents", func() error { return put("/a/x/1", "/a/x/2", "/a/y/1", "/a/b/c/new") }, []string{"/a", "/a/b/c", "/a/x", "/a/y"}},
		{"Writer and Commit", func() error { return write("/w/file", true) }, []string{"", "/w"}},
		{"Writer and Close", func() error { return write("/w/file", false) }, []string{"/w"}},
		{"Move", func() error { return d.Move(t.Context(), "/a/b/c", "/m/n/c") }, []string{"", "/a/b", "/m", "/m/n"}},
	} {
		if err := test.do(); err != nil {
			t.Errorf("%s = %v", test.name, err)
		}
		if got := synced(); !slices.Equal(got, test.want) {
			t.Errorf("%s synced %q, want %q", test.name, got, test.want)
		}
	}
}

// TestDirectoriesOfFailedBatch looks whether a batch that failed has left
// anything: the registry would take a directory among the tags for a tag.
func TestDirectoriesOfFailedBatch(t *testing.T) {
	d, root, _ := noted(t)
	err := d.PutContents(t.Context(), []drivers.Content{{Path: "/new/dir/file"}, {Path: "/x/link" + registryTemp}})
	if err == nil {
		t.Fatal("PutContents under a reserved name = nil")
	}
	if left, err := os.ReadDir(root); err != nil || len(left) > 0 {
		t.Errorf("a failed batch left %v, %v", left, err)
	}
}

// TestDirectoryOfTwo lets a batch fail whose directory somebody else has begun
// to use: it stays, and is as durable as they take it to be.
func TestDirectoryOfTwo(t *testing.T) {
	d, root, synced := noted(t)
	made := d.dirs.later()
	if err := made.make(root + "/new/dir"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root+"/new/dir/theirs", nil, 0o666); err != nil {
		t.Fatal(err)
	}
	made.end()
	if got, want := synced(), []string{"", "/new"}; !slices.Equal(got, want) {
		t.Errorf("giving up a directory in use synced %q, want %q", got, want)
	}
	wantOnDisk(t, root, "/new/dir/theirs")
}

// TestDirectoryInTheMaking puts a file into a directory that somebody else has
// made and not yet synced.
func TestDirectoryInTheMaking(t *testing.T) {
	d, root, synced := noted(t)
	made := d.dirs.later()
	if err := made.make(root + "/a/b"); err != nil {
		t.Fatal(err)
	}
	if err := d.PutContent(t.Context(), "/a/b/file", nil); err != nil {
		t.Fatal(err)
	}
	if got, want := synced(), []string{"", "/a", "/a/b"}; !slices.Equal(got, want) {
		t.Errorf("PutContent synced %q, want %q", got, want)
	}
	made.end()
	if len(d.dirs.making) != 0 {
		t.Errorf("remembers %v for ever", d.dirs.making)
	}
}

func TestTempRemovedOnError(t *testing.T) {
	root := t.TempDir()
	d := New(Parameters{RootDirectory: root})
	// A directory cannot be replaced by a file, so the rename fails.
	if err := d.PutContent(t.Context(), "/dir/file", []byte("old")); err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func() error{
		"PutContent": func() error { return d.PutContent(t.Context(), "/dir", []byte("new")) },
		"PutContents": func() error {
			return drivers.PutContents(t.Context(), d, []drivers.Content{{Path: "/dir"}, {Path: "/after"}})
		},
		"PutContentIfAbsent": func() error { return drivers.PutContentIfAbsent(t.Context(), d, "/dir", nil) },
		"below a file":       func() error { return d.PutContent(t.Context(), "/dir/file/x", nil) },
		"Commit":             func() error { return commit(t, d, "/dir", []byte("new")) },
		"Move":               func() error { return d.Move(t.Context(), "/dir/file", "/dir/file/below") },
	} {
		if err := do(); err == nil {
			t.Errorf("%s of what cannot be = nil", name)
		}
		wantOnDisk(t, root, "/dir/file")
	}
}

func commit(t *testing.T, d drivers.StorageDriver, path string, content []byte) error {
	t.Helper()
	w, err := d.Writer(t.Context(), path, false)
	if err != nil {
		return err
	}
	_, err = w.Write(content)
	if err == nil {
		err = w.Commit(t.Context())
	}
	return errors.Join(err, w.Close())
}

// TestPutContentsOrder fails a batch in its middle.
func TestPutContentsOrder(t *testing.T) {
	root := t.TempDir()
	d := New(Parameters{RootDirectory: root})
	if err := d.PutContent(t.Context(), "/3/file", nil); err != nil {
		t.Fatal(err)
	}
	err := drivers.PutContents(t.Context(), d, []drivers.Content{{Path: "/1"}, {Path: "/2"}, {Path: "/3"}, {Path: "/4"}})
	if !errors.Is(err, syscall.EISDIR) && !errors.Is(err, fs.ErrExist) {
		t.Errorf("PutContents over a directory = %v", err)
	}
	wantOnDisk(t, root, "/1", "/2", "/3/file")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newDriver(root).PutContents(ctx, []drivers.Content{{Path: "/5"}, {Path: "/6"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("PutContents with a cancelled context = %v", err)
	}
	wantOnDisk(t, root, "/1", "/2", "/3/file")
}

func TestPutContentIfAbsentOnce(t *testing.T) {
	root := t.TempDir()
	d := New(Parameters{RootDirectory: root})
	var mu sync.Mutex
	won := 0
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			err := drivers.PutContentIfAbsent(t.Context(), d, "/dir/file", []byte("x"))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errors.Is(err, fs.ErrExist) {
				t.Errorf("PutContentIfAbsent = %v, want fs.ErrExist", err)
			}
		})
	}
	group.Wait()
	if won != 1 {
		t.Errorf("%d of 20 have won, want 1", won)
	}
	wantOnDisk(t, root, "/dir/file")
}

// TestPublishOverEmpty is PutContentIfAbsent where there are no hard links.
func TestPublishOverEmpty(t *testing.T) {
	root := t.TempDir()
	d := newDriver(root)
	for i, wantErr := range []error{nil, fs.ErrExist} {
		temp, err := d.writeTemp("/file", []byte{byte('0' + i)}, d.dirs.later())
		if err != nil {
			t.Fatal(err)
		}
		if err := d.publishOverEmpty(temp, "/file"); !errors.Is(err, wantErr) {
			t.Errorf("publishOverEmpty %d = %v, want %v", i, err, wantErr)
		}
	}
	if got, err := d.GetContent(t.Context(), "/file"); err != nil || string(got) != "0" {
		t.Errorf("GetContent = %q, %v, want the first", got, err)
	}
	wantOnDisk(t, root, "/file")
}

// TestWriterOnDisk looks at what a writer leaves at each of its ends.
func TestWriterOnDisk(t *testing.T) {
	root := t.TempDir()
	d := New(Parameters{RootDirectory: root})
	write := func(append bool) drivers.FileWriter {
		t.Helper()
		w, err := d.Writer(t.Context(), "/data", append)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		return w
	}
	closed := func(w drivers.FileWriter) {
		t.Helper()
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	const partial = "/.data.registryfs-partial"
	closed(write(false))
	wantOnDisk(t, root, partial)
	closed(write(true))
	wantOnDisk(t, root, partial)
	if w := write(true); w.Size() != 3 {
		t.Errorf("Size = %d, want 3", w.Size())
	} else if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	} else {
		closed(w)
	}
	wantOnDisk(t, root, "/data")
	closed(write(true)) // after a copy of what was committed
	wantOnDisk(t, root, partial, "/data")
	if got, err := d.GetContent(t.Context(), "/data"); err != nil || string(got) != "xxx" {
		t.Errorf("GetContent = %q, %v, want what was committed", got, err)
	}
	if err := d.Delete(t.Context(), "/data"); err != nil {
		t.Error(err)
	}
	wantOnDisk(t, root)

	// Two fresh writers of one path share nothing; what is closed last stays.
	a, b := write(false), write(false)
	closed(a)
	closed(b)
	wantOnDisk(t, root, partial)
	if err := write(true).Cancel(t.Context()); err != nil {
		t.Error(err)
	}
	wantOnDisk(t, root)
}

func TestWriterGoesOnAfterRegistry(t *testing.T) {
	root := t.TempDir()
	d := New(Parameters{RootDirectory: root})
	if err := os.WriteFile(root+"/data", []byte("from a registry, "), 0o666); err != nil {
		t.Fatal(err)
	}
	w, err := d.Writer(t.Context(), "/data", true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("and from us")); err != nil {
		t.Fatal(err)
	}
	if got, _ := d.GetContent(t.Context(), "/data"); string(got) != "from a registry, " {
		t.Errorf("before Commit a reader gets %q", got)
	}
	if err := errors.Join(w.Commit(t.Context()), w.Close()); err != nil {
		t.Fatal(err)
	}
	if got, _ := d.GetContent(t.Context(), "/data"); string(got) != "from a registry, and from us" {
		t.Errorf("after Commit a reader gets %q", got)
	}
}

func TestModesAndUmask(t *testing.T) {
	old := syscall.Umask(0o027)
	defer syscall.Umask(old)
	root := t.TempDir() + "/root"
	d := New(Parameters{RootDirectory: root})
	if err := d.PutContent(t.Context(), "/dir/file", nil); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]fs.FileMode{"/": 0o750, "/dir": 0o750, "/dir/file": 0o640} {
		st, err := os.Stat(root + path)
		if err != nil || st.Mode().Perm() != want {
			t.Errorf("mode of %q = %v, %v, want %v", path, st.Mode(), err, want)
		}
	}
}

func TestNoPermission(t *testing.T) {
	if os.Getuid() == 0 {
		asNobody(t)
		return
	}
	root := t.TempDir()
	d := New(Parameters{RootDirectory: root})
	if err := d.PutContent(t.Context(), "/dir/file", nil); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(root+"/dir", 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(root+"/dir", 0o700) })
	_, getErr := d.GetContent(t.Context(), "/dir/file")
	_, statErr := d.Stat(t.Context(), "/dir/file")
	_, listErr := d.List(t.Context(), "/dir")
	for name, err := range map[string]error{
		"GetContent": getErr,
		"Stat":       statErr,
		"List":       listErr,
		"PutContent": d.PutContent(t.Context(), "/dir/new", nil),
		"Delete":     d.Delete(t.Context(), "/dir/file"),
	} {
		if !errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s without permission = %v, want fs.ErrPermission", name, err)
		}
	}
	if paths, err := d.List(t.Context(), "/"); err != nil || len(paths) != 1 {
		t.Errorf("List beside it = %q, %v, want /dir", paths, err)
	}
}

func TestRegulated(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) drivers.StorageDriver {
		return drivertest.Fallback(New(Parameters{RootDirectory: t.TempDir(), MaxThreads: 1}))
	})
}
