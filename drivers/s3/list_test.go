package s3

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"registryfs/drivers"
)

// paths gathers what a listing yields, most of it at most.
func paths(t *testing.T, most int, infos func(yield func(drivers.FileInfo, error) bool)) []string {
	t.Helper()
	got := []string{}
	for info, err := range infos {
		if err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		if got = append(got, info.Path()); len(got) == most {
			break
		}
	}
	return got
}

// hugeListing makes up 10^8 keys, root/d/00000000 and so on.
func hugeListing(w http.ResponseWriter, r *http.Request, kind string) bool {
	q := r.URL.Query()
	after := max(q.Get("start-after"), q.Get("continuation-token"))
	first := 0
	if _, err := fmt.Sscanf(after, "root/d/%d", &first); err == nil {
		first++
	}
	page := fakePage{EncodingType: "url", IsTruncated: true}
	for i := first; i < first+1000; i++ {
		page.Contents = append(page.Contents, fakeContent{fmt.Sprintf("root%%2Fd%%2F%08d", i), `"x"`, 1, "2026-01-02T03:04:05.000Z"})
		page.NextContinuationToken = fmt.Sprintf("root/d/%08d", i)
	}
	_ = xml.NewEncoder(w).Encode(page)
	return true
}

// TestHugeListing takes a few of very many: the rest must not be asked for.
func TestHugeListing(t *testing.T) {
	huge := func() (*fakeStore, drivers.StorageDriver) {
		// One for each listing: what it asked for ahead may come after its end.
		s := newFakeStore(t)
		s.fault = hugeListing
		return s, s.wrapped(nil)
	}
	for name, list := range map[string]func(d drivers.StorageDriver) iter.Seq2[drivers.FileInfo, error]{
		"ListInfo": func(d drivers.StorageDriver) iter.Seq2[drivers.FileInfo, error] {
			return drivers.ListInfo(t.Context(), d, "/d")
		},
		"WalkInfo": func(d drivers.StorageDriver) iter.Seq2[drivers.FileInfo, error] {
			return drivers.WalkInfo(t.Context(), d, "/", "")
		},
		"WalkInfo further": func(d drivers.StorageDriver) iter.Seq2[drivers.FileInfo, error] {
			return drivers.WalkInfo(t.Context(), d, "/d", "/d/00004000")
		},
	} {
		s, d := huge()
		got := paths(t, 10, list(d))
		if name == "WalkInfo further" && got[0] != "/d/00004001" || len(got) != 10 {
			t.Errorf("%s gave %q", name, got)
		}
		if made := s.made(); len(made) > 2 {
			t.Errorf("%s made %d requests for 10 entries, want at most 2", name, len(made))
		}
	}
	s, d := huge()
	if got := paths(t, 5500, drivers.WalkInfo(t.Context(), d, "/", "")); len(got) != 5500 {
		t.Errorf("WalkInfo gave %d", len(got))
	}
	if made := s.made(); len(made) > 7 {
		t.Errorf("WalkInfo made %d requests for 5500 entries, want at most 7", len(made))
	}
}

// TestOddKeys: what others have put into the bucket must not be in the way.
func TestOddKeys(t *testing.T) {
	s := newFakeStore(t)
	for _, key := range []string{
		"root/dir/", "root/dir/file", "root/dir//x", "root/dir/a b", "root/dir/\x01", "root/dir/ü+%41", "root/dir/+/file",
		"root/dir/.x" + partialSuffix, "root/dir/./y", "root/dir/sub/", "root/dir/sub/z", "root/", "root//", "rootless/file", "root/empty/",
	} {
		s.put(key, "content")
	}
	d := s.wrapped(nil)
	got := paths(t, -1, drivers.ListInfo(t.Context(), d, "/dir"))
	slices.Sort(got)
	if want := []string{"/dir/file", "/dir/sub"}; !slices.Equal(got, want) {
		t.Errorf("ListInfo = %q, want %q", got, want)
	}
	if got, want := paths(t, -1, drivers.ListInfo(t.Context(), d, "/")), []string{"/dir", "/empty"}; !slices.Equal(got, want) {
		t.Errorf("ListInfo of the root = %q, want %q", got, want)
	}
	if got, want := paths(t, -1, drivers.WalkInfo(t.Context(), d, "/", "")), []string{"/dir/file", "/dir/sub/z"}; !slices.Equal(got, want) {
		t.Errorf("WalkInfo = %q, want %q", got, want)
	}
	// A marker is a directory somebody has made.
	if info, err := d.Stat(t.Context(), "/empty"); err != nil || !info.IsDir() {
		t.Errorf("Stat of a marked directory = %v, %v", info, err)
	}
	if got := paths(t, -1, drivers.ListInfo(t.Context(), d, "/empty")); len(got) != 0 {
		t.Errorf("ListInfo of a marked directory = %q", got)
	}
	if _, err := d.Stat(t.Context(), "/less"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat of a sibling of the root = %v", err)
	}
}

func TestListedInfo(t *testing.T) {
	s := newFakeStore(t)
	s.put("root/dir/file", "content")
	d := s.wrapped(nil)
	const md5 = "9a0364b9e99bb480dd25e1f0284c8555"
	_, got, err := drivers.GetContentInfo(t.Context(), d, "/dir/file")
	if err != nil {
		t.Fatal(err)
	}
	stat, err := d.Stat(t.Context(), "/dir/file")
	if err != nil {
		t.Fatal(err)
	}
	infos := []drivers.FileInfo{got, stat}
	for info, err := range drivers.ListInfo(t.Context(), d, "/dir") {
		if err != nil {
			t.Fatal(err)
		}
		infos = append(infos, info)
	}
	for info, err := range drivers.WalkInfo(t.Context(), d, "/", "") {
		if err != nil {
			t.Fatal(err)
		}
		infos = append(infos, info)
	}
	for i, info := range infos {
		if drivers.ETag(info) != md5 || info.Size() != 7 || info.IsDir() || time.Since(info.ModTime()) > time.Minute {
			t.Errorf("info %d = %q, %d bytes, %v", i, drivers.ETag(info), info.Size(), info.ModTime())
		}
	}
	for info, err := range drivers.ListInfo(t.Context(), d, "/") {
		if err != nil || !info.IsDir() || !info.ModTime().IsZero() || drivers.ETag(info) != "" {
			t.Errorf("a directory = %v, %v", info, err)
		}
	}
	if !drivers.IsRemote(d) {
		t.Error("IsRemote = false")
	}
}

// TestStatRequests counts what a Stat costs.
func TestStatRequests(t *testing.T) {
	s := newFakeStore(t)
	s.putSome()
	s.put("root/docker/registry/v2/repositories/a/data/_layers/x", "")
	d := s.driver(nil)
	link := "/docker/registry/v2/repositories/a/_manifests/tags/t/current/link"
	for _, test := range []struct {
		path  string
		want  error
		isDir bool
		made  int
	}{
		{"/", nil, true, 1},
		{"/_uploads/data", nil, false, 1},
		{link, fs.ErrNotExist, false, 1},
		{"/dir", nil, true, 2},
		{"/di", fs.ErrNotExist, false, 2},
		{"/docker/registry/v2/repositories/a/data", nil, true, 2}, // a repository can be called so
	} {
		s.made()
		info, err := d.Stat(t.Context(), test.path)
		if !errors.Is(err, test.want) || err == nil && info.IsDir() != test.isDir {
			t.Errorf("Stat(%q) = %v, %v", test.path, info, err)
		}
		if made := s.made(); len(made) > test.made {
			t.Errorf("Stat(%q) made %q, want %d requests", test.path, made, test.made)
		}
	}
	d = s.driver(func(p *Parameters) { p.Bucket = "another" })
	if _, err := d.Stat(t.Context(), link); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat in a bucket that is not there = %v, want an error that says so", err)
	}
}

func TestStartAfter(t *testing.T) {
	const prefix = "root/dir/"
	d := &Driver{prefix: "root/"}
	for _, test := range []struct {
		path, key string
		beyond    bool
	}{
		{"", "", false},
		{"/dir/file", "root/dir/file", false},
		{"/dir/", "root/dir/", false},
		{"/dir", "", false},
		{"/a", "", false},
		{"/e", "", true},
		{"/dir/\xff", "root/dir/\U0010FFFF", false},
		{"/dir/a\xffb", "root/dir/a\U0010FFFF", false},
		{"/dir/a\U0010FFFF", "root/dir/a\U0010FFFF", false},
		{"/dir/a\x00", "root/dir/a", false},
		{"!", "", false},
		{"a", "", true},
	} {
		if key, beyond := d.startAfter(prefix, test.path); key != test.key || beyond != test.beyond {
			t.Errorf("startAfter(%q) = %q, %v, want %q, %v", test.path, key, beyond, test.key, test.beyond)
		}
	}
}

// TestListingWithoutEncoding: some stores ignore encoding-type.
func TestListingWithoutEncoding(t *testing.T) {
	s := newFakeStore(t)
	s.fault = func(w http.ResponseWriter, r *http.Request, kind string) bool {
		page := fakePage{Contents: []fakeContent{{"root/dir/a+b%41", "x", 1, "2026-01-02T03:04:05Z"}, {"root/dir/c", "x", 1, "2026-01-02T03:04:05Z"}}}
		_ = xml.NewEncoder(w).Encode(page)
		return true
	}
	got := paths(t, -1, s.driver(nil).ListInfo(t.Context(), "/dir"))
	if want := []string{"/dir/a+b%41", "/dir/c"}; !slices.Equal(got, want) {
		t.Errorf("ListInfo = %q, want %q", got, want)
	}
}

// TestListingWithoutToken: the rest of a listing must not be lost in silence.
func TestListingWithoutToken(t *testing.T) {
	s := newFakeStore(t)
	s.fault = func(w http.ResponseWriter, r *http.Request, kind string) bool {
		_ = xml.NewEncoder(w).Encode(fakePage{IsTruncated: true, Contents: []fakeContent{{"root/dir/c", "x", 1, "2026-01-02T03:04:05Z"}}})
		return true
	}
	if got, err := s.driver(nil).List(t.Context(), "/dir"); err == nil {
		t.Errorf("List = %q, want an error", got)
	}
}

// TestListingThatRepeats: a listing that never comes to its end must end.
func TestListingThatRepeats(t *testing.T) {
	s := newFakeStore(t)
	s.fault = func(w http.ResponseWriter, r *http.Request, kind string) bool {
		// What is not shown keeps WalkPage asking.
		_ = xml.NewEncoder(w).Encode(fakePage{IsTruncated: true, NextContinuationToken: "same", Contents: []fakeContent{{"root/dir/", "x", 0, "2026-01-02T03:04:05Z"}}})
		return true
	}
	d := s.driver(nil)
	if got, err := d.List(t.Context(), "/dir"); err == nil {
		t.Errorf("List = %q, want an error", got)
	}
	if got, _, err := d.WalkPage(t.Context(), "/dir", ""); err == nil {
		t.Errorf("WalkPage = %v, want an error", got)
	}
}

func FuzzDecodeKey(f *testing.F) {
	f.Add("a+b")
	f.Add("%")
	f.Fuzz(func(t *testing.T, key string) {
		escaped := url.QueryEscape(key)
		if got := decodeKey(&escaped); got == nil || *got != key {
			t.Errorf("decodeKey(%q) = %v, want %q", escaped, got, key)
		}
		decodeKey(&key) // must not panic
	})
}
