package ahead

import (
	"context"
	"fmt"
	"iter"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"registryfs/drivers"
)

// huge is a store of 10^8 files that it makes up: /a/0000/0000/f to
// /a/9999/9999/f.
type huge struct {
	drivers.StorageDriver // nil: what is not below is not called

	mu    sync.Mutex // guards the following
	calls int
	files int
}

const hugeSide = 10_000

func hugePath(i int) string { return fmt.Sprintf("/a/%04d/%04d/f", i/hugeSide, i%hugeSide) }

func (h *huge) count(files int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls++
	h.files += files
}

func (h *huge) Name() string   { return "huge" }
func (h *huge) IsRemote() bool { return true }

func (h *huge) ListInfo(_ context.Context, dir string) iter.Seq2[drivers.FileInfo, error] {
	return func(yield func(drivers.FileInfo, error) bool) {
		h.count(0)
		depth := strings.Count(strings.TrimSuffix(dir, "/"), "/")
		switch depth {
		case 0:
			yield(dirInfo("/a"), nil)
		case 1, 2:
			for i := range hugeSide {
				if i%1000 == 999 {
					h.count(0)
				}
				if !yield(dirInfo(fmt.Sprintf("%s/%04d", dir, i)), nil) {
					return
				}
			}
		case 3:
			yield(drivers.FileInfoFields{FullPath: dir + "/f", Bytes: 1}, nil)
		}
	}
}

func (h *huge) WalkPage(_ context.Context, from, after string) ([]drivers.FileInfo, string, error) {
	low, high := bounds(from)
	after = max(after, low)
	var files []drivers.FileInfo
	for i := sort.Search(hugeSide*hugeSide, func(i int) bool { return hugePath(i) > after }); i < hugeSide*hugeSide; i++ {
		path := hugePath(i)
		if path >= high {
			break
		}
		if files = append(files, drivers.FileInfoFields{FullPath: path, Bytes: 1}); len(files) == pageSize {
			h.count(len(files))
			return files, path, nil
		}
	}
	h.count(len(files))
	return files, "", nil
}

// find lists depth first in the order of the listing, as find does, until visit
// wants no more.
func find(t *testing.T, d *Driver, dir string, depth int, visit func(path string) bool) bool {
	var dirs []string
	for info, err := range d.ListInfo(Listing(t.Context()), dir) {
		if err != nil {
			t.Fatalf("ListInfo(%q) = %v", dir, err)
		}
		if info.IsDir() {
			dirs = append(dirs, info.Path())
		} else if !visit(info.Path()) {
			return false
		}
	}
	for _, sub := range dirs {
		if !visit(sub) || depth > 1 && !find(t, d, sub, depth-1, visit) {
			return false
		}
	}
	return true
}

func TestHuge(t *testing.T) {
	for _, test := range []struct {
		name      string
		depth     int
		head      int
		calls     int
		files     int
		mostLarge time.Duration
	}{
		{"find -maxdepth 2 | head", 2, 10, 22, 0, 0},
		{"find | head", 9, 10, 40, 5 * pageSize, 0},
		// Two names a file; the two levels above are a listing of ten pages each.
		{"find | head -20000", 9, 20_000, 60, 20 * pageSize, 0},
		// Directories whose subtrees are not wanted: no more than a few streams.
		{"find -maxdepth 3 | head -50000", 3, 50_000, 140, 40 * pageSize, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := &huge{}
			d := New(h, Options{MaxEntries: 20_000})
			n := 0
			find(t, d, "/", test.depth, func(string) bool {
				d.mu.Lock()
				defer d.mu.Unlock()
				if d.held > d.opts.MaxEntries+pageSize {
					t.Fatalf("%d files are held, want at most %d", d.held, d.opts.MaxEntries)
				}
				n++
				return n < test.head
			})
			h.mu.Lock()
			defer h.mu.Unlock()
			t.Logf("%d names by %d requests for %d files", n, h.calls, h.files)
			if h.calls > test.calls || h.files > test.files {
				t.Errorf("%d names took %d requests for %d files, want at most %d for %d", n, h.calls, h.files, test.calls, test.files)
			}
		})
	}
}

// TestIdle: what nobody uses goes by itself.
func TestIdle(t *testing.T) {
	h := &huge{}
	d := New(h, Options{})
	n := 0
	find(t, d, "/", 9, func(string) bool { n++; return n < 3000 })
	d.mu.Lock()
	held := d.held
	for _, s := range d.streams {
		s.hit = s.hit.Add(-time.Hour)
	}
	for i := range d.walks.names {
		d.walks.names[i].hit = time.Time{}
	}
	d.mu.Unlock()
	d.sweep()
	d.mu.Lock()
	defer d.mu.Unlock()
	if held == 0 || d.held != 0 || len(d.streams) != 0 || len(d.walks.names) != 0 || d.timer != nil {
		t.Errorf("of %d files %d are held by %d streams, %d names", held, d.held, len(d.streams), len(d.walks.names))
	}
}
