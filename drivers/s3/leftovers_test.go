package s3

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"testing"
	"time"

	"registryfs/drivers"
)

// TestLeftovers: an upload in parts is as old as its newest one, and goes alone.
func TestLeftovers(t *testing.T) {
	s := newFakeStore(t)
	d := s.driver(nil)
	begun, newest := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2024, 2, 1, 0, 0, 0, 0, time.UTC)
	for i, path := range []string{"/a/_uploads/1/data", "/a/_uploads/1/data", "/a/_uploads/10/data", "/a/x", "/ab/x"} {
		id, err := d.createUpload(t.Context(), path, false)
		if err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			s.uploads[id] = map[int]fakeObject{
				1: {content: make([]byte, 5), mtime: newest}, 2: {content: make([]byte, 2), mtime: begun.Add(time.Hour)},
			}
		}
	}
	l := drivers.LeftoversOf(d)
	all := func(from string) (paths []string) {
		for info, err := range l.All(t.Context(), from) {
			if err != nil {
				t.Fatal(err)
			}
			paths = append(paths, fmt.Sprint(info.Path(), " ", info.Size(), " ", info.ModTime().Format(time.DateOnly)))
		}
		return paths
	}
	want := []string{
		"/a/_uploads/1/data?uploadId=upload-1 0 2024-01-01", "/a/_uploads/1/data?uploadId=upload-2 7 2024-02-01",
		"/a/_uploads/10/data?uploadId=upload-3 0 2024-01-01", "/a/x?uploadId=upload-4 0 2024-01-01",
	}
	if got := all("/a"); !slices.Equal(got, want) {
		t.Errorf("leftovers: %q, want %q", got, want)
	}
	if got := all("/a/_uploads/1"); !slices.Equal(got, want[:2]) {
		t.Errorf("leftovers of one upload: %q, want %q", got, want[:2])
	}
	for range 2 {
		if err := l.Remove(t.Context(), "/a/_uploads/1/data?uploadId=upload-1"); err != nil {
			t.Errorf("Remove = %v", err)
		}
	}
	if got := all("/a"); !slices.Equal(got, want[1:]) {
		t.Errorf("leftovers after Remove: %q, want %q", got, want[1:])
	}
	if err := l.Remove(t.Context(), "/a/x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Remove of what is no leftover = %v", err)
	}
}
