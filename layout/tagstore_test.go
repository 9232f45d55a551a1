package layout

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers/drivertest"
	"registryfs/drivers/inmemory"
)

func TestTagsAll(t *testing.T) {
	r, d := newRegistry(t, Options{})
	p := r.Repository("a")
	if got := collect(t, p.Tags().All(t.Context())); len(got) != 0 {
		t.Errorf("tags of a missing repository = %q", got)
	}
	want := []TagName{"0.1.2", "0.1.20", "1.2", "1.2-rc", "_x", "latest", "latest-dev"}
	for _, tag := range want {
		put(t, d, tagCurrentLinkPath("a", tag), string(hexOf("a")))
	}
	put(t, d, tagsPath("a")+"/stray", "")
	put(t, d, tagsPath("a")+"/.hidden/current/link", string(hexOf("a")))
	got := collect(t, p.Tags().All(t.Context()))
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("All = %q, want %q", got, want)
	}
}

func TestTagGetSetUntag(t *testing.T) {
	r, d := newRegistry(t, Options{})
	tags := r.Repository("a").Tags()
	one := putImage(t, r.Repository("a"), "", newImage("one", 1))
	two := putImage(t, r.Repository("a"), "", newImage("two", 1))

	if _, err := tags.Get(t.Context(), "v"); !errors.As(err, new(TagUnknownError)) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Get of a missing tag: %v, want TagUnknownError", err)
	}
	for _, d := range []digest.Digest{one.Digest, two.Digest} {
		if err := tags.Set(t.Context(), "v", d); err != nil {
			t.Fatal(err)
		}
		got, err := tags.Get(t.Context(), "v")
		if err != nil || got.Digest != d || got.Name != "v" || got.Tagged.IsZero() || got.ModTime.IsZero() || got.Size == 0 {
			t.Errorf("Get = %+v, %v, want %s", got, err, d)
		}
	}
	if err := tags.Set(t.Context(), "v", "sha256:x"); !errors.Is(err, ErrDigestInvalid) {
		t.Errorf("Set to no digest: %v, want ErrDigestInvalid", err)
	}
	for _, bad := range []TagName{"", "..", "a/b"} {
		if _, err := tags.Get(t.Context(), bad); !errors.Is(err, ErrTagInvalid) {
			t.Errorf("Get(%q): %v, want ErrTagInvalid", bad, err)
		}
		if err := tags.Set(t.Context(), bad, one.Digest); !errors.Is(err, ErrTagInvalid) {
			t.Errorf("Set(%q): %v, want ErrTagInvalid", bad, err)
		}
		if _, err := tags.Untag(t.Context(), bad); !errors.Is(err, ErrTagInvalid) {
			t.Errorf("Untag(%q): %v, want ErrTagInvalid", bad, err)
		}
	}

	u, err := tags.Untag(t.Context(), "v")
	if err != nil || u.Digest != two.Digest {
		t.Fatalf("Untag = %+v, %v", u, err)
	}
	if has(t, d, tagPath("a", "v")) {
		t.Error("Untag leaves something of the tag")
	}
	if _, err := tags.Untag(t.Context(), "v"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("second Untag: %v, want fs.ErrNotExist", err)
	}
	if _, err := r.Repository("a").Manifests().Stat(t.Context(), two.Digest); err != nil {
		t.Errorf("manifest after Untag: %v", err)
	}
}

func TestSetModTime(t *testing.T) {
	r, _ := newRegistry(t, Options{})
	tags := r.Repository("a").Tags()
	when := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := tags.SetModTime(t.Context(), "v", when); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("SetModTime of a missing tag: %v, want fs.ErrNotExist", err)
	}
	one := putImage(t, r.Repository("a"), "v", newImage("one", 1))
	if err := tags.SetModTime(t.Context(), "v", when); err != nil {
		t.Fatal(err)
	}
	if got, err := tags.Get(t.Context(), "v"); err != nil || !got.Tagged.Equal(when) || got.ModTime.Equal(when) {
		t.Errorf("Get = %+v, %v, want tagged %v", got, err, when)
	}
	if err := r.Blobs().SetModTime(t.Context(), one.Digest, when); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Repository("a").Manifests().Stat(t.Context(), one.Digest); err != nil || !got.ModTime.Equal(when) {
		t.Errorf("Stat = %+v, %v, want %v", got, err, when)
	}
	if err := r.Blobs().SetModTime(t.Context(), hexOf("0"), when); !errors.As(err, new(BlobUnknownError)) {
		t.Errorf("SetModTime of a missing blob: %v, want BlobUnknownError", err)
	}
}

// at tags a digest and gives the tagging a time.
func at(t *testing.T, tags TagStore, tag TagName, d digest.Digest, when time.Time) {
	t.Helper()
	if err := tags.Set(t.Context(), tag, d); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{tagIndexLinkPath(tags.p.name, tag, d), tagCurrentLinkPath(tags.p.name, tag)} {
		if err := tags.restoreTime(t.Context(), path, when); err != nil {
			t.Fatal(err)
		}
	}
}

func history(t *testing.T, tags TagStore, tag TagName) (digests []digest.Digest, times []time.Time) {
	t.Helper()
	entries, err := tags.History(t.Context(), tag)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		digests = append(digests, e.Digest)
		times = append(times, e.Time)
	}
	return digests, times
}

func TestHistory(t *testing.T) {
	r, d := newRegistry(t, Options{})
	p := r.Repository("a")
	tags := p.Tags()
	one := putImage(t, p, "", newImage("one", 1)).Digest
	two := putImage(t, p, "", newImage("two", 1)).Digest
	three := putImage(t, p, "", newImage("three", 1)).Digest
	day := func(n int) time.Time { return time.Date(2024, 1, n, 0, 0, 0, 0, time.UTC) }

	at(t, tags, "v", one, day(1))
	at(t, tags, "v", two, day(2))
	at(t, tags, "v", three, day(3))
	at(t, tags, "v", one, day(4)) // back: an entry is its last tagging

	digests, times := history(t, tags, "v")
	if want := []digest.Digest{two, three, one}; !slices.Equal(digests, want) {
		t.Errorf("History = %v, want %v", digests, want)
	}
	if want := []time.Time{day(2), day(3), day(4)}; !slices.EqualFunc(times, want, time.Time.Equal) {
		t.Errorf("times = %v, want %v", times, want)
	}

	t.Run("current is last whatever its time", func(t *testing.T) {
		at(t, tags, "v", two, day(1))
		if digests, _ := history(t, tags, "v"); digests[len(digests)-1] != two {
			t.Errorf("History = %v, want %s last", digests, two)
		}
	})
	t.Run("odd entries", func(t *testing.T) {
		put(t, d, tagIndexPath("a", "v")+"/sha256/x/link", "")
		put(t, d, tagIndexPath("a", "v")+"/stray", "")
		put(t, d, tagIndexLinkPath("a", "v", hexOf("e")), "")
		put(t, d, tagIndexLinkPath("a", "v", hexOf("f")), string(hexOf("f")))
		entries, err := tags.History(t.Context(), "v")
		if err != nil || len(entries) != 5 {
			t.Fatalf("History = %v, %v", entries, err)
		}
		for _, e := range entries {
			odd := e.Digest == hexOf("e") || e.Digest == hexOf("f")
			if odd != (e.Problem != nil) {
				t.Errorf("%s has problem %v", e.Digest, e.Problem)
			}
		}
	})
	t.Run("no index", func(t *testing.T) {
		put(t, d, tagCurrentLinkPath("a", "w"), string(one))
		if digests, _ := history(t, tags, "w"); !slices.Equal(digests, []digest.Digest{one}) {
			t.Errorf("History = %v, want only %s", digests, one)
		}
	})
	t.Run("missing", func(t *testing.T) {
		if _, err := tags.History(t.Context(), "none"); !errors.As(err, new(TagUnknownError)) {
			t.Errorf("History of a missing tag: %v", err)
		}
	})
}

func TestRestore(t *testing.T) {
	r, d := newRegistry(t, Options{})
	p := r.Repository("a")
	tags := p.Tags()
	one := putImage(t, p, "", newImage("one", 1)).Digest
	two := putImage(t, p, "", newImage("two", 1)).Digest
	day := func(n int) time.Time { return time.Date(2024, 1, n, 0, 0, 0, 0, time.UTC) }
	at(t, tags, "v", one, day(1))
	at(t, tags, "v", two, day(2))
	before := paths(t, d)
	digests, times := history(t, tags, "v")

	u, err := tags.Untag(t.Context(), "v")
	if err != nil {
		t.Fatal(err)
	}
	if err := tags.Restore(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	if got := paths(t, d); !slices.Equal(got, before) {
		t.Errorf("after Restore: %q\nbefore: %q", got, before)
	}
	gotDigests, gotTimes := history(t, tags, "v")
	if !slices.Equal(gotDigests, digests) || !slices.EqualFunc(gotTimes, times, time.Time.Equal) {
		t.Errorf("history after Restore = %v %v, want %v %v", gotDigests, gotTimes, digests, times)
	}
	if tag, err := tags.Get(t.Context(), "v"); err != nil || tag.Digest != two || !tag.Tagged.Equal(day(2)) {
		t.Errorf("Get after Restore = %+v, %v", tag, err)
	}

	t.Run("set meanwhile", func(t *testing.T) {
		u, err := tags.Untag(t.Context(), "v")
		if err != nil {
			t.Fatal(err)
		}
		at(t, tags, "v", one, day(3))
		if err := tags.Restore(t.Context(), u); !errors.Is(err, fs.ErrExist) {
			t.Errorf("Restore over another tag: %v, want fs.ErrExist", err)
		}
		if digests, _ := history(t, tags, "v"); !slices.Equal(digests, []digest.Digest{one}) {
			t.Errorf("history = %v, want the new tag's", digests)
		}
	})
	t.Run("damaged", func(t *testing.T) {
		put(t, d, tagCurrentLinkPath("a", "bad"), "sha256:\n")
		u, err := tags.Untag(t.Context(), "bad")
		if err != nil || u.Digest != "" {
			t.Fatalf("Untag = %+v, %v", u, err)
		}
		if err := tags.Restore(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		if tag, err := tags.Get(t.Context(), "bad"); err != nil || !errors.Is(tag.Problem, ErrCorrupt) {
			t.Errorf("Get = %+v, %v, want it damaged as before", tag, err)
		}
	})
}

func TestRename(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2024, 1, n, 0, 0, 0, 0, time.UTC) }
	r, d := newRegistry(t, Options{})
	p := r.Repository("a")
	tags := p.Tags()
	one := putImage(t, p, "", newImage("one", 1)).Digest
	two := putImage(t, p, "", newImage("two", 1)).Digest
	three := putImage(t, p, "", newImage("three", 1)).Digest

	at(t, tags, "old", one, day(1))
	at(t, tags, "old", two, day(2))
	at(t, tags, "new", one, day(4))
	at(t, tags, "new", three, day(5))
	if err := tags.Rename(t.Context(), "old", "new"); err != nil {
		t.Fatal(err)
	}
	if has(t, d, tagPath("a", "old")) {
		t.Error("the old tag is still there")
	}
	tag, err := tags.Get(t.Context(), "new")
	if err != nil || tag.Digest != two || !tag.Tagged.Equal(day(2)) {
		t.Errorf("Get(new) = %+v, %v, want %s tagged on day 2", tag, err, two)
	}
	digests, times := history(t, tags, "new")
	if want := []digest.Digest{one, three, two}; !slices.Equal(digests, want) {
		t.Errorf("history = %v, want %v", digests, want)
	}
	if want := []time.Time{day(4), day(5), day(2)}; !slices.EqualFunc(times, want, time.Time.Equal) {
		t.Errorf("times = %v, want %v", times, want)
	}
	if err := tags.Rename(t.Context(), "old", "new"); !errors.As(err, new(TagUnknownError)) {
		t.Errorf("Rename of a missing tag: %v, want TagUnknownError", err)
	}
	if err := tags.Rename(t.Context(), "new", "new"); err != nil {
		t.Errorf("Rename onto itself: %v", err)
	}
	if err := tags.Rename(t.Context(), "new", "a/b"); !errors.Is(err, ErrTagInvalid) {
		t.Errorf("Rename to no tag: %v, want ErrTagInvalid", err)
	}
}

// What a mount does most often must not cost more than this.
func TestTagCalls(t *testing.T) {
	counting := drivertest.NewCounting(inmemory.New())
	r := New(counting, testOptions(t, Options{}))
	p := r.Repository("a")
	img := putImage(t, p, "v1", newImage("one", 1))
	for _, tag := range []TagName{"v2", "v3", "v4"} {
		if err := p.Tags().Set(t.Context(), tag, img.Digest); err != nil {
			t.Fatal(err)
		}
	}
	count := func(name string, want map[string]int, do func()) {
		t.Helper()
		counting.Reset()
		do()
		if got := counting.Counts(); !maps.Equal(got, want) {
			t.Errorf("%s makes %v, want %v", name, got, want)
		}
	}
	get := func(tag TagName) {
		t.Helper()
		if _, err := p.Tags().Get(t.Context(), tag); err != nil {
			t.Fatal(err)
		}
	}
	r.cache.forget(img.Digest)
	count("tag Get", map[string]int{"GetContent": 1, "Stat": 1}, func() { get("v1") })
	count("Get of another tag of the manifest", map[string]int{"GetContent": 1}, func() { get("v2") })
	count("listing tags", map[string]int{"List": 1}, func() { collect(t, p.Tags().All(t.Context())) })
	count("listing manifests", map[string]int{"List": 1}, func() { collect(t, p.Manifests().All(t.Context(), "sha256")) })
	count("listing layers", map[string]int{"List": 1}, func() { collect(t, p.Blobs().All(t.Context(), "sha256")) })
	count("listing a shard", map[string]int{"Walk": 1}, func() {
		collect(t, r.Blobs().All(t.Context(), "sha256", img.Digest.Encoded()[:2]))
	})
	r.cache.forget(img.Digest)
	count("manifest Stat", map[string]int{"GetContent": 1, "Stat": 1}, func() {
		if _, err := p.Manifests().Stat(t.Context(), img.Digest); err != nil {
			t.Fatal(err)
		}
	})
	count("manifest Get after that", map[string]int{"GetContent": 2}, func() {
		if _, err := p.Manifests().Get(t.Context(), img.Digest); err != nil {
			t.Fatal(err)
		}
	})
	count("manifest Get again", map[string]int{"GetContent": 1}, func() {
		if _, err := p.Manifests().Get(t.Context(), img.Digest); err != nil {
			t.Fatal(err)
		}
	})
}
