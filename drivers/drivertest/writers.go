package drivertest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"sync"
	"testing"

	"registryfs/drivers"
)

func openWriter(t *testing.T, d drivers.StorageDriver, path string, append bool) drivers.FileWriter {
	t.Helper()
	w, err := d.Writer(t.Context(), path, append)
	if err != nil {
		t.Fatalf("Writer(%q, %v) = %v", path, append, err)
	}
	return w
}

func write(t *testing.T, w drivers.FileWriter, content []byte) {
	t.Helper()
	if n, err := io.Copy(w, bytes.NewReader(content)); err != nil || n != int64(len(content)) {
		t.Errorf("Write took %d of %d bytes: %v", n, len(content), err)
	}
}

// stream writes one file, or goes on with it. It may run beside the test.
func stream(t *testing.T, d drivers.StorageDriver, path string, append, commit bool, content []byte) {
	t.Helper()
	w, err := d.Writer(t.Context(), path, append)
	if err != nil {
		t.Errorf("Writer(%q, %v) = %v", path, append, err)
		return
	}
	write(t, w, content)
	if commit {
		if err := w.Commit(t.Context()); err != nil {
			t.Errorf("Commit of %q = %v", path, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Errorf("Close of %q = %v", path, err)
	}
}

func wantSize(t *testing.T, w drivers.FileWriter, want int) {
	t.Helper()
	if got := w.Size(); got != int64(want) {
		t.Errorf("Size = %d, want %d", got, want)
	}
}

func testWriter(t *testing.T, d drivers.StorageDriver) {
	for name, content := range map[string][]byte{
		"empty":    {},
		"one":      []byte("a"),
		"short":    random(32),
		"large":    random(1 << 20),
		"not-utf8": {0x80, 0x80, 0x80, 0x80},
	} {
		path := "/streams/deep/" + name
		w := openWriter(t, d, path, false)
		wantSize(t, w, 0)
		write(t, w, content)
		if err := w.Commit(t.Context()); err != nil {
			t.Fatalf("Commit = %v", err)
		}
		wantContent(t, d, path, content)
		if err := w.Close(); err != nil {
			t.Errorf("Close after Commit = %v", err)
		}
		wantSize(t, w, len(content))
		info, err := d.Stat(t.Context(), path)
		if err != nil {
			t.Fatalf("Stat = %v", err)
		}
		wantFile(t, info, path, int64(len(content)))
	}
}

func testWriterInvisible(t *testing.T, d drivers.StorageDriver) {
	putAll(t, d, "/dir/other")
	check := func(when string) {
		t.Helper()
		wantAbsent(t, d, "/dir/file")
		wantListed(t, d, "/dir", "/dir/other")
		if t.Failed() {
			t.Fatalf("seen %s", when)
		}
	}
	w := openWriter(t, d, "/dir/file", false)
	check("when opened")
	write(t, w, random(10_000))
	check("when written to")
	if err := w.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	check("when closed without Commit")
	stream(t, d, "/dir/file", true, false, random(10))
	check("when gone on with")
	wantError(t, "Delete of an unfinished file", d.Delete(t.Context(), "/dir/file"), notFound(d, "/dir/file"))
	wantError(t, "Move of an unfinished file", d.Move(t.Context(), "/dir/file", "/dir/x"), notFound(d, "/dir/file"))
	_ = d.Walk(t.Context(), "/dir", func(info drivers.FileInfo) error {
		if info.Path() != "/dir/other" {
			t.Errorf("Walk meets %q", info.Path())
		}
		return nil
	})
}

func testWriterReplaces(t *testing.T, d drivers.StorageDriver) {
	old, fresh := random(5000), random(100)
	put(t, d, "/file", old)
	w := openWriter(t, d, "/file", false)
	wantSize(t, w, 0)
	write(t, w, fresh)
	wantContent(t, d, "/file", old)
	if err := w.Commit(t.Context()); err != nil {
		t.Fatalf("Commit = %v", err)
	}
	if err := w.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	wantContent(t, d, "/file", fresh)
	wantListed(t, d, "/", "/file")
}

func testWriterCancel(t *testing.T, d drivers.StorageDriver) {
	put(t, d, "/a/old", []byte("old"))
	for _, path := range []string{"/a/old", "/a/new"} {
		w := openWriter(t, d, path, false)
		write(t, w, random(10_000))
		// Cleaning up is what a cancelled caller does.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.Commit(ctx); err == nil {
			t.Errorf("Commit of %q with a cancelled context = nil", path)
		}
		if err := w.Cancel(ctx); err != nil {
			t.Errorf("Cancel of %q = %v", path, err)
		}
		_ = w.Close() // may be an error or not
	}
	wantContent(t, d, "/a/old", []byte("old"))
	wantAbsent(t, d, "/a/new")
	wantListed(t, d, "/a", "/a/old")
	// Nothing is left to go on with.
	stream(t, d, "/a/again", false, false, []byte("thrown away"))
	w := openWriter(t, d, "/a/again", true)
	if err := w.Cancel(t.Context()); err != nil {
		t.Errorf("Cancel = %v", err)
	}
	stream(t, d, "/a/again", false, true, []byte("fresh"))
	wantContent(t, d, "/a/again", []byte("fresh"))
}

func testWriterStates(t *testing.T, d drivers.StorageDriver) {
	ends := map[string]func(w drivers.FileWriter) error{
		"Close":  func(w drivers.FileWriter) error { return w.Close() },
		"Commit": func(w drivers.FileWriter) error { return w.Commit(t.Context()) },
		"Cancel": func(w drivers.FileWriter) error { return w.Cancel(t.Context()) },
	}
	for name, end := range ends {
		w := openWriter(t, d, "/dir/"+name, false)
		write(t, w, []byte("content"))
		if err := end(w); err != nil {
			t.Errorf("%s = %v", name, err)
		}
		if n, err := w.Write([]byte("more")); err == nil || n != 0 {
			t.Errorf("Write after %s = %d, %v, want an error", name, n, err)
		}
		if err := w.Commit(t.Context()); err == nil {
			t.Errorf("Commit after %s = nil, want an error", name)
		}
		if err := w.Cancel(t.Context()); err == nil {
			t.Errorf("Cancel after %s = nil, want an error", name)
		}
		if name != "Close" {
			_ = w.Close() // after Cancel it may be an error or not
		}
		if err := w.Close(); err == nil {
			t.Errorf("second Close after %s = nil, want an error", name)
		}
	}
	wantListed(t, d, "/dir", "/dir/Commit")
	wantContent(t, d, "/dir/Commit", []byte("content"))
}

func testWriterResumesSmall(t *testing.T, d drivers.StorageDriver) { testResume(t, d, 32) }

func testWriterResumesLarge(t *testing.T, d drivers.StorageDriver) {
	size := 10 << 20
	if testing.Short() {
		size = 1 << 20
	}
	testResume(t, d, size)
}

// testResume writes a file in three sittings, of size bytes each.
func testResume(t *testing.T, d drivers.StorageDriver, size int) {
	content := random(3 * size)
	for i := range 3 {
		w := openWriter(t, d, "/uploads/1/data", i > 0)
		wantSize(t, w, i*size)
		write(t, w, content[i*size:(i+1)*size])
		if i == 2 {
			if err := w.Commit(t.Context()); err != nil {
				t.Fatalf("Commit = %v", err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatalf("Close = %v", err)
		}
		wantSize(t, w, (i+1)*size)
	}
	wantContent(t, d, "/uploads/1/data", content)
	wantListed(t, d, "/uploads/1", "/uploads/1/data")
}

// testWriterForgets makes sure that nothing goes on where it should begin.
func testWriterForgets(t *testing.T, d drivers.StorageDriver) {
	stream(t, d, "/file", false, false, []byte("first "))
	stream(t, d, "/file", false, false, []byte("second "))
	stream(t, d, "/file", true, true, []byte("more"))
	wantContent(t, d, "/file", []byte("second more"))

	put(t, d, "/file", nil)
	stream(t, d, "/file", true, false, []byte("unfinished"))
	put(t, d, "/file", nil)
	stream(t, d, "/file", true, true, []byte("after empty"))
	wantContent(t, d, "/file", []byte("after empty"))
}

func testWriterAppendsToEmpty(t *testing.T, d drivers.StorageDriver) {
	stream(t, d, "/by/writer", false, true, nil)
	put(t, d, "/by/content", nil)
	for _, path := range []string{"/by/writer", "/by/content"} {
		wantContent(t, d, path, nil)
		w := openWriter(t, d, path, true)
		wantSize(t, w, 0)
		write(t, w, random(32))
		wantContent(t, d, path, nil)
		if err := w.Commit(t.Context()); err != nil {
			t.Fatalf("Commit = %v", err)
		}
		if err := w.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
		wantSize(t, w, 32)
		wantContent(t, d, path, random(32))
	}
}

func testWriterLarge(t *testing.T, d drivers.StorageDriver) {
	megabytes := 64
	if testing.Short() {
		megabytes = 12
	}
	block, want := random(1<<20), sha256.New()
	w := openWriter(t, d, "/large", false)
	for i := range megabytes {
		block[0] = byte(i)
		want.Write(block)
		write(t, w, block)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatalf("Commit = %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatalf("Close = %v", err)
	}
	r, err := d.Reader(t.Context(), "/large", 0)
	if err != nil {
		t.Fatalf("Reader = %v", err)
	}
	defer r.Close()
	got := sha256.New()
	if n, err := io.Copy(got, r); err != nil || n != int64(megabytes)<<20 {
		t.Errorf("read %d bytes, %v, want %d", n, err, megabytes<<20)
	}
	if !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		t.Error("read other bytes than were written")
	}
}

// testWritersOfOnePath lets several write the same path: one of them wins whole.
func testWritersOfOnePath(t *testing.T, d drivers.StorageDriver) {
	const writers = 6
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			stream(t, d, "/one/path", false, true, bytes.Repeat([]byte{byte('a' + i)}, 50_000+i))
		})
	}
	group.Wait()
	got, err := d.GetContent(t.Context(), "/one/path")
	if err != nil || len(got) == 0 {
		t.Fatalf("GetContent = %d bytes, %v", len(got), err)
	}
	if i := int(got[0] - 'a'); !bytes.Equal(got, bytes.Repeat(got[:1], 50_000+i)) {
		t.Errorf("got a mixture of %d bytes, want one writer's", len(got))
	}
	wantListed(t, d, "/one", "/one/path")
}
