package ahead

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"registryfs/drivers"
	"registryfs/drivers/drivertest"
	"registryfs/drivers/inmemory"
)

func TestDriver(t *testing.T) {
	drivertest.Run(t, func(*testing.T) drivers.StorageDriver {
		return New(drivertest.Remote(inmemory.New()), Options{})
	})
}

// TestDriverListing runs the suite with every read part of a listing.
func TestDriverListing(t *testing.T) {
	for name, mark := range map[string]func(context.Context) context.Context{
		"reading": Reading,
		"listing": Listing,
		"names":   func(ctx context.Context) context.Context { return Names(Listing(ctx)) },
		"whole":   func(ctx context.Context) context.Context { return Whole(Listing(ctx)) },
	} {
		t.Run(name, func(t *testing.T) {
			drivertest.Run(t, func(*testing.T) drivers.StorageDriver {
				d := New(drivertest.Remote(inmemory.New()), Options{
					Expect: func(path string) Expected { return Expected{Content: path} },
				})
				return marking{d, mark}
			})
		})
	}
}

// marking marks the context of every read.
type marking struct {
	*Driver
	mark func(context.Context) context.Context
}

func (m marking) GetContent(ctx context.Context, path string) ([]byte, error) {
	return m.Driver.GetContent(m.mark(ctx), path)
}

func (m marking) GetContentInfo(ctx context.Context, path string) ([]byte, drivers.FileInfo, error) {
	return m.Driver.GetContentInfo(m.mark(ctx), path)
}

func (m marking) Stat(ctx context.Context, path string) (drivers.FileInfo, error) {
	return m.Driver.Stat(m.mark(ctx), path)
}

func (m marking) List(ctx context.Context, dir string) ([]string, error) {
	return m.Driver.List(m.mark(ctx), dir)
}

func (m marking) ListInfo(ctx context.Context, dir string) iter.Seq2[drivers.FileInfo, error] {
	return m.Driver.ListInfo(m.mark(ctx), dir)
}

func (m marking) WalkInfo(ctx context.Context, from, startAfter string) iter.Seq2[drivers.FileInfo, error] {
	return m.Driver.WalkInfo(m.mark(ctx), from, startAfter)
}

// newStore is a Driver over a store of files whose content is their path, with
// the calls counted that reach the store.
func newStore(t testing.TB, o Options, paths ...string) (*Driver, *drivertest.Counting, drivers.StorageDriver) {
	t.Helper()
	inner := inmemory.New()
	for _, path := range paths {
		if err := inner.PutContent(t.Context(), path, []byte(path)); err != nil {
			t.Fatal(err)
		}
	}
	c := drivertest.NewCounting(drivertest.Remote(inner))
	return New(c, o), c, inner
}

// calls is how many calls were counted in all.
func calls(c *drivertest.Counting) int {
	n := 0
	for _, m := range c.Counts() {
		n += m
	}
	return n
}

// walk lists dir and all below it, as ls -R does, and returns what it met.
func walk(t testing.TB, d *Driver, ctx context.Context, dir string) []string {
	t.Helper()
	var met []string
	var dirs []string
	for info, err := range d.ListInfo(ctx, dir) {
		if err != nil {
			t.Fatalf("ListInfo(%q) = %v", dir, err)
		}
		met = append(met, info.Path())
		if info.IsDir() {
			dirs = append(dirs, info.Path())
		}
	}
	slices.Sort(dirs)
	for _, sub := range dirs {
		met = append(met, walk(t, d, ctx, sub)...)
	}
	return met
}

// tree is n directories of files, two levels deep, with names in which the order
// of ls is not that of bytes.
func tree(n, files int) []string {
	var paths []string
	for i := range n {
		name := fmt.Sprintf("/top/d%02d/e%d", i/10, i%10)
		if i%3 == 0 {
			name += "-x"
		}
		for f := range files {
			paths = append(paths, fmt.Sprintf("%s/f%d/link", name, f))
		}
	}
	return paths
}

func TestWalkCost(t *testing.T) {
	for _, test := range []struct {
		name  string
		paths []string
		most  int
	}{
		{"one page", tree(40, 5), 4},
		{"many pages", tree(400, 20), 30},
		{"flat", tree(4000, 1), 20},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, c, inner := newStore(t, Options{}, test.paths...)
			got := walk(t, d, Listing(t.Context()), "/")
			n := calls(c)
			want := walk(t, New(inner, Options{}), t.Context(), "/")
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("the walk met %d names, want %d", len(got), len(want))
			}
			t.Logf("%d names: %v", len(got), c.Counts())
			if n > test.most {
				t.Errorf("the walk took %d calls (%v), want at most %d", n, c.Counts(), test.most)
			}
		})
	}
}

// TestSingleListing: one directory, however many are below it.
func TestSingleListing(t *testing.T) {
	d, c, _ := newStore(t, Options{}, tree(100, 20)...)
	for range d.ListInfo(Listing(t.Context()), "/top") {
	}
	for range d.ListInfo(Listing(t.Context()), "/top/d05/e3-x") {
	}
	time.Sleep(10 * time.Millisecond)
	if got := c.Counts(); got["List"] != 2 || len(got) != 1 {
		t.Errorf("two listings took %v, want a List each", got)
	}
}
