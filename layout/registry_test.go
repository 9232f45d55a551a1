package layout

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers/inmemory"
)

func TestRepositories(t *testing.T) {
	names := []RepositoryName{
		"a", "a/1b", "bar/c", "bar/d", "bar/e", "foo/a", "foo/b", "foo/d/in", "foo-bar/a", "foo-bar/b", "foo",
		"foo-x", "foo.y", "foo/bar", "team/app", "team/app-extra", "test",
	}
	r, d := newRegistry(t, Options{})
	for _, name := range names {
		put(t, d, revisionLinkPath(name, hexOf("a")), string(hexOf("a")))
	}
	// Not in the catalog: a failed push, a stray file, unknown directories.
	put(t, d, layerLinkPath("pushed", hexOf("a")), string(hexOf("a")))
	put(t, d, uploadStartedAtPath("uploading", "id"), "")
	put(t, d, repositoriesPath+"/stray", "")
	put(t, d, repositoriesPath+"/_other/_manifests/x", "")
	put(t, d, repositoriesPath+"/Upper/_manifests/x", "")
	put(t, d, repositoriesPath+"/a/_referrers/x/_manifests/x", "")

	got := collect(t, r.Repositories(t.Context()))
	want := slices.Sorted(slices.Values(names))
	if !slices.Equal(got, want) {
		t.Errorf("Repositories = %q\nwant %q", got, want)
	}

	t.Run("stop", func(t *testing.T) {
		for name, err := range r.Repositories(t.Context()) {
			if name != "a" || err != nil {
				t.Errorf("first is %q, %v", name, err)
			}
			break
		}
	})
	t.Run("empty store", func(t *testing.T) {
		r, _ := newRegistry(t, Options{})
		if got := collect(t, r.Repositories(t.Context())); len(got) != 0 {
			t.Errorf("Repositories = %q, want none", got)
		}
	})
}

func TestChildren(t *testing.T) {
	r, d := newRegistry(t, Options{})
	if got := collect(t, r.Children(t.Context(), "")); len(got) != 0 {
		t.Errorf("Children of an empty store = %v", got)
	}
	for _, path := range []string{
		"team/app/_manifests/x", "team/_layers/x", "team/stray", "team/UPPER/x", "team/a..b/x", "other/_layers/x",
	} {
		put(t, d, repositoriesPath+"/"+path, "")
	}
	long := strings.Repeat("l/", 120) + strings.Repeat("l", 14)
	put(t, d, repositoriesPath+"/"+long+"/"+"toolong/_layers/x", "")
	tests := []struct {
		parent RepositoryName
		want   []string
	}{
		{"", []string{"l", "other", "team"}},
		{"team", []string{"app"}},
		{"team/app", nil},
		{RepositoryName(long), nil},
	}
	for _, tt := range tests {
		var got []string
		for _, e := range collect(t, r.Children(t.Context(), tt.parent)) {
			if !e.Dir {
				t.Errorf("%q is no directory", e.Name)
			}
			got = append(got, e.Name)
		}
		slices.Sort(got)
		if !slices.Equal(got, tt.want) {
			t.Errorf("Children(%q) = %q, want %q", tt.parent, got, tt.want)
		}
	}
	for _, err := range r.Children(t.Context(), "none") {
		if !errors.As(err, new(RepositoryUnknownError)) || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Children(none) = %v, want RepositoryUnknownError", err)
		}
	}
}

func TestStatName(t *testing.T) {
	r, d := newRegistry(t, Options{})
	put(t, d, repositoriesPath+"/team/app/_manifests/x", "")
	put(t, d, repositoriesPath+"/team/stray", "")
	for _, name := range []RepositoryName{"team", "team/app"} {
		e, err := r.StatName(t.Context(), name)
		if err != nil || !e.Dir || e.Name != name.Base() || e.ModTime.IsZero() {
			t.Errorf("StatName(%q) = %+v, %v", name, e, err)
		}
	}
	for _, name := range []RepositoryName{"none", "team/none", "team/stray"} {
		if e, err := r.StatName(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("StatName(%q) = %+v, %v, want fs.ErrNotExist", name, e, err)
		}
	}
}

func TestIsPullThroughCache(t *testing.T) {
	r, d := newRegistry(t, Options{})
	if is, err := r.IsPullThroughCache(t.Context()); is || err != nil {
		t.Errorf("empty store: %v, %v", is, err)
	}
	put(t, d, "/scheduler-state.json", "{}")
	if is, err := r.IsPullThroughCache(t.Context()); !is || err != nil {
		t.Errorf("store with scheduler state: %v, %v", is, err)
	}
}

func TestStatFS(t *testing.T) {
	r, _ := newRegistry(t, Options{})
	if _, err := r.StatFS(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("StatFS of inmemory: %v, want errors.ErrUnsupported", err)
	}
	r = New(newFilesystem(t), Options{})
	s, err := r.StatFS(t.Context())
	if err != nil || s.BlockSize == 0 || s.Blocks == 0 {
		t.Errorf("StatFS of a disk = %+v, %v", s, err)
	}
}

// A store that does not answer is an error everywhere, never an empty listing.
func TestUnreachableStore(t *testing.T) {
	r := New(unreachable{inmemory.New()}, Options{SpoolDir: t.TempDir()})
	p := r.Repository("a")
	ctx := t.Context()
	check := func(name string, err error) {
		t.Helper()
		if !errors.Is(err, errUnreachable) || isAbsent(err) {
			t.Errorf("%s: %v, want the store's error", name, err)
		}
	}
	for _, err := range r.Repositories(ctx) {
		check("Repositories", err)
	}
	for _, err := range r.Children(ctx, "") {
		check("Children", err)
	}
	for _, err := range p.Tags().All(ctx) {
		check("tags", err)
	}
	for _, err := range p.Manifests().All(ctx, "sha256") {
		check("manifests", err)
	}
	for _, err := range p.Blobs().All(ctx, "sha256") {
		check("blobs", err)
	}
	for _, err := range p.Uploads(ctx) {
		check("uploads", err)
	}
	for _, err := range r.Blobs().Shards(ctx, "sha256") {
		check("shards", err)
	}
	for _, err := range r.Blobs().All(ctx, "sha256", "aa") {
		check("store", err)
	}
	for _, err := range r.Raw().List(ctx, "/") {
		check("raw", err)
	}
	_, err := p.Tags().Get(ctx, "t")
	check("Tags.Get", err)
	_, err = p.Manifests().Stat(ctx, hexOf("a"))
	check("Manifests.Stat", err)
	_, err = p.Blobs().Stat(ctx, hexOf("a"))
	check("Blobs.Stat", err)
	_, err = r.StatName(ctx, "a")
	check("StatName", err)
	_, err = p.Manifests().Put(ctx, upload(t, r, "", newImage("x", 1).manifest), PutOptions{})
	check("Put", err)
	check("RemoveDir", p.RemoveDir(ctx, Dir{Kind: DirRepository}))
}

func TestServed(t *testing.T) {
	s := newServed()
	for i := range 3 * servedFrom {
		s.add(RepositoryName(rune('a'+i)), hexOf("a"))
	}
	if got := s.sources(hexOf("a")); len(got) != servedFrom || got[0] != RepositoryName(rune('a'+3*servedFrom-1)) {
		t.Errorf("sources = %q, want the newest %d", got, servedFrom)
	}
	s.add("z", hexOf("b"))
	s.add("y", hexOf("b"))
	s.add("z", hexOf("b"))
	if got := s.sources(hexOf("b")); !slices.Equal(got, []RepositoryName{"z", "y"}) {
		t.Errorf("sources = %q, want [z y]", got)
	}
	for i := range 3 * servedCount {
		s.add("r", digest.FromString(string(rune(i))))
	}
	if s.from.cost > servedCount {
		t.Errorf("%d remembered, want at most %d", s.from.cost, servedCount)
	}
}

var errUnreachable = errors.New("connection refused")
