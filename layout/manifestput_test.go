package layout

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers/drivertest"
	"registryfs/drivers/inmemory"
)

func TestPutTagged(t *testing.T) {
	r, d := newRegistry(t, Options{})
	p := r.Repository("team/app")
	img := newImage("one", 2)
	got := putImage(t, p, "v1", img)
	if got.Digest != img.digest() || !got.NewBlob || !got.NewLink || got.Size != int64(len(img.manifest)) ||
		got.ModTime.IsZero() || got.Tagged.IsZero() || got.Linked != nil {
		t.Errorf("Put = %+v", got)
	}
	var want []string
	for _, b := range append(img.blobs, img.manifest) {
		want = append(want, blobDataPath(digest.FromString(b)))
	}
	for _, b := range img.blobs {
		want = append(want, layerLinkPath("team/app", digest.FromString(b)))
	}
	want = append(want, revisionLinkPath("team/app", got.Digest),
		tagIndexLinkPath("team/app", "v1", got.Digest), tagCurrentLinkPath("team/app", "v1"))
	slices.Sort(want)
	files := paths(t, d)
	slices.Sort(files)
	if !slices.Equal(files, want) {
		t.Errorf("store has\n%s\nwant\n%s", strings.Join(files, "\n"), strings.Join(want, "\n"))
	}
	for _, path := range []string{
		revisionLinkPath("team/app", got.Digest), tagIndexLinkPath("team/app", "v1", got.Digest), tagCurrentLinkPath("team/app", "v1"),
	} {
		if content, err := d.GetContent(t.Context(), path); err != nil || string(content) != string(got.Digest) {
			t.Errorf("%s = %q, %v, want %q", path, content, err, got.Digest)
		}
	}
	tag, err := p.Tags().Get(t.Context(), "v1")
	if err != nil || tag.Digest != img.digest() || tag.Problem != nil || tag.Size != got.Size {
		t.Errorf("Get(v1) = %+v, %v", tag, err)
	}
	content, err := p.Manifests().Get(t.Context(), tag.Digest)
	if err != nil || string(content) != img.manifest {
		t.Errorf("Get(%s) = %q, %v", tag.Digest, content, err)
	}
}

// Putting again what is there writes nothing.
func TestPutAgain(t *testing.T) {
	counting := drivertest.NewCounting(inmemory.New())
	r := New(counting, testOptions(t, Options{}))
	p := r.Repository("a")
	img := newImage("one", 2)
	first := putImage(t, p, "v1", img)
	counting.Reset()
	again := putImage(t, p, "v1", img)
	if n := counting.Count("PutContent") + counting.Count("Writer") + counting.Count("PutContentIfAbsent"); n != 0 {
		t.Errorf("the second put writes: %v", counting.Counts())
	}
	first.NewBlob, first.NewLink = false, false
	if again.NewBlob || again.NewLink || again.Digest != first.Digest || !again.Tagged.Equal(first.Tagged) {
		t.Errorf("second Put = %+v, want %+v", again, first)
	}
}

func TestPutCalls(t *testing.T) {
	counting := drivertest.NewCounting(inmemory.New())
	r := New(counting, testOptions(t, Options{}))
	p := r.Repository("a")
	img := newImage("one", 1)
	putBlobs(t, p, img)
	for _, b := range img.blobs {
		r.cache.forget(digest.FromString(b))
	}
	u := upload(t, r, "", img.manifest)
	counting.Reset()
	if _, err := p.Manifests().Put(t.Context(), u, PutOptions{Tag: "v1"}); err != nil {
		t.Fatal(err)
	}
	// The blob, the revision and the tag are looked for, and each of the two
	// blobs it names; then four files in one batch, and their two times.
	want := map[string]int{"Reader": 1, "GetContent": 4, "Stat": 4, "PutContent": 4}
	if got := counting.Counts(); !maps.Equal(got, want) {
		t.Errorf("a tag with two blobs makes %v, want %v", got, want)
	}
}

func TestPutRefused(t *testing.T) {
	img := newImage("one", 1)
	tests := []struct {
		name    string
		content string
		o       PutOptions
		want    error
	}{
		{"no manifest", "hello", PutOptions{}, ErrManifestInvalid},
		{"empty", "", PutOptions{}, ErrManifestInvalid},
		{"too large", `{` + ociImage + `,` + image1 + `}` + strings.Repeat(" ", MaxManifestSize), PutOptions{}, ErrTooLarge},
		{"other digest", img.manifest, PutOptions{Want: hexOf("a")}, ErrDigestMismatch},
		{"sha512", img.manifest, PutOptions{Want: digest.SHA512.FromString(img.manifest)}, ErrDigestInvalid},
		{"references missing", img.manifest, PutOptions{Tag: "v1"}, ErrManifestBlobUnknown},
		{"no tag name", img.manifest, PutOptions{Tag: "a/b"}, ErrTagInvalid},
		{"url", `{` + dockerImage + `,"config":` + descA + `,"layers":[{"mediaType":"` + dockerForeignLayer +
			`","digest":"` + string(hexOf("b")) + `","urls":["https://x/"]}]}`, PutOptions{}, ErrManifestInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, d := newRegistry(t, Options{})
			u := upload(t, r, "", tt.content)
			got, err := r.Repository("a").Manifests().Put(t.Context(), u, tt.o)
			if !errors.Is(err, tt.want) {
				t.Errorf("Put = %+v, %v, want %v", got, err, tt.want)
			}
			if files := paths(t, d); len(files) != 0 {
				t.Errorf("a refused put leaves %q", files)
			}
			t.Log(err)
		})
	}
}

func TestPutMovesTag(t *testing.T) {
	r, _ := newRegistry(t, Options{})
	p := r.Repository("a")
	one := putImage(t, p, "v", newImage("one", 1))
	two := putImage(t, p, "v", newImage("two", 1))
	if tag, err := p.Tags().Get(t.Context(), "v"); err != nil || tag.Digest != two.Digest {
		t.Errorf("Get = %+v, %v, want %s", tag, err, two.Digest)
	}
	if digests, _ := history(t, p.Tags(), "v"); !slices.Equal(digests, []digest.Digest{one.Digest, two.Digest}) {
		t.Errorf("history = %v", digests)
	}
	putImage(t, p, "v", newImage("one", 1))
	if digests, _ := history(t, p.Tags(), "v"); !slices.Equal(digests, []digest.Digest{two.Digest, one.Digest}) {
		t.Errorf("history after moving back = %v, want the newest tagging last", digests)
	}
}

func TestPutExclusive(t *testing.T) {
	r, _ := newRegistry(t, Options{})
	p := r.Repository("a")
	const writers = 8
	images := make([]image, writers)
	for i := range images {
		images[i] = newImage(string(rune('a'+i)), 1)
		putBlobs(t, p, images[i])
	}
	var wg sync.WaitGroup
	won := make(chan digest.Digest, writers)
	for _, img := range images {
		u := upload(t, r, "", img.manifest)
		wg.Go(func() {
			put, err := p.Manifests().Put(t.Context(), u, PutOptions{Tag: "v", Exclusive: true})
			switch {
			case err == nil:
				won <- put.Digest
			case !errors.Is(err, fs.ErrExist):
				t.Errorf("Put: %v, want fs.ErrExist", err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d puts were first", len(won))
	}
	if tag, err := p.Tags().Get(t.Context(), "v"); err != nil || tag.Digest != <-won {
		t.Errorf("Get = %+v, %v, want the first one's", tag, err)
	}
}

func TestPutModTime(t *testing.T) {
	when := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	r, _ := newRegistry(t, Options{})
	p := r.Repository("a")
	img := newImage("one", 1)
	putBlobs(t, p, img)
	put, err := p.Manifests().Put(t.Context(), upload(t, r, "", img.manifest), PutOptions{Tag: "v", ModTime: when})
	if err != nil || !put.Tagged.Equal(when) || put.ModTime.Equal(when) {
		t.Errorf("Put = %+v, %v, want tagged %v", put, err, when)
	}
	put, err = p.Manifests().Put(t.Context(), upload(t, r, "", img.manifest), PutOptions{ModTime: when})
	if err != nil || !put.ModTime.Equal(when) {
		t.Errorf("Put = %+v, %v, want stored %v", put, err, when)
	}
}

// A stored manifest with other bytes is replaced: pushing again repairs.
func TestPutRepairs(t *testing.T) {
	img := newImage("one", 1)
	for name, damaged := range map[string]string{
		"empty": "", "truncated": img.manifest[:20], "zeros": strings.Repeat("\x00", len(img.manifest)), "longer": img.manifest + "x",
	} {
		t.Run(name, func(t *testing.T) {
			r, d := newRegistry(t, Options{})
			p := r.Repository("a")
			putImage(t, p, "v", img)
			put(t, d, blobDataPath(img.digest()), damaged)
			put(t, d, revisionLinkPath("a", img.digest()), "")
			r.cache.forget(img.digest())
			if _, err := p.Manifests().Get(t.Context(), img.digest()); !errors.Is(err, ErrCorrupt) {
				t.Errorf("Get of the damaged one: %v, want ErrCorrupt", err)
			}
			if got := putImage(t, p, "v", img); !got.NewBlob || !got.NewLink {
				t.Errorf("Put = %+v, want it written again", got)
			}
			if got, err := p.Manifests().Get(t.Context(), img.digest()); err != nil || string(got) != img.manifest {
				t.Errorf("Get = %q, %v", got, err)
			}
		})
	}
}

func TestManifestUnlink(t *testing.T) {
	r, d := newRegistry(t, Options{})
	p := r.Repository("a")
	img := putImage(t, p, "v2", newImage("one", 1))
	if err := p.Tags().Set(t.Context(), "v1", img.Digest); err != nil {
		t.Fatal(err)
	}
	err := p.Manifests().Unlink(t.Context(), img.Digest)
	var tagged RevisionTaggedError
	if !errors.As(err, &tagged) || !errors.Is(err, ErrInUse) || !slices.Equal(tagged.Tags, []TagName{"v1", "v2"}) || Remedy(err) == "" {
		t.Errorf("Unlink of a tagged manifest: %v, want RevisionTaggedError with v1 and v2", err)
	}
	for _, tag := range []TagName{"v1", "v2"} {
		if _, err := p.Tags().Untag(t.Context(), tag); err != nil {
			t.Fatal(err)
		}
	}
	put(t, d, tagCurrentLinkPath("a", "broken"), "")
	if err := p.Manifests().Unlink(t.Context(), img.Digest); err != nil {
		t.Fatal(err)
	}
	if got := collect(t, p.Manifests().All(t.Context(), digest.SHA256)); len(got) != 0 {
		t.Errorf("All after Unlink = %q", got)
	}
	if _, err := p.Manifests().Stat(t.Context(), img.Digest); !errors.As(err, new(ManifestUnknownError)) {
		t.Errorf("Stat after Unlink: %v", err)
	}
	if err := p.Manifests().Unlink(t.Context(), img.Digest); !errors.As(err, new(ManifestUnknownError)) {
		t.Errorf("second Unlink: %v, want ManifestUnknownError", err)
	}
	if _, err := r.Blobs().Stat(t.Context(), img.Digest); err != nil {
		t.Errorf("blob after Unlink: %v", err)
	}

	t.Run("index child", func(t *testing.T) {
		child := newImage("child", 1)
		putImage(t, p, "", child)
		putImage(t, p, "index", newIndex(child))
		if err := p.Manifests().Unlink(t.Context(), child.digest()); err != nil {
			t.Errorf("Unlink of an index's child: %v", err)
		}
	})
	t.Run("dangling", func(t *testing.T) {
		put(t, d, revisionLinkPath("a", hexOf("d")), string(hexOf("d")))
		if err := p.Manifests().Unlink(t.Context(), hexOf("d")); err != nil {
			t.Errorf("Unlink of a dangling link: %v", err)
		}
	})
}
