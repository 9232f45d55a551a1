package ahead

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// TestJump: a walker in another order than that of bytes, and one that skips
// most, gets streams where it is.
func TestJump(t *testing.T) {
	var paths []string
	for _, top := range []string{"z", "m", "a"} {
		for i := range 3000 {
			paths = append(paths, fmt.Sprintf("/top/%s/%04d/f", top, i))
		}
	}
	d, c, _ := newStore(t, Options{}, paths...)
	ctx := Listing(t.Context())
	listAll(t, d, ctx, "/")
	listAll(t, d, ctx, "/top")
	for _, top := range []string{"z", "m", "a"} {
		dir := "/top/" + top
		names := listAll(t, d, ctx, dir)
		if len(names) != 3000 {
			t.Errorf("ListInfo(%q) has %d names", dir, len(names))
		}
		for _, name := range names {
			if got := listAll(t, d, ctx, dir+"/"+name); len(got) != 1 {
				t.Fatalf("ListInfo(%q) = %q", dir+"/"+name, got)
			}
		}
	}
	t.Logf("%v", c.Counts())
	if n := calls(c); n > 40 {
		t.Errorf("9,000 directories took %v, want at most 40 calls", c.Counts())
	}
}

// TestWalkers: several at once, each where it likes, see what is there.
func TestWalkers(t *testing.T) {
	d, c, inner := newStore(t, Options{}, tree(300, 10)...)
	want := walk(t, New(inner, Options{}), t.Context(), "/top")
	slices.Sort(want)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 2 {
				got := walk(t, d, Listing(t.Context()), "/top")
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("a walk met %d names, want %d", len(got), len(want))
				}
			}
		})
	}
	for i := range 300 {
		path := fmt.Sprintf("/other/f%d", i)
		if err := d.PutContent(t.Context(), path, nil); err != nil {
			t.Error(err)
		}
		if _, err := d.Stat(Reading(t.Context()), path); err != nil {
			t.Errorf("Stat(%q) = %v", path, err)
		}
	}
	wg.Wait()
	t.Logf("%v", c.Counts())
	if n := c.Count("List") + c.Count("Walk"); n > 150 {
		t.Errorf("8 walks took %v, want at most 150 listings", c.Counts())
	}
}

// TestScattered: sizes of blobs, asked for in no order.
func TestScattered(t *testing.T) {
	const dir = "/blobs"
	for _, test := range []struct {
		name        string
		files, asks int
		most        int
	}{
		{"few", 100, 100, 4},
		{"one", 5000, 1, 1},
		{"some of many", 9000, 4, 5},
		{"many", 9000, 500, 40},
		{"too many to hold", 9000, 500, 501},
	} {
		t.Run(test.name, func(t *testing.T) {
			var paths []string
			for i := range test.files {
				hex := hexOf(fmt.Sprint(i))
				paths = append(paths, dir+"/"+hex[:2]+"/"+hex+"/data")
			}
			o := Options{Scattered: dir}
			if test.name == "too many to hold" {
				o.MaxEntries = 4000
			}
			d, c, inner := newStore(t, o, paths...)
			ctx := Listing(t.Context())
			var wg sync.WaitGroup
			for w := range 4 {
				wg.Go(func() {
					for i := w; i < test.asks; i += 4 {
						path := paths[i*len(paths)/test.asks]
						if info, err := d.Stat(ctx, path); err != nil || info.Size() != int64(len(path)) {
							t.Errorf("Stat(%q) = %v, %v", path, info, err)
						}
					}
				})
			}
			wg.Wait()
			t.Logf("%v", c.Counts())
			if n := calls(c); n > test.most {
				t.Errorf("%d look-ups among %d took %v, want at most %d", test.asks, test.files, c.Counts(), test.most)
			}
			// One that has come since is there.
			if err := inner.PutContent(ctx, dir+"/00/0000new/data", []byte("x")); err != nil {
				t.Fatal(err)
			}
			if _, err := d.Stat(ctx, dir+"/00/0000new/data"); err != nil {
				t.Errorf("Stat of a new one = %v", err)
			}
		})
	}
}

func TestAfter(t *testing.T) {
	d, _, _ := newStore(t, Options{}, tree(40, 5)...)
	if got := d.After("/top", 3); len(got) != 0 {
		t.Errorf("After without a walk = %v", got)
	}
	walk(t, d, Listing(t.Context()), "/")
	got := d.After("/top/d00/e1/f3/link", 3)
	want := []string{"/top/d00/e1/f4/link", "/top/d00/e2/f0/link", "/top/d00/e2/f1/link"}
	for i := range want {
		if len(got) != len(want) || got[i].Path() != want[i] {
			t.Fatalf("After = %v, want %q", got, want)
		}
	}
}

// TestSecondWalk: what one walk was shown some time ago does not answer the next
// one, which is a walk all the same; also when it comes close behind.
func TestSecondWalk(t *testing.T) {
	d, c, inner := newStore(t, Options{TTL: time.Millisecond}, tree(300, 10)...)
	ctx := Listing(t.Context())
	walk(t, d, ctx, "/top")
	if err := inner.PutContent(t.Context(), "/top/d05/e1/new/link", nil); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Millisecond)
	c.Reset()
	if got := walk(t, d, ctx, "/top"); !slices.Contains(got, "/top/d05/e1/new/link") {
		t.Error("the second walk does not see what came after the first")
	}
	if n := calls(c); n > 30 {
		t.Errorf("the second walk took %v, want at most 30 calls", c.Counts())
	}
	c.Reset()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { walk(t, d, ctx, "/top") })
		time.Sleep(3 * time.Millisecond)
	}
	wg.Wait()
	if n := calls(c); n > 120 {
		t.Errorf("three walks close together took %v, want at most 120 calls", c.Counts())
	}
}
