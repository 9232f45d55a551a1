package s3

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"registryfs/drivers"
)

func writeFile(t *testing.T, d *Driver, path string, content []byte) error {
	t.Helper()
	w, err := d.Writer(t.Context(), path, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = w.Write(content); err == nil {
		err = w.Commit(t.Context())
	}
	return errors.Join(err, w.Close())
}

func count(made []string, kind string) int {
	n := 0
	for _, k := range made {
		if k == kind {
			n++
		}
	}
	return n
}

func TestWriterRequests(t *testing.T) {
	s := newFakeStore(t)
	d := s.driver(smallChunks)
	for _, test := range []struct {
		size int
		want []string
	}{
		{0, []string{"Put"}},
		{71, []string{"Put"}},
		{minChunkSize, []string{"Put"}},
		{minChunkSize + 1, []string{"Complete", "Create", "Part", "Part"}},
		{3 * minChunkSize, []string{"Complete", "Create", "Part", "Part", "Part"}},
	} {
		s.made()
		content := random(test.size)
		if err := writeFile(t, d, "/file", content); err != nil {
			t.Errorf("%d bytes: %v", test.size, err)
		}
		made := s.made()
		slices.Sort(made)
		if !slices.Equal(made, test.want) {
			t.Errorf("%d bytes made %q, want %q", test.size, made, test.want)
		}
		if got, err := d.GetContent(t.Context(), "/file"); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes: read %d, %v", test.size, len(got), err)
		}
	}
}

// TestWriterWithinBudget: more is written at once than there is memory, and all
// of that comes back.
func TestWriterWithinBudget(t *testing.T) {
	s := newFakeStore(t)
	budget := drivers.NewBudget(2 * minChunkSize)
	d := s.driver(func(p *Parameters) { smallChunks(p); p.Memory = budget })
	content := random(4*minChunkSize + 100)
	done := make(chan error)
	for i := range 4 {
		go func() { done <- writeFile(t, d, fmt.Sprint("/file", i), content) }()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	w, err := d.Writer(t.Context(), "/cancelled", false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Error(err)
	}
	if err := w.Cancel(t.Context()); err != nil {
		t.Error(err)
	}
	if !budget.TryAcquire(budget.Size()) {
		t.Error("memory was not given back")
	}
	if n := s.openUploads(); n != 0 || len(s.keys()) != 4 {
		t.Errorf("%d uploads and %q are left", n, s.keys())
	}
}

// TestWriterFails: what fails leaves nothing, be it a part or the end.
func TestWriterFails(t *testing.T) {
	for _, kind := range []string{"Create", "Part", "Complete"} {
		s := newFakeStore(t)
		s.fault = func(w http.ResponseWriter, r *http.Request, k string) bool {
			if k == kind && (kind != "Part" || r.URL.Query().Get("partNumber") == "2") {
				refuse(w, http.StatusForbidden, "AccessDenied")
				return true
			}
			return false
		}
		budget := drivers.NewBudget(100 << 20)
		d := s.driver(func(p *Parameters) { smallChunks(p); p.Memory = budget })
		if err := writeFile(t, d, "/file", random(3*minChunkSize)); err == nil {
			t.Errorf("a write whose %s fails = nil", kind)
		}
		if n := s.openUploads(); n != 0 || len(s.keys()) != 0 {
			t.Errorf("after %s failed %d uploads and %q are left", kind, n, s.keys())
		}
		if !budget.TryAcquire(budget.Size()) {
			t.Errorf("after %s failed memory was not given back", kind)
		}
	}
}

// TestCompleteAnswerLost: the file is there, so the write has not failed.
func TestCompleteAnswerLost(t *testing.T) {
	s := newFakeStore(t)
	var lost atomic.Bool
	s.fault = func(w http.ResponseWriter, r *http.Request, kind string) bool {
		if kind != "Complete" || !lost.CompareAndSwap(false, true) {
			return false
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		var content []byte
		for _, parts := range s.uploads {
			content = append(parts[1].content, parts[2].content...)
		}
		clear(s.uploads)
		s.store("root/file", content, "abc-2")
		panic(http.ErrAbortHandler)
	}
	content := random(minChunkSize + 1)
	d := s.driver(smallChunks)
	if err := writeFile(t, d, "/file", content); err != nil {
		t.Errorf("a write whose last answer is lost = %v", err)
	}
	// An upload that is gone for another reason is an error.
	s.fault = func(w http.ResponseWriter, r *http.Request, kind string) bool {
		if kind == "Complete" {
			refuse(w, http.StatusNotFound, "NoSuchUpload")
			return true
		}
		return false
	}
	if err := writeFile(t, d, "/file", content); err == nil {
		t.Error("a write whose upload is gone = nil")
	}
}

// TestPartialAcrossProcesses: a second driver goes on with what the first left,
// unless somebody has put the file since.
func TestPartialAcrossProcesses(t *testing.T) {
	s := newFakeStore(t)
	leave := func() {
		w, err := s.driver(smallChunks).Writer(t.Context(), "/dir/file", false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(random(minChunkSize + 10)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	leave()
	d := s.driver(smallChunks)
	w, err := d.Writer(t.Context(), "/dir/file", true)
	if err != nil {
		t.Fatal(err)
	}
	if w.Size() != minChunkSize+10 {
		t.Errorf("Size = %d, want %d", w.Size(), minChunkSize+10)
	}
	if err := errors.Join(w.Commit(t.Context()), w.Close()); err != nil {
		t.Error(err)
	}
	if got, err := d.GetContent(t.Context(), "/dir/file"); err != nil || !bytes.Equal(got, random(minChunkSize+10)) {
		t.Errorf("GetContent = %d bytes, %v", len(got), err)
	}

	if err := d.Delete(t.Context(), "/dir/file"); err != nil {
		t.Fatal(err)
	}
	leave()
	s.mu.Lock()
	later := s.store("root/dir/file", []byte("put since"), "")
	later.mtime = later.mtime.Add(2e9)
	s.objects["root/dir/file"] = later
	s.mu.Unlock()
	w, err = d.Writer(t.Context(), "/dir/file", true)
	if err != nil {
		t.Fatal(err)
	}
	if w.Size() != int64(len("put since")) {
		t.Errorf("Size = %d, want that of what was put since", w.Size())
	}
	if err := errors.Join(w.Cancel(t.Context()), w.Close()); err != nil {
		t.Error(err)
	}
	if n := s.openUploads(); n != 0 {
		t.Errorf("%d uploads are left", n)
	}

	leave()
	if err := d.Delete(t.Context(), "/dir"); err != nil {
		t.Error(err)
	}
	if n := s.openUploads(); n != 0 || len(s.keys()) != 0 {
		t.Errorf("after Delete of the directory %d uploads and %q are left", n, s.keys())
	}
}

// TestPartSize: the parts there may be take the largest object there can be.
func TestPartSize(t *testing.T) {
	const largest = 5 << 40
	for _, chunk := range []int64{minChunkSize, defaultChunkSize, 100 << 20} {
		total := int64(0)
		for n := 1; n <= maxPartsPerFile; n++ {
			size := partSize(chunk, n)
			if size < chunk || size > maxChunkSize || n <= equalParts && size != chunk {
				t.Fatalf("partSize(%d, %d) = %d", chunk, n, size)
			}
			total += size
		}
		if total < largest {
			t.Errorf("parts of %d MiB hold %d GiB, want %d", chunk>>20, total>>30, largest>>30)
		}
	}
}

func TestPartialPath(t *testing.T) {
	long := strings.Repeat("n", maxName)
	for _, path := range []string{"/a", "/dir/a", "/" + long, "/dir/" + long[10:]} {
		partial := partialPath(path)
		name := partial[strings.LastIndexByte(partial, '/')+1:]
		if !isPartial(name) || len(name) > maxName || !drivers.ValidPath(partial) {
			t.Errorf("partialPath(%q) = %q", path, partial)
		}
	}
	if partialPath("/"+long) == partialPath("/m"+long[1:]) {
		t.Error("two long names have one partial")
	}
}
