package drivertest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
	"testing"
	"time"

	"registryfs/drivers"
)

func testContent(t *testing.T, d drivers.StorageDriver) {
	for name, content := range map[string][]byte{
		"nil":      nil,
		"empty":    {},
		"one":      []byte("a"),
		"utf8":     []byte("\xc3\x9f"),
		"short":    random(32),
		"large":    random(1 << 20),
		"not-utf8": {0x80, 0x80, 0x80, 0x80},
	} {
		path := "/content/" + name
		put(t, d, path, content)
		wantContent(t, d, path, content)
	}
}

func testContentReplaced(t *testing.T, d drivers.StorageDriver) {
	for _, size := range []int{4096, 1024, 0, 8192} {
		put(t, d, "/a/file", random(size))
		wantContent(t, d, "/a/file", random(size))
	}
	wantListed(t, d, "/a", "/a/file")
}

func testContentCopied(t *testing.T, d drivers.StorageDriver) {
	mine := []byte("original")
	put(t, d, "/file", mine)
	copy(mine, "tampered")
	got, err := d.GetContent(t.Context(), "/file")
	if err != nil {
		t.Fatalf("GetContent = %v", err)
	}
	copy(got, "tampered")
	wantContent(t, d, "/file", []byte("original"))
}

func testContentMissing(t *testing.T, d drivers.StorageDriver) {
	putAll(t, d, "/dir/file")
	for _, path := range []string{"/missing", "/missing/too", "/dir/missing", "/dir/fil", "/di", "/dir", "/dir/file/below"} {
		_, err := d.GetContent(t.Context(), path)
		wantError(t, "GetContent "+path, err, notFound(d, path))
		content, info, err := drivers.GetContentInfo(t.Context(), d, path)
		wantError(t, "GetContentInfo "+path, err, notFound(d, path))
		if content != nil || info != nil {
			t.Errorf("GetContentInfo(%q) = %q, %v beside the error, want nothing", path, content, info)
		}
	}
	_, err := d.GetContent(t.Context(), "/missing")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%#v is not fs.ErrNotExist", err)
	}
}

func testContentInfo(t *testing.T, d drivers.StorageDriver) {
	for _, size := range []int{0, 71, 100_000} {
		put(t, d, "/a/file", random(size))
		content, info, err := drivers.GetContentInfo(t.Context(), d, "/a/file")
		if err != nil || !bytes.Equal(content, random(size)) {
			t.Fatalf("GetContentInfo = %s, %v, want %s", sketch(content), err, sketch(random(size)))
		}
		wantFile(t, info, "/a/file", int64(size))
	}
}

// wantFile also expects the file to have been written within the last hour.
func wantFile(t *testing.T, info drivers.FileInfo, path string, size int64) {
	t.Helper()
	if info.Path() != path || info.Size() != size || info.IsDir() {
		t.Errorf("info of %q, %d bytes, dir %v, want %q, %d, false", info.Path(), info.Size(), info.IsDir(), path, size)
	}
	if age := time.Since(info.ModTime()); age < -time.Hour || age > time.Hour {
		t.Errorf("ModTime of %q = %v, want about now", path, info.ModTime())
	}
}

func testContentIfAbsent(t *testing.T, d drivers.StorageDriver) {
	if err := drivers.PutContentIfAbsent(t.Context(), d, "/a/b/file", []byte("first")); err != nil {
		t.Fatalf("PutContentIfAbsent of a new path = %v", err)
	}
	for _, path := range []string{"/a/b/file", "/a/b"} {
		err := drivers.PutContentIfAbsent(t.Context(), d, path, []byte("second"))
		if !errors.Is(err, fs.ErrExist) {
			t.Errorf("PutContentIfAbsent(%q) = %v, want fs.ErrExist", path, err)
		}
		var typed drivers.Error
		if !errors.As(err, &typed) || typed.DriverName != d.Name() {
			t.Errorf("PutContentIfAbsent(%q) = %#v, want a drivers.Error", path, err)
		}
	}
	wantContent(t, d, "/a/b/file", []byte("first"))
	wantListed(t, d, "/a/b", "/a/b/file")
}

// testContents watches a batch of files from outside.
func testContents(t *testing.T, d drivers.StorageDriver) {
	if err := drivers.PutContents(t.Context(), d, nil); err != nil {
		t.Errorf("PutContents of nothing = %v", err)
	}
	var files []drivers.Content
	for i := range 40 {
		files = append(files, drivers.Content{Path: fmt.Sprintf("/batch/%d/%d/file", i%3, i), Bytes: random(i)})
	}
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				if i := orderBroken(t, d, files); i >= 0 {
					t.Errorf("PutContents: file %d is seen before one ahead of it", i)
					return
				}
			}
		}
	})
	if err := drivers.PutContents(t.Context(), d, files); err != nil {
		t.Errorf("PutContents = %v", err)
	}
	close(done)
	watch.Wait()
	for _, f := range files {
		wantContent(t, d, f.Path, f.Bytes)
	}
	twice := []drivers.Content{{Path: "/twice", Bytes: []byte("first")}, {Path: "/twice", Bytes: []byte("second")}}
	if err := drivers.PutContents(t.Context(), d, twice); err != nil {
		t.Errorf("PutContents of one path twice = %v", err)
	}
	wantContent(t, d, "/twice", []byte("second"))
}

// orderBroken looks from the last file to the first: once one is seen, all the
// earlier ones must be. It returns the index of one that was seen too early, or
// -1.
func orderBroken(t *testing.T, d drivers.StorageDriver, files []drivers.Content) int {
	seen := -1
	for i := len(files) - 1; i >= 0; i-- {
		_, err := d.Stat(t.Context(), files[i].Path)
		if err == nil {
			seen = max(seen, i)
		} else if seen >= 0 {
			return seen
		}
	}
	return -1
}

func testReader(t *testing.T, d drivers.StorageDriver) {
	content := random(3 * 1024)
	put(t, d, "/a/file", content)
	size := int64(len(content))
	for _, offset := range []int64{0, 1, size / 3, 2 * size / 3, size - 1, size, size + 1, 1 << 62} {
		got, err := readFrom(t, d, "/a/file", offset)
		if want := content[min(offset, size):]; err != nil || !bytes.Equal(got, want) {
			t.Errorf("Reader at %d gave %d bytes, %v, want %d", offset, len(got), err, len(want))
		}
	}
	r, err := d.Reader(t.Context(), "/a/file", -1)
	if r != nil {
		t.Error("Reader at -1 is not nil")
	}
	wantError(t, "Reader at -1", err, drivers.InvalidOffsetError{Path: "/a/file", Offset: -1, DriverName: d.Name()})
	_, err = d.Reader(t.Context(), "..", -1)
	wantError(t, "Reader at -1 of a bad path", err, drivers.InvalidOffsetError{Path: "..", Offset: -1, DriverName: d.Name()})
}

func testReaderMissing(t *testing.T, d drivers.StorageDriver) {
	putAll(t, d, "/dir/file")
	for _, path := range []string{"/missing", "/dir/fil", "/dir"} {
		for _, offset := range []int64{0, 64} {
			r, err := d.Reader(t.Context(), path, offset)
			if r != nil {
				t.Errorf("Reader(%q, %d) is not nil", path, offset)
			}
			wantError(t, "Reader "+path, err, notFound(d, path))
			_, err = drivers.ReadRange(t.Context(), d, path, offset, 1)
			wantError(t, "ReadRange "+path, err, notFound(d, path))
		}
	}
}

func testReadRange(t *testing.T, d drivers.StorageDriver) {
	content := random(1000)
	put(t, d, "/file", content)
	for _, r := range []struct{ offset, length int64 }{
		{0, 0}, {0, 1}, {0, 1000}, {0, 5000}, {500, 100}, {999, 1}, {999, 2}, {1000, 1}, {2000, 10}, {1, 1<<63 - 1},
	} {
		body, err := drivers.ReadRange(t.Context(), d, "/file", r.offset, r.length)
		if err != nil {
			t.Errorf("ReadRange(%d, %d) = %v", r.offset, r.length, err)
			continue
		}
		got, err := io.ReadAll(body)
		want := content[min(r.offset, 1000):]
		want = want[:min(r.length, int64(len(want)))]
		if err = errors.Join(err, body.Close()); err != nil || !bytes.Equal(got, want) {
			t.Errorf("ReadRange(%d, %d) gave %d bytes, %v, want %d", r.offset, r.length, len(got), err, len(want))
		}
	}
	if _, err := drivers.ReadRange(t.Context(), d, "/file", 0, -1); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("ReadRange(0, -1) = %v, want fs.ErrInvalid", err)
	}
	_, err := drivers.ReadRange(t.Context(), d, "/file", -1, 1)
	wantError(t, "ReadRange(-1, 1)", err, drivers.InvalidOffsetError{Path: "/file", Offset: -1, DriverName: d.Name()})
}

func testReaderSnapshot(t *testing.T, d drivers.StorageDriver) {
	old := bytes.Repeat([]byte("old"), 1000)
	put(t, d, "/file", old)
	r, err := d.Reader(t.Context(), "/file", 0)
	if err != nil {
		t.Fatalf("Reader = %v", err)
	}
	put(t, d, "/file", bytes.Repeat([]byte("new"), 500))
	got, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, old) {
		t.Errorf("a reader of replaced content gave %s, %v, want what it had opened", sketch(got), err)
	}
}

// testOpenFile takes no for an answer.
func testOpenFile(t *testing.T, d drivers.StorageDriver) {
	content := random(5000)
	put(t, d, "/a/file", content)
	f, err := drivers.OpenFile(t.Context(), d, "/a/file")
	if errors.Is(err, errors.ErrUnsupported) {
		wantError(t, "OpenFile", err, drivers.ErrUnsupportedMethod{DriverName: d.Name()})
		if f != nil {
			t.Error("OpenFile gave a file beside the error")
		}
		return
	}
	if err != nil {
		t.Fatalf("OpenFile = %v", err)
	}
	got, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil || !bytes.Equal(got, content) {
		t.Errorf("OpenFile gave %d bytes, %v, want %d", len(got), err, len(content))
	}
	for _, path := range []string{"/missing", "/a"} {
		f, err := drivers.OpenFile(t.Context(), d, path)
		wantError(t, "OpenFile "+path, err, notFound(d, path))
		if f != nil {
			t.Errorf("OpenFile(%q) gave a file beside the error", path)
		}
	}
	_, err = drivers.OpenFile(t.Context(), d, "/a/..")
	wantError(t, "OpenFile", err, drivers.InvalidPathError{Path: "/a/..", DriverName: d.Name()})
}

// testConcurrentContent replaces files while they are read.
func testConcurrentContent(t *testing.T, d drivers.StorageDriver) {
	const (
		writers = 4
		rounds  = 25
	)
	version := func(i int) []byte { return bytes.Repeat([]byte{byte('a' + i)}, 1000+4000*i) }
	put(t, d, "/file", version(0))
	var writing, reading sync.WaitGroup
	done := make(chan struct{})
	for i := range writers {
		writing.Go(func() {
			for range rounds {
				if err := d.PutContent(t.Context(), "/file", version(i)); err != nil {
					t.Errorf("PutContent beside others = %v", err)
				}
			}
		})
		reading.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				content, err := d.GetContent(t.Context(), "/file")
				if i%2 == 0 {
					content, err = readFrom(t, d, "/file", 0)
				}
				if err != nil || len(content) == 0 || !bytes.Equal(content, version(int(content[0]-'a'))) {
					t.Errorf("a reader beside writers got %s, %v, which nobody has put", sketch(content), err)
					return
				}
			}
		})
	}
	writing.Wait()
	close(done)
	reading.Wait()
	wantListed(t, d, "/", "/file")
}

func testConcurrentReads(t *testing.T, d drivers.StorageDriver) {
	size := 1 << 20
	if testing.Short() {
		size = 1 << 18
	}
	content := random(size)
	put(t, d, "/file", content)
	var readers sync.WaitGroup
	for i := range 10 {
		readers.Go(func() {
			for offset := int64(i * 1000); offset < int64(len(content)); offset += int64(size/4 + 1) {
				got, err := readFrom(t, d, "/file", offset)
				if err != nil || !bytes.Equal(got, content[offset:]) {
					t.Errorf("Reader at %d gave %d bytes, %v, want %d", offset, len(got), err, int64(len(content))-offset)
				}
			}
		})
	}
	readers.Wait()
}

func testConcurrentStreams(t *testing.T, d drivers.StorageDriver) {
	const files = 8
	var want []string
	var writers sync.WaitGroup
	for i := range files {
		path := fmt.Sprintf("/streams/%d/file", i)
		want = append(want, fmt.Sprintf("/streams/%d", i))
		writers.Go(func() { stream(t, d, path, false, true, random(100_000+i)) })
	}
	writers.Wait()
	for i := range files {
		wantContent(t, d, fmt.Sprintf("/streams/%d/file", i), random(100_000+i))
	}
	slices.Sort(want)
	wantListed(t, d, "/streams", want...)
}
