package ahead

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"registryfs/drivers"
	"registryfs/drivers/drivertest"
)

// Links as a registry has them: /repo/rN/tags/T/current/link holds the digest
// after which one of /repo/rN/tags/T/index/<hex>/link is named.
func expectLinks(path string) Expected {
	rest, ok := strings.CutSuffix(path, "/link")
	if !ok {
		return Expected{}
	}
	if tag, ok := strings.CutSuffix(rest, "/current"); ok {
		return Expected{Among: tag + "/index"}
	}
	return Expected{Content: "sha256:" + rest[strings.LastIndexByte(rest, '/')+1:]}
}

func hexOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func putTag(t testing.TB, d drivers.StorageDriver, repo, tag, manifest string) {
	t.Helper()
	dir := "/repo/" + repo + "/tags/" + tag
	for _, path := range []string{dir + "/index/" + hexOf(manifest) + "/link", dir + "/current/link"} {
		if err := d.PutContent(t.Context(), path, []byte("sha256:"+hexOf(manifest))); err != nil {
			t.Fatal(err)
		}
	}
}

func newTags(t testing.TB, ttl time.Duration, repos, tags int) (*Driver, *drivertest.Counting, drivers.StorageDriver) {
	d, c, inner := newStore(t, Options{Expect: expectLinks, TTL: ttl})
	for r := range repos {
		for tag := range tags {
			putTag(t, inner, fmt.Sprintf("r%02d", r), fmt.Sprintf("t%03d", tag), fmt.Sprintf("manifest %d of %d", tag, r))
		}
	}
	return d, c, inner
}

func listAll(t testing.TB, d *Driver, ctx context.Context, dir string) (names []string) {
	t.Helper()
	for info, err := range d.ListInfo(ctx, dir) {
		if err != nil {
			t.Fatalf("ListInfo(%q) = %v", dir, err)
		}
		names = append(names, baseName(info.Path()))
	}
	return names
}

func wantLink(t *testing.T, d *Driver, ctx context.Context, path, manifest string) {
	t.Helper()
	got, info, err := d.GetContentInfo(ctx, path)
	if want := "sha256:" + hexOf(manifest); err != nil || string(got) != want || info.Path() != path || info.Size() != int64(len(want)) {
		t.Errorf("GetContentInfo(%q) = %q, %v, want %q", path, got, err, want)
	}
}

// TestTagsOfRepository: every tag with its digest from one request.
func TestTagsOfRepository(t *testing.T) {
	d, c, _ := newTags(t, 0, 1, 300)
	ctx := Listing(t.Context())
	names := listAll(t, d, Whole(ctx), "/repo/r00/tags")
	if len(names) != 300 {
		t.Fatalf("%d tags, want 300", len(names))
	}
	for i, name := range names {
		wantLink(t, d, ctx, "/repo/r00/tags/"+name+"/current/link", fmt.Sprintf("manifest %d of 0", i))
	}
	if got := calls(c); got != 1 {
		t.Errorf("it took %v, want one Walk", c.Counts())
	}
}

// TestTagsOfSiblings: the same of many repositories, read ahead in parallel.
func TestTagsOfSiblings(t *testing.T) {
	d, c, _ := newTags(t, 0, 40, 5)
	ctx := Listing(t.Context())
	for _, repo := range listAll(t, d, ctx, "/repo") {
		for i, tag := range listAll(t, d, Whole(ctx), "/repo/"+repo+"/tags") {
			var r int
			fmt.Sscanf(repo, "r%d", &r)
			wantLink(t, d, ctx, "/repo/"+repo+"/tags/"+tag+"/current/link", fmt.Sprintf("manifest %d of %d", i, r))
		}
	}
	if got := calls(c); got > 41 {
		t.Errorf("it took %v, want a Walk for each repository", c.Counts())
	}
	if d.walks.siblings.parent != "/repo" {
		t.Errorf("the siblings walked were those of %q, want /repo", d.walks.siblings.parent)
	}
}

// TestProof: what an ETag does not prove is read.
func TestProof(t *testing.T) {
	const dir = "/repo/r/tags/t"
	hexA, hexB := hexOf("a"), hexOf("b")
	for _, test := range []struct {
		name     string
		path     string
		content  string
		requests int
	}{
		{"index", dir + "/index/" + hexA + "/link", "sha256:" + hexA, 0},
		{"current of the index", dir + "/current/link", "sha256:" + hexA, 0},
		{"current of no index", dir + "/current/link", "sha256:" + hexB, 1},
		{"another digest than the path's", dir + "/index/" + hexB + "/link", "sha256:" + hexA, 1},
		{"a newline", dir + "/index/" + hexB + "/link", "sha256:" + hexB + "\n", 1},
		{"empty", dir + "/index/" + hexB + "/link", "", 1},
		{"other files", dir + "/index/" + hexB + "/other", "sha256:" + hexB, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, c, inner := newStore(t, Options{Expect: expectLinks})
			putTag(t, inner, "r", "t", "a")
			if err := inner.PutContent(t.Context(), test.path, []byte(test.content)); err != nil {
				t.Fatal(err)
			}
			ctx := Listing(t.Context())
			listAll(t, d, Whole(ctx), "/repo/r/tags")
			c.Reset()
			got, err := d.GetContent(ctx, test.path)
			if err != nil || string(got) != test.content {
				t.Errorf("GetContent = %q, %v, want %q", got, err, test.content)
			}
			if n := calls(c); n != test.requests {
				t.Errorf("it took %v, want %d requests", c.Counts(), test.requests)
			}
		})
	}
}

func TestProves(t *testing.T) {
	const content = "sha256:0000"
	sum := "d41d8cd98f00b204e9800998ecf8427e"
	for _, test := range []struct {
		name, etag string
		size       int64
		content    string
		want       bool
	}{
		{"MD5 of nothing is no proof of nothing", sum, 0, "", false},
		{"MD5 of something else", sum, int64(len(content)), content, false},
		{"multipart", sum + "-1", int64(len(content)), content, false},
		{"none", "", int64(len(content)), content, false},
		{"zeros", strings.Repeat("0", 32), int64(len(content)), content, false},
		{"another size", "aea1f4f0d7a38ba3a3a2c5b1ac8a4d5e", 71, content, false},
	} {
		p := pack(time.Now(), []drivers.FileInfo{tagged{drivers.FileInfoFields{FullPath: "/f", Bytes: test.size}, test.etag}})
		if got := p.proves(0, test.content); got != test.want {
			t.Errorf("%s: proves = %v, want %v", test.name, got, test.want)
		}
		if got := p.etag(0); got != test.etag && test.name != "zeros" {
			t.Errorf("%s: etag = %q, want %q", test.name, got, test.etag)
		}
	}
}

type tagged struct {
	drivers.FileInfoFields
	etag string
}

func (t tagged) ETag() string { return t.etag }

// TestTagMovedByOthers: somebody who reads a tag during a long walk sees where
// it is, at most a TTL late.
func TestTagMovedByOthers(t *testing.T) {
	const ttl = 50 * time.Millisecond
	d, c, inner := newTags(t, ttl, 3, 20)
	listing, reading := Listing(t.Context()), Reading(t.Context())
	walk(t, d, listing, "/")
	const tag = "/repo/r01/tags/t005/current/link"
	c.Reset()
	wantLink(t, d, reading, tag, "manifest 5 of 1")
	if n := calls(c); n != 0 {
		t.Errorf("a tag listed just now took %v", c.Counts())
	}
	putTag(t, inner, "r01", "t005", "moved")
	time.Sleep(ttl + time.Millisecond)
	wantLink(t, d, reading, tag, "moved")
	wantLink(t, d, t.Context(), tag, "moved")
	// The walk goes on with what it has listed.
	wantLink(t, d, listing, tag, "manifest 5 of 1")
	// So many in a row cost a request for all together.
	c.Reset()
	for i := range 20 {
		want := fmt.Sprintf("manifest %d of 1", i)
		if i == 5 {
			want = "moved"
		}
		wantLink(t, d, reading, fmt.Sprintf("/repo/r01/tags/t%03d/current/link", i), want)
	}
	if n := calls(c); n > refreshAfter+4 {
		t.Errorf("20 stale tags in a row took %v", c.Counts())
	}
	// A second walk sees it.
	walk(t, d, listing, "/")
	wantLink(t, d, listing, tag, "moved")
}

// TestRefreshAhead: who reads stale page after stale page has the next ones read
// again beside the first, and none of them twice.
func TestRefreshAhead(t *testing.T) {
	const repos, tags = 10, 500
	d, c, _ := newTags(t, 20*time.Second, repos, tags)
	walk(t, d, Listing(t.Context()), "/")
	d.mu.Lock()
	pages := 0
	for _, s := range d.streams {
		for _, p := range s.pages {
			p.asked = p.asked.Add(-30 * time.Second)
			pages++
		}
	}
	d.mu.Unlock()
	c.Reset()
	begun, waits := 0, 0
	for r := range repos {
		for tag := range tags {
			wantLink(t, d, Reading(t.Context()), fmt.Sprintf("/repo/r%02d/tags/t%03d/current/link", r, tag), fmt.Sprintf("manifest %d of %d", tag, r))
			d.mu.Lock()
			n := 0
			for _, s := range d.streams {
				if s.most == 1 {
					n++
				}
			}
			d.mu.Unlock()
			if n > begun {
				begun, waits = n, waits+1
			}
		}
	}
	if pages < repos*tags*2/pageSize {
		t.Fatalf("the walk has left %d pages", pages)
	}
	if waits > pages/2+1 {
		t.Errorf("%d pages were read again by %d waits", begun, waits)
	}
	if n := c.Count("WalkInfo") + c.Count("WalkPage"); n > pages+1 {
		t.Errorf("%d pages took %v", pages, c.Counts())
	}
	// And the links that begin the run, or whose page ends before what proves them.
	if n := calls(c); n > 2*pages+refreshAfter {
		t.Errorf("it took %v", c.Counts())
	}
}

// TestExact: what prepares a change asks the store.
func TestExact(t *testing.T) {
	d, c, inner := newTags(t, time.Hour, 3, 20)
	walk(t, d, Listing(t.Context()), "/")
	putTag(t, inner, "r01", "t005", "moved")
	wantLink(t, d, t.Context(), "/repo/r01/tags/t005/current/link", "moved")
	if err := inner.Delete(t.Context(), "/repo/r02"); err != nil {
		t.Fatal(err)
	}
	c.Reset()
	if _, err := d.Stat(t.Context(), "/repo/r02"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat of what was deleted = %v", err)
	}
	if got := listAll(t, d, t.Context(), "/repo"); len(got) != 2 {
		t.Errorf("List = %q, want two", got)
	}
	if c.Count("Stat") != 1 || c.Count("List") != 1 {
		t.Errorf("it took %v", c.Counts())
	}
}

// TestOwnWrites: they are seen at once in whatever a walk has read.
func TestOwnWrites(t *testing.T) {
	ctx := Listing(t.Context())
	const tag = "/repo/r01/tags/t005"
	for _, test := range []struct {
		name  string
		write func(d *Driver) error
		check func(t *testing.T, d *Driver)
	}{
		{"put", func(d *Driver) error {
			return d.PutContent(t.Context(), tag+"/current/link", []byte("sha256:"+hexOf("new")))
		}, func(t *testing.T, d *Driver) { wantLink(t, d, ctx, tag+"/current/link", "new") }},
		{"puts", func(d *Driver) error {
			return drivers.PutContents(t.Context(), d, []drivers.Content{{Path: "/repo/r01/tags/added/current/link", Bytes: []byte("x")}})
		}, func(t *testing.T, d *Driver) {
			if got := listAll(t, d, ctx, "/repo/r01/tags"); len(got) != 21 {
				t.Errorf("%d tags, want 21", len(got))
			}
			if _, err := d.Stat(ctx, "/repo/r01/tags/added"); err != nil {
				t.Errorf("Stat = %v", err)
			}
		}},
		{"delete", func(d *Driver) error { return d.Delete(t.Context(), tag) }, func(t *testing.T, d *Driver) {
			if got := listAll(t, d, ctx, "/repo/r01/tags"); len(got) != 19 {
				t.Errorf("%d tags, want 19", len(got))
			}
			for _, path := range []string{tag, tag + "/current", tag + "/current/link"} {
				if _, err := d.Stat(ctx, path); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("Stat(%q) = %v, want fs.ErrNotExist", path, err)
				}
			}
		}},
		{"move", func(d *Driver) error { return d.Move(t.Context(), "/repo/r01", "/repo/s") }, func(t *testing.T, d *Driver) {
			if got := listAll(t, d, ctx, "/repo"); len(got) != 3 || got[2] != "s" {
				t.Errorf("ListInfo = %q", got)
			}
			if got := listAll(t, d, ctx, "/repo/s/tags"); len(got) != 20 {
				t.Errorf("%d tags, want 20", len(got))
			}
			wantLink(t, d, ctx, "/repo/s/tags/t005/current/link", "manifest 5 of 1")
		}},
		{"writer", func(d *Driver) error {
			w, err := d.Writer(t.Context(), tag+"/data", false)
			if err != nil {
				return err
			}
			_, err = w.Write([]byte("data"))
			if _, err := d.Stat(ctx, tag+"/data"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Stat before Commit = %v", err)
			}
			return errors.Join(err, w.Commit(t.Context()), w.Close())
		}, func(t *testing.T, d *Driver) {
			if info, err := d.Stat(ctx, tag+"/data"); err != nil || info.Size() != 4 {
				t.Errorf("Stat = %v, %v", info, err)
			}
			if got := listAll(t, d, ctx, tag); len(got) != 3 {
				t.Errorf("ListInfo = %q", got)
			}
		}},
		{"many", func(d *Driver) error {
			for i := range maxChanges + 10 {
				if err := d.PutContent(t.Context(), fmt.Sprintf("/many/f%04d", i), nil); err != nil {
					return err
				}
			}
			return d.Delete(t.Context(), tag)
		}, func(t *testing.T, d *Driver) {
			if got := listAll(t, d, ctx, "/repo/r01/tags"); len(got) != 19 {
				t.Errorf("%d tags, want 19", len(got))
			}
			if len(d.changes.paths) > maxChanges {
				t.Errorf("%d changes are kept", len(d.changes.paths))
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, _, _ := newTags(t, time.Hour, 3, 20)
			walk(t, d, ctx, "/")
			if len(d.streams) == 0 {
				t.Fatal("the walk was not recognised")
			}
			if err := test.write(d); err != nil {
				t.Fatal(err)
			}
			test.check(t, d)
			// And in what is read after it, however often.
			walk(t, d, ctx, "/")
			test.check(t, d)
		})
	}
}

// TestWriteDuringPage: a page that was asked for before a write ended must not
// bring back what was there before.
func TestWriteDuringPage(t *testing.T) {
	d, _, _ := newTags(t, time.Hour, 3, 20)
	ctx := Listing(t.Context())
	const link = "/repo/r01/tags/t005/current/link"
	err := d.changing(func() error {
		walk(t, d, ctx, "/") // its pages are asked for and come meanwhile
		return d.inner.PutContent(t.Context(), link, []byte("sha256:"+hexOf("new")))
	}, link)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.streams) == 0 {
		t.Fatal("the walk was not recognised")
	}
	wantLink(t, d, ctx, link, "new")
	wantLink(t, d, ctx, "/repo/r01/tags/t006/current/link", "manifest 6 of 1")
}
