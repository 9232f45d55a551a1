package ahead

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"testing"
	"time"

	"registryfs/drivers"
	"registryfs/drivers/drivertest"
	"registryfs/drivers/inmemory"
)

// newPlaces is a Driver over a remote store with a file f in each of n
// directories.
func newPlaces(t *testing.T, ttl time.Duration, n int) (*Driver, *drivertest.Counting, drivers.StorageDriver) {
	t.Helper()
	var paths []string
	for i := range n {
		paths = append(paths, fmt.Sprintf("/places/p%05d/f", i))
	}
	return newStore(t, Options{TTL: ttl, Scattered: "/places"}, paths...)
}

// has asks for a named path, which is or is not to be there.
func has(t *testing.T, d *Driver, ctx context.Context, path string, want bool) {
	t.Helper()
	info, err := d.StatNamed(ctx, path)
	switch {
	case want && (err != nil || info.Path() != path):
		t.Fatalf("StatNamed(%q) = %v, %v", path, info, err)
	case !want && !errors.Is(err, fs.ErrNotExist):
		t.Fatalf("StatNamed(%q) = %v, %v, want fs.ErrNotExist", path, info, err)
	}
}

// TestPassing: who looks up name after name, there or not, needs a request for a
// thousand of them.
func TestPassing(t *testing.T) {
	ctx := Reading(t.Context())
	d, c, _ := newPlaces(t, time.Hour, 5000)
	for i := range 5000 {
		dir := fmt.Sprintf("/places/p%05d", i)
		has(t, d, ctx, dir, true)
		has(t, d, ctx, dir+"/f", true)
		has(t, d, ctx, dir+"/g", false)
		has(t, d, ctx, dir+"a", false)
	}
	t.Logf("%v", c.Counts())
	if n := calls(c); n > 15 {
		t.Errorf("20,000 look-ups took %v", c.Counts())
	}
}

// TestPassingAtRandom: who takes no way gets few pages.
func TestPassingAtRandom(t *testing.T) {
	ctx := Reading(t.Context())
	d, c, _ := newPlaces(t, time.Hour, 50_000)
	r := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		has(t, d, ctx, fmt.Sprintf("/places/p%05d/f", r.IntN(50_000)), true)
	}
	if t.Logf("%v", c.Counts()); c.Count("Walk") > 40 {
		t.Errorf("400 look-ups at random took %v", c.Counts())
	}
}

// TestPassingWriter: what a program writes that looks up each name before and
// after it costs two requests a file, also if another follows behind.
func TestPassingWriter(t *testing.T) {
	d, c, _ := newPlaces(t, time.Hour, 0)
	const n, behind = 3000, 40
	reading, adding := Reading(t.Context()), Adding(t.Context())
	name := func(i int) (dir, file string) {
		dir = fmt.Sprintf("/top/d%02d/e%04d", i/100, i)
		return dir, dir + "/f"
	}
	for i := range n + behind {
		if i < n {
			dir, file := name(i)
			has(t, d, reading, dir, false)
			has(t, d, adding, dir, false)
			has(t, d, reading, file, false)
		}
		if i < behind {
			continue
		}
		dir, file := name(i - behind)
		has(t, d, reading, dir+"/.f.tmp", false)
		has(t, d, adding, file, false)
		if err := d.PutContent(t.Context(), file, []byte(file)); err != nil {
			t.Fatal(err)
		}
		has(t, d, t.Context(), file, true)
		for ; dir != "/"; dir = parentOf(dir) {
			has(t, d, reading, dir, true)
		}
	}
	t.Logf("%v", c.Counts())
	if got := calls(c); got > 2*n+60 {
		t.Errorf("%d files took %v, want little more than two requests for each", n, c.Counts())
	}
}

// TestPassingOwn: who looks at each file once more when it is written asks for it
// alone, in a store full of others; who then looks at all of them, for pages.
func TestPassingOwn(t *testing.T) {
	ctx := Reading(t.Context())
	d, c, _ := newPlaces(t, time.Hour, 3000)
	const n = 500
	name := func(i int) string { return fmt.Sprintf("/new/f%04d", i) }
	for i := range n {
		has(t, d, ctx, name(i), false)
		put(t, d, name(i))
		has(t, d, ctx, name(i), true)
	}
	if t.Logf("%v", c.Counts()); c.Count("Stat") > n+10 || c.Count("Walk") > 5 {
		t.Errorf("%d files took %v, want a Stat for each and few pages", n, c.Counts())
	}
	c.Reset()
	for i := range n {
		has(t, d, ctx, name(i), true)
	}
	if t.Logf("%v", c.Counts()); calls(c) > 10 {
		t.Errorf("%d files that were written before took %v", n, c.Counts())
	}
}

// TestNothing: of what was not there nothing below is, for a TTL.
func TestNothing(t *testing.T) {
	const ttl = 50 * time.Millisecond
	reading, adding := Reading(t.Context()), Adding(t.Context())
	for _, test := range []struct {
		name string
		do   func(t *testing.T, d *Driver, inner drivers.StorageDriver)
		path string
		want bool
	}{
		{"file", func(*testing.T, *Driver, drivers.StorageDriver) {}, "/a/b/c", false},
		{"sibling", func(t *testing.T, _ *Driver, inner drivers.StorageDriver) { put(t, inner, "/ab") }, "/ab", true},
		{"own write", func(t *testing.T, d *Driver, _ drivers.StorageDriver) { put(t, d, "/a/b/c") }, "/a/b/c", true},
		{"own write, directory", func(t *testing.T, d *Driver, _ drivers.StorageDriver) { put(t, d, "/a/b/c") }, "/a", true},
		{"own move", func(t *testing.T, d *Driver, _ drivers.StorageDriver) {
			put(t, d, "/x/b/c")
			if err := d.Move(t.Context(), "/x", "/a"); err != nil {
				t.Fatal(err)
			}
		}, "/a/b/c", true},
		{"others", func(t *testing.T, _ *Driver, inner drivers.StorageDriver) {
			put(t, inner, "/a/b/c")
			time.Sleep(ttl + time.Millisecond)
		}, "/a/b/c", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, ctx := range []context.Context{reading, adding} {
				d, c, inner := newPlaces(t, ttl, 1)
				d.SetTTL(time.Hour)
				has(t, d, ctx, "/a", false)
				d.SetTTL(ttl)
				if test.want {
					test.do(t, d, inner)
				} else {
					d.SetTTL(time.Hour)
				}
				n := calls(c)
				has(t, d, ctx, test.path, test.want)
				if !test.want && calls(c) != n {
					t.Errorf("it took %v", c.Counts())
				}
				has(t, d, t.Context(), test.path, test.want)
			}
		})
	}
}

func put(t *testing.T, d drivers.StorageDriver, path string) {
	t.Helper()
	if err := d.PutContent(t.Context(), path, []byte(path)); err != nil {
		t.Fatal(err)
	}
}

// slowStat calls a function while a Stat is on its way back.
type slowStat struct {
	drivers.StorageDriver
	meanwhile func()
}

func (s *slowStat) Stat(ctx context.Context, path string) (drivers.FileInfo, error) {
	info, err := s.StorageDriver.Stat(ctx, path)
	if fn := s.meanwhile; fn != nil {
		s.meanwhile = nil
		fn()
	}
	return info, err
}

// TestWriteDuringStat: what an answer says that was on its way during a write is
// not kept.
func TestWriteDuringStat(t *testing.T) {
	ctx := Reading(t.Context())
	s := &slowStat{StorageDriver: drivertest.Remote(inmemory.New())}
	for _, writes := range []int{1, maxChanges + 1} {
		d := New(s, Options{TTL: time.Hour})
		s.meanwhile = func() {
			put(t, d, "/a/b")
			for i := range writes - 1 {
				put(t, d, fmt.Sprintf("/other/%d", i))
			}
		}
		if err := s.StorageDriver.Delete(ctx, "/a"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		has(t, d, ctx, "/a", false) // as it was when it was asked for
		has(t, d, ctx, "/a", true)
		has(t, d, ctx, "/a/b", true)
	}
	// Likewise that there is a file, and what it is in.
	d := New(s, Options{TTL: time.Hour})
	has(t, d, ctx, "/c", false) // something to keep changes for
	put(t, d, "/c/d")
	s.meanwhile = func() {
		if err := d.Delete(t.Context(), "/c"); err != nil {
			t.Fatal(err)
		}
	}
	has(t, d, t.Context(), "/c/d", true)
	has(t, d, ctx, "/c", false)
}

// TestAdding: what is there is asked for, however new the answer at hand is.
func TestAdding(t *testing.T) {
	d, c, inner := newPlaces(t, time.Hour, 50)
	walk(t, d, Listing(t.Context()), "/")
	c.Reset()
	has(t, d, Adding(t.Context()), "/places/p00007/f", true)
	if err := inner.Delete(t.Context(), "/places/p00007"); err != nil {
		t.Fatal(err)
	}
	has(t, d, Adding(t.Context()), "/places/p00007/f", false)
	if c.Count("Stat") != 2 {
		t.Errorf("it took %v, want two Stats", c.Counts())
	}
	if got := listAll(t, d, Adding(t.Context()), "/places"); len(got) != 49 {
		t.Errorf("%d directories, want 49", len(got))
	}
	if _, err := d.GetContent(Adding(t.Context()), "/places/p00008/f"); err != nil || c.Count("GetContent") != 1 {
		t.Errorf("GetContent = %v, it took %v", err, c.Counts())
	}
}

// TestScatteredNamed: that a scattered file is not there is believed of an older
// page only if nothing newer has led to it.
func TestScatteredNamed(t *testing.T) {
	ctx := Reading(t.Context())
	d, c, inner := newPlaces(t, time.Hour, 50)
	walk(t, d, Listing(t.Context()), "/")
	put(t, inner, "/places/p00007/new")
	c.Reset()
	has(t, d, ctx, "/places/p00007/new", false)
	if _, err := d.Stat(ctx, "/places/p00007/new"); err != nil || c.Count("Stat") != 1 {
		t.Errorf("Stat = %v, it took %v", err, c.Counts())
	}
}

// TestPassedListing: pages that were read for look-ups are no walk's own listing.
func TestPassedListing(t *testing.T) {
	const ttl = 50 * time.Millisecond
	d, _, inner := newPlaces(t, time.Hour, 100)
	reading := Reading(t.Context())
	for i := range 100 {
		has(t, d, reading, fmt.Sprintf("/places/p%05d/f", i), true)
	}
	put(t, inner, "/places/p00050/new")
	d.SetTTL(ttl)
	time.Sleep(ttl + time.Millisecond)
	ctx := Listing(t.Context())
	has(t, d, ctx, "/places/p00050/new", true)
	if got := listAll(t, d, ctx, "/places/p00050"); len(got) != 2 {
		t.Errorf("ListInfo = %q, want the new file too", got)
	}
}

// TestOwnDelete: what was written here is gone when it is deleted here, as far as
// the store says so; in this one a directory stays.
func TestOwnDelete(t *testing.T) {
	ctx := Reading(t.Context())
	for _, path := range []string{"/a/b/c", "/a/b", "/a"} {
		d, c, inner := newPlaces(t, time.Hour, 1)
		has(t, d, ctx, "/a", false)
		put(t, d, "/a/b/c")
		has(t, d, t.Context(), "/a/b/c", true)
		has(t, d, ctx, "/a/b", true)
		if err := d.Delete(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		c.Reset()
		for _, path := range []string{"/a/b/c", "/a/b", "/a"} {
			_, err := inner.Stat(t.Context(), path)
			has(t, d, ctx, path, err == nil)
		}
		if calls(c) == 0 {
			t.Errorf("nothing was asked after the Delete of %q", path)
		}
	}
}

// TestChtimesOfNone: where times cannot be set nothing that was read is forgotten.
func TestChtimesOfNone(t *testing.T) {
	d, c, _ := newPlaces(t, time.Hour, 50)
	walk(t, d, Listing(t.Context()), "/")
	if err := d.Chtimes(t.Context(), "/places", time.Now()); !errors.Is(err, errors.ErrUnsupported) {
		t.Fatalf("Chtimes = %v, want errors.ErrUnsupported", err)
	}
	c.Reset()
	has(t, d, Reading(t.Context()), "/places/p00007/f", true)
	if n := calls(c); n != 0 {
		t.Errorf("it took %v", c.Counts())
	}
}

// TestOwnFile: of a file that was written here the store is asked, for it may have
// been written again.
func TestOwnFile(t *testing.T) {
	ctx := Reading(t.Context())
	d, _, inner := newPlaces(t, time.Hour, 50)
	for i := range 50 {
		has(t, d, ctx, fmt.Sprintf("/places/p%05d/f", i), true)
	}
	put(t, d, "/places/p00007/f")
	has(t, d, t.Context(), "/places/p00007/f", true)
	if err := inner.PutContent(t.Context(), "/places/p00007/f", []byte("longer than it was")); err != nil {
		t.Fatal(err)
	}
	if info, err := d.StatNamed(ctx, "/places/p00007/f"); err != nil || info.Size() != 18 {
		t.Errorf("StatNamed = %v, %v, want 18 bytes", info, err)
	}
}

// TestLackedOnce: who makes a link looks at its name several times before, and the
// store is asked once. What is written here or, after the TTL, elsewhere is found.
func TestLackedOnce(t *testing.T) {
	const ttl = 50 * time.Millisecond
	hex := hexOf("a")
	path := "/repo/r/tags/t/index/" + hex + "/link"
	d, c, inner := newStore(t, Options{TTL: ttl, Expect: expectLinks}, "/other")
	look := func(ctx context.Context, want bool) {
		t.Helper()
		content, _, err := d.GetContentInfo(ctx, path)
		if want && string(content) != "sha256:"+hex || !want && !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("GetContentInfo = %q, %v, want it there: %t", content, err, want)
		}
	}
	put := func(s drivers.StorageDriver) {
		t.Helper()
		if err := s.PutContent(t.Context(), path, []byte("sha256:"+hex)); err != nil {
			t.Fatal(err)
		}
	}
	d.SetTTL(time.Hour)
	for _, ctx := range []context.Context{Reading(t.Context()), Reading(t.Context()), Adding(t.Context())} {
		look(ctx, false)
	}
	if n := calls(c); n != 1 {
		t.Errorf("three looks took %v, want one request", c.Counts())
	}
	look(t.Context(), false)
	if n := calls(c); n != 2 {
		t.Errorf("without a mark the store was not asked: %v", c.Counts())
	}
	put(d)
	look(Reading(t.Context()), true)
	if err := d.Delete(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	look(Adding(t.Context()), false)
	put(inner)
	d.SetTTL(ttl)
	time.Sleep(2 * ttl)
	look(Adding(t.Context()), true)
}

// TestPassedBeside: that a name is not there tells nothing of one that goes on with a
// character less than the slash.
func TestPassedBeside(t *testing.T) {
	ctx := Reading(t.Context())
	d, _, _ := newStore(t, Options{TTL: time.Hour}, "/a/b-x/f", "/a/b.x", "/a/c/f", "/a/c-x/f", "/a/c.x")
	has(t, d, ctx, "/a/b", false)
	has(t, d, ctx, "/a/b-x", true)
	has(t, d, ctx, "/a/b-x/f", true)
	has(t, d, ctx, "/a/b.x", true)
	has(t, d, ctx, "/a/c", true)
	has(t, d, ctx, "/a/c/f", true)
	has(t, d, ctx, "/a/c-x", true)
	has(t, d, ctx, "/a/c.x", true)
}

// firsts is a store that tells of a directory's first file, as S3 does.
type firsts struct{ drivers.StorageDriver }

func (f firsts) IsRemote() bool { return true }

func (f firsts) Stat(ctx context.Context, path string) (drivers.FileInfo, error) {
	info, err := f.StorageDriver.Stat(ctx, path)
	if err != nil || !info.IsDir() {
		return info, err
	}
	for first, err := range drivers.WalkInfo(ctx, f.StorageDriver, path, "") {
		return firstOf{info, first}, err
	}
	return info, nil
}

type firstOf struct {
	drivers.FileInfo
	first drivers.FileInfo
}

func (f firstOf) First() drivers.FileInfo { return f.first }

// TestPassedDown: the way down to the first file of a directory is one look-up. It
// tells nothing of what comes after that file.
func TestPassedDown(t *testing.T) {
	ctx := Reading(t.Context())
	inner := drivertest.Remote(inmemory.New())
	for _, path := range []string{"/a/b/c/f", "/a/b/g", "/a/b-x", "/a/d/f"} {
		if err := inner.PutContent(t.Context(), path, []byte("f")); err != nil {
			t.Fatal(err)
		}
	}
	c := drivertest.NewCounting(firsts{inner})
	d := New(c, Options{TTL: time.Hour})
	for _, path := range []string{"/a/b", "/a/b/c", "/a/b/c/f"} {
		has(t, d, ctx, path, true)
	}
	has(t, d, ctx, "/a/b/a", false)
	if n := calls(c); n != 1 {
		t.Errorf("the way down took %v, want one request", c.Counts())
	}
	for path, want := range map[string]bool{"/a/b/g": true, "/a/b-x": true, "/a/d/f": true, "/a/b/c/g": false} {
		has(t, d, ctx, path, want)
	}
}
