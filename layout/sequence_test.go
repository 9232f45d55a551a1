package layout

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
	"registryfs/drivers/drivertest"
	"registryfs/drivers/inmemory"
)

// newSequence is a remote store of so many blobs, in order, all of them listed.
func newSequence(t *testing.T, n int) (*Registry, *drivertest.Counting, []digest.Digest) {
	t.Helper()
	counting := drivertest.NewCounting(drivertest.Remote(inmemory.New()))
	var all []digest.Digest
	for i := range n {
		content := strings.Repeat("x", i)
		all = append(all, digest.FromString(content))
		put(t, counting, blobDataPath(all[i]), content)
	}
	slices.Sort(all)
	r := New(counting, Options{})
	infos := collect(t, drivers.WalkInfo(t.Context(), counting, "/", ""))
	r.sequences.after = func(path string, n int) []drivers.FileInfo {
		i := slices.IndexFunc(infos, func(f drivers.FileInfo) bool { return f.Path() > path })
		if i < 0 {
			return nil
		}
		return infos[i:min(i+n, len(infos))]
	}
	counting.Reset()
	return r, counting, all
}

func readBlob(t *testing.T, r *Registry, d digest.Digest) {
	t.Helper()
	s, err := r.Blobs().Stat(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.Blobs().OpenSized(t.Context(), d, s.Size)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	p := make([]byte, s.Size)
	n, err := b.ReadAt(t.Context(), p, 0)
	if err != nil && err != io.EOF || digest.FromBytes(p[:n]) != d {
		t.Errorf("blob %s is read as %d bytes, %v", d, n, err)
	}
}

// A program that reads the blobs in order finds them fetched.
func TestSequence(t *testing.T) {
	r, counting, all := newSequence(t, 60)
	for i, d := range all {
		readBlob(t, r, d)
		// The empty one, wherever it is, is never asked for.
		if want := min(i+prefetchAhead, len(all)-1); i+1 >= prefetchFrom {
			for range 400 {
				if counting.Count("Reader") >= want {
					break
				}
				time.Sleep(5 * time.Millisecond)
			}
			if got := counting.Count("Reader"); got < want {
				t.Fatalf("after %d blobs %d are fetched, want %d", i+1, got, want)
			}
		}
	}
	if got := counting.Count("Reader"); got != len(all)-1 {
		t.Errorf("%d requests for %d blobs", got, len(all)-1)
	}
}

// Others fetch what they read.
func TestNoSequence(t *testing.T) {
	r, counting, all := newSequence(t, 60)
	slices.Reverse(all)
	read := all[:20]
	for i := 0; i < 60; i += 2 * sequenceStep {
		read = append(read, all[59-i])
	}
	for _, d := range read {
		readBlob(t, r, d)
	}
	time.Sleep(20 * time.Millisecond)
	if got := counting.Count("Reader"); got > len(read) {
		t.Errorf("%d requests for %d blobs", got, len(read))
	}
}
