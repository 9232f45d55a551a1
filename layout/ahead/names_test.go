package ahead

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"registryfs/drivers"
	"registryfs/drivers/drivertest"
)

// nameTree is top directories of two levels of names, each with files below a
// directory that is not nested.
func nameTree(top, files int) (paths, dirs []string) {
	dirs = []string{"/names"}
	for i := range top {
		name := fmt.Sprintf("/names/t%02d", i)
		dirs = append(dirs, name)
		for _, sub := range []string{"", "/a", "/a-b", "/a/c"} {
			if sub != "" {
				dirs = append(dirs, name+sub)
			}
			for f := range files {
				paths = append(paths, fmt.Sprintf("%s%s/_files/%d/link", name, sub, f))
			}
		}
	}
	slices.SortFunc(dirs, drivers.ComparePaths)
	return paths, dirs
}

func nestedName(name string) bool { return !strings.HasPrefix(name, "_") }

// walkNames lists directories for their names, depth first.
func walkNames(t *testing.T, d *Driver, dir string) []string {
	t.Helper()
	met := []string{dir}
	var dirs []string
	for info, err := range d.ListInfo(Names(Listing(t.Context())), dir) {
		if err != nil {
			t.Fatalf("ListInfo(%q) = %v", dir, err)
		}
		if info.IsDir() && nestedName(baseName(info.Path())) {
			dirs = append(dirs, info.Path())
		}
	}
	for _, sub := range dirs {
		met = append(met, walkNames(t, d, sub)...)
	}
	return met
}

// TestNames: a walk of names lists each directory once and reads nothing else, and
// one that wants what is below them as well gets it by pages.
func TestNames(t *testing.T) {
	paths, dirs := nameTree(30, 20)
	d, c, _ := newStore(t, Options{Nested: nestedName}, paths...)
	got := walkNames(t, d, "/names")
	slices.SortFunc(got, drivers.ComparePaths)
	if !slices.Equal(got, dirs) {
		t.Errorf("the walk met %q, want %q", got, dirs)
	}
	if n := c.Count("List"); n != len(dirs) || calls(c) != n {
		t.Errorf("a walk of %d names took %v, want a List each", len(dirs), c.Counts())
	}
	c.Reset()
	for _, dir := range dirs[1:] {
		if got := listAll(t, d, Whole(Listing(t.Context())), dir+"/_files"); len(got) != 20 {
			t.Fatalf("ListInfo(%q) = %q", dir, got)
		}
	}
	if n := calls(c); n > 12 {
		t.Errorf("%d directories of 20 files took %v, want at most 12 calls", len(dirs)-1, c.Counts())
	}
}

// TestNamesAlone: two listings are no walk, and one that is left reads no more
// than some directories.
func TestNamesAlone(t *testing.T) {
	paths, dirs := nameTree(90, 1)
	for _, test := range []struct{ listed, most int }{{1, 1}, {2, 2}, {3, 3 + mostSiblings}, {6, 6 + mostSiblings}} {
		d, c, _ := newStore(t, Options{Nested: nestedName}, paths...)
		for _, dir := range dirs[:test.listed] {
			for range d.ListInfo(Names(Listing(t.Context())), dir) {
			}
		}
		time.Sleep(10 * time.Millisecond)
		if n := calls(c); n > test.most {
			t.Errorf("%d listings took %v, want at most %d", test.listed, c.Counts(), test.most)
		}
	}
}

// TestNamesAtOnce: a store that answers late is asked for several at once.
func TestNamesAtOnce(t *testing.T) {
	paths, dirs := nameTree(20, 1)
	_, _, inner := newStore(t, Options{}, paths...)
	slow := &late{StorageDriver: drivertest.Remote(inner), by: time.Millisecond}
	d := New(slow, Options{Nested: nestedName})
	if got := walkNames(t, d, "/names"); len(got) != len(dirs) {
		t.Errorf("the walk met %d names, want %d", len(got), len(dirs))
	}
	if slow.most < 4 || slow.most > mostSiblings+1 {
		t.Errorf("%d listings at once, want 4 to %d", slow.most, mostSiblings+1)
	}
}

// TestNamesFail: a listing that fails before it is asked for is tried again when it
// is, and its error is the walker's.
func TestNamesFail(t *testing.T) {
	paths, dirs := nameTree(20, 1)
	_, _, inner := newStore(t, Options{}, paths...)
	const dir = "/names/t07"
	for _, failures := range []int{1, 100} {
		broken := &late{StorageDriver: drivertest.Remote(inner), fail: map[string]int{dir: failures}}
		d := New(broken, Options{Nested: nestedName})
		var failed []string
		for _, dir := range dirs {
			n := 0
			for _, err := range d.ListInfo(Names(Listing(t.Context())), dir) {
				n++
				if err != nil && !errors.Is(err, errBroken) {
					t.Errorf("ListInfo(%q) = %v, want %v", dir, err, errBroken)
				}
				if err != nil {
					failed = append(failed, dir)
				}
			}
			if n == 0 {
				t.Errorf("ListInfo(%q) shows nothing", dir)
			}
		}
		var want []string
		if failures > 1 {
			want = []string{dir}
		}
		if !slices.Equal(failed, want) {
			t.Errorf("with %d failures of %s %q failed, want %q", failures, dir, failed, want)
		}
		if broken.fails(dir) && failures == 1 {
			t.Errorf("%s was not listed", dir)
		}
	}
}

var errBroken = errors.New("broken")

// late is a store whose listings take a while, and fail as often as is said.
type late struct {
	drivers.StorageDriver
	by time.Duration

	mu        sync.Mutex // guards the following
	now, most int
	fail      map[string]int // by directory
}

func (l *late) IsRemote() bool { return true }

func (l *late) ListInfo(ctx context.Context, dir string) iter.Seq2[drivers.FileInfo, error] {
	return func(yield func(drivers.FileInfo, error) bool) {
		l.count(1)
		time.Sleep(l.by)
		if l.count(-1); l.fails(dir) {
			yield(nil, errBroken)
			return
		}
		drivers.ListInfo(ctx, l.StorageDriver, dir)(yield)
	}
}

func (l *late) fails(dir string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail[dir] == 0 {
		return false
	}
	l.fail[dir]--
	return true
}

func (l *late) count(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now += n
	l.most = max(l.most, l.now)
}
