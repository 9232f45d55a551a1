package layout

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers/drivertest"
	"registryfs/drivers/inmemory"
)

// TestManifestSizes: what a tag's manifest has is asked for once, also by the
// next mount, and reading it then is one request at most.
func TestManifestSizes(t *testing.T) {
	store := inmemory.New()
	local := New(store, testOptions(t, Options{}))
	img := newImage("a", 1)
	putImage(t, local.Repository("app"), "v1", img)
	state := filepath.Join(t.TempDir(), "state")
	c := drivertest.NewCounting(drivertest.Remote(store))
	open := func() TagStore {
		c.Reset()
		return New(c, testOptions(t, Options{StateDir: state})).Repository("app").Tags()
	}
	get := func(tags TagStore) {
		t.Helper()
		tag, err := tags.Get(Reading(t.Context()), "v1")
		if err != nil || tag.Size != int64(len(img.manifest)) || tag.Digest != img.digest() || tag.Problem != nil {
			t.Errorf("Get = %+v, %v", tag, err)
		}
	}
	tags := open()
	get(tags)
	b, err := tags.p.r.Blobs().OpenSized(Reading(t.Context()), img.digest(), int64(len(img.manifest)))
	if err != nil {
		t.Fatal(err)
	}
	content := make([]byte, len(img.manifest))
	if n, err := b.ReadAt(t.Context(), content, 0); string(content[:n]) != img.manifest {
		t.Errorf("ReadAt = %d, %v", n, err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if c.Count("GetContent")+c.Count("Reader") != 2 || c.Count("Stat") != 0 {
		t.Errorf("a tag and its content took %v, want the link and the manifest", c.Counts())
	}
	for _, damage := range []string{"", "half a record"} {
		f, err := os.OpenFile(filepath.Join(state, sizesFile), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(damage); err != nil {
			t.Fatal(err)
		}
		f.Close()
		get(open())
		if c.Count("GetContent") != 1 || len(c.Counts()) != 1 {
			t.Errorf("a tag seen by another mount took %v, want its link", c.Counts())
		}
	}
	// A change looks.
	tags = open()
	if err := store.Delete(t.Context(), blobDataPath(img.digest())); err != nil {
		t.Fatal(err)
	}
	if tag, err := tags.Get(t.Context(), "v1"); err != nil || tag.Problem == nil {
		t.Errorf("Get of a tag without its manifest = %+v, %v, want a problem", tag, err)
	}
}

// TestManifestSizeUnsure: of what is damaged or no manifest nothing is
// remembered.
func TestManifestSizeUnsure(t *testing.T) {
	store := inmemory.New()
	large := string(make([]byte, MaxManifestSize+1))
	put(t, store, blobDataPath(hexOf("a")), "another content")
	put(t, store, blobDataPath(digest.FromString(large)), large)
	r := New(drivertest.Remote(store), testOptions(t, Options{}))
	for d, want := range map[digest.Digest]int64{hexOf("a"): 15, digest.FromString(large): int64(len(large))} {
		s, err := r.statManifest(Reading(t.Context()), d)
		if err != nil || s.size != want {
			t.Errorf("statManifest(%s) = %+v, %v, want size %d", d, s, err, want)
		}
		if size, ok := r.sizes.get(d); ok {
			t.Errorf("size %d of %s is remembered", size, d)
		}
	}
	if _, err := r.statManifest(Reading(t.Context()), hexOf("b")); !isAbsent(err) {
		t.Errorf("statManifest of nothing = %v", err)
	}
}
