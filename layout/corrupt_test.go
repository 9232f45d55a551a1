package layout

import (
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
)

// damage puts what crashes, old releases and other programs leave into a store
// that has one good image, app:good.
func damage(t *testing.T, d drivers.StorageDriver) (good image) {
	t.Helper()
	r := New(d, testOptions(t, Options{IndexChildren: IndexChildren{Mode: ChildrenNone}}))
	p := r.Repository("app")
	good = newImage("good", 1)
	putImage(t, p, "good", good)

	tag := func(name TagName, link string) { put(t, d, tagCurrentLinkPath("app", name), link) }
	revision := func(name digest.Digest, link string) { put(t, d, revisionLinkPath("app", name), link) }
	layer := func(name digest.Digest, link string) { put(t, d, layerLinkPath("app", name), link) }

	tag("empty-link", "")
	tag("newline", string(good.digest())+"\n")
	tag("short", "sha256:abc")
	tag("dangling", string(hexOf("1")))
	put(t, d, tagIndexLinkPath("app", "no-current", good.digest()), string(good.digest()))
	put(t, d, tagsPath("app")+"/stray", "stray")
	put(t, d, tagsPath("app")+"/good/current/link.0190-ab.tmp", "")
	put(t, d, tagsPath("app")+"/link-is-directory/current/link/x", "")

	revision(hexOf("2"), "")
	revision(hexOf("3"), string(good.digest()))
	revision(hexOf("4"), string(hexOf("4")))
	put(t, d, revisionPath("app", hexOf("5"))+"/stray", "")
	put(t, d, revisionsPath("app")+"/sha256/nohex/link", "")
	put(t, d, revisionsPath("app")+"/md5/x/link", "")
	put(t, d, revisionPath("app", good.digest())+"/signatures/sha256/"+hexOf("6").Encoded()+"/link", string(hexOf("6")))

	for name, content := range map[TagName]string{
		"empty-manifest": "",
		"huge":           `{"schemaVersion":2,"padding":"` + strings.Repeat("x", 5<<20) + `"}`,
		"schema1":        `{"schemaVersion":1,"name":"app","tag":"schema1","fsLayers":[]}`,
		"sparse-index":   newIndex(newImage("absent", 1)).manifest,
		"not-json":       "\x00\x01",
	} {
		dgst := digest.FromString(content)
		put(t, d, blobDataPath(dgst), content)
		revision(dgst, string(dgst))
		tag(name, string(dgst))
	}
	damaged := hexOf("7")
	put(t, d, blobDataPath(damaged), "")
	revision(damaged, string(damaged))
	tag("damaged-manifest", string(damaged))

	layer(hexOf("8"), "")
	layer(hexOf("9"), string(hexOf("9")))
	put(t, d, layersPath("app")+"/tarsum/v1/sha256/x/link", "")
	put(t, d, layersPath("app")+"/stray", "")

	put(t, d, uploadsPath("app")+"/no-startedat/data", "12345")
	put(t, d, uploadsPath("app")+"/no-data/startedat", "2024-05-06T07:08:09Z")
	put(t, d, uploadsPath("app")+"/bad-startedat/startedat", "yesterday")
	put(t, d, uploadsPath("app")+"/odd/hashstates/sha256/0", "")
	put(t, d, uploadsPath("app")+"/stray", "")

	put(t, d, blobsPath+"/md5/aa/"+strings.Repeat("a", 32)+"/data", "")
	put(t, d, blobsPath+"/sha256/aa/"+strings.Repeat("a", 64)+"/data.tmp", "")
	put(t, d, blobsPath+"/sha256/stray", "")
	put(t, d, repositoriesPath+"/no-manifests/_layers/sha256/"+hexOf("a").Encoded()+"/link", "")
	put(t, d, repositoriesPath+"/app/_referrers/x", "")
	put(t, d, repositoriesPath+"/UPPER/_manifests/x", "")
	return good
}

// Every listing and every Get of a damaged store comes to its end.
func TestDamagedStore(t *testing.T) {
	onBoth(t, func(t *testing.T, d drivers.StorageDriver) {
		good := damage(t, d)
		r := New(d, testOptions(t, Options{}))
		p := r.Repository("app")
		ctx := t.Context()

		if got := collect(t, r.Repositories(ctx)); !slices.Equal(got, []RepositoryName{"app"}) {
			t.Errorf("Repositories = %q", got)
		}
		if got := len(collect(t, r.Children(ctx, ""))); got != 2 {
			t.Errorf("%d children, want app and no-manifests", got)
		}

		type outcome int
		const (
			fine outcome = iota
			problem
			absent
			unreadable // known, but Get fails
		)
		want := map[TagName]outcome{
			"good": fine, "empty-link": problem, "newline": problem, "short": problem, "dangling": problem,
			"no-current": absent, "link-is-directory": absent,
			"empty-manifest": fine, "huge": fine, "schema1": fine, "sparse-index": fine, "not-json": fine,
			"damaged-manifest": unreadable,
		}
		for _, tag := range collect(t, p.Tags().All(ctx)) {
			got, err := p.Tags().Get(ctx, tag)
			o := fine
			switch {
			case isAbsent(err):
				o = absent
			case err != nil:
				t.Errorf("Get(%s): %v", tag, err)
			case got.Problem != nil:
				o = problem
				if !errors.Is(got.Problem, ErrCorrupt) || isAbsent(got.Problem) || got.Size != 0 {
					t.Errorf("Get(%s) = %+v", tag, got)
				}
			default:
				content, err := p.Manifests().Get(ctx, got.Digest)
				if errors.Is(err, ErrCorrupt) {
					o = unreadable
				} else if err != nil || int64(len(content)) != got.Size {
					t.Errorf("Get of %s's manifest: %d bytes, %v", tag, len(content), err)
				}
			}
			if o != want[tag] {
				t.Errorf("Get(%s) has outcome %d, want %d", tag, o, want[tag])
			}
			delete(want, tag)
			if _, err := p.Tags().History(ctx, tag); err != nil && !isAbsent(err) {
				t.Errorf("History(%s): %v", tag, err)
			}
			if got.Digest == "" {
				continue
			}
			if _, err := r.Describe(ctx, got.Digest); err != nil && !isAbsent(err) && !errors.Is(err, ErrCorrupt) {
				t.Errorf("Describe(%s): %v", tag, err)
			}
		}
		if len(want) > 0 {
			t.Errorf("not listed: %v", want)
		}

		statAll := func(kind string, names iter.Seq2[string, error], stat func(digest.Digest) (Descriptor, error)) (problems int) {
			for _, hex := range collect(t, names) {
				desc, err := stat(digest.NewDigestFromEncoded(digest.SHA256, hex))
				if err != nil && !isAbsent(err) {
					t.Errorf("%s %s: %v", kind, hex, err)
				}
				if desc.Problem != nil {
					problems++
				}
			}
			return problems
		}
		if n := statAll("manifest", p.Manifests().All(ctx, digest.SHA256), func(d digest.Digest) (Descriptor, error) {
			_, _ = p.Manifests().Get(ctx, d)
			return p.Manifests().Stat(ctx, d)
		}); n != 2 {
			t.Errorf("%d manifests with problems, want 2", n)
		}
		if n := statAll("blob", p.Blobs().All(ctx, digest.SHA256), func(d digest.Digest) (Descriptor, error) {
			return p.Blobs().Stat(ctx, d)
		}); n != 2 {
			t.Errorf("%d blobs with problems, want 2", n)
		}
		if desc, err := p.Manifests().Stat(ctx, hexOf("3")); err != nil || desc.Digest != good.digest() {
			t.Errorf("Stat of a wrong-named link = %+v, %v, want what it says", desc, err)
		}
		if got, err := p.Manifests().Algorithms(ctx); err != nil || !slices.Equal(got, []digest.Algorithm{digest.SHA256}) {
			t.Errorf("Algorithms = %q, %v", got, err)
		}

		uploads := make(map[string]Entry)
		for _, e := range collect(t, p.Uploads(ctx)) {
			uploads[e.Name] = e
		}
		if len(uploads) != 4 || uploads["no-startedat"].Size != 5 || uploads["no-data"].ModTime.Year() != 2024 ||
			!uploads["bad-startedat"].ModTime.IsZero() {
			t.Errorf("Uploads = %v", uploads)
		}
		if b, err := p.OpenUpload(ctx, "no-startedat"); err != nil || b.Size() != 5 || b.Close() != nil {
			t.Errorf("OpenUpload: %v", err)
		}
		if _, err := p.OpenUpload(ctx, "no-data"); !isAbsent(err) {
			t.Errorf("OpenUpload without data: %v, want fs.ErrNotExist", err)
		}
		if _, err := p.OpenUpload(ctx, ".."); !errors.Is(err, ErrNameInvalid) {
			t.Errorf("OpenUpload(..): %v, want ErrNameInvalid", err)
		}

		for _, alg := range []string{"sha256", "md5"} {
			for _, shard := range collect(t, r.Blobs().Shards(ctx, alg)) {
				for _, b := range collect(t, r.Blobs().All(ctx, alg, shard.Name)) {
					if _, err := r.Blobs().Stat(ctx, b.Digest); err != nil {
						t.Errorf("blob %s: %v", b.Digest, err)
					}
				}
			}
		}
		walkRaw(t, r.Raw(), "/")

		// What can be told apart can be removed.
		for _, tag := range []TagName{"empty-link", "dangling", "damaged-manifest"} {
			if _, err := p.Tags().Untag(ctx, tag); err != nil {
				t.Errorf("Untag(%s): %v", tag, err)
			}
		}
		for _, m := range []digest.Digest{hexOf("2"), hexOf("3"), hexOf("4"), hexOf("7")} {
			if err := p.Manifests().Unlink(ctx, m); err != nil {
				t.Errorf("Unlink(%s): %v", m, err)
			}
		}
		for _, b := range []digest.Digest{hexOf("8"), hexOf("9")} {
			if err := p.Blobs().Unlink(ctx, b); err != nil {
				t.Errorf("Unlink(%s): %v", b, err)
			}
		}
		wholeTag(t, p, "good")
	})
}

func walkRaw(t *testing.T, raw RawTree, p RawPath) {
	for _, e := range collect(t, raw.List(t.Context(), p)) {
		child := p.Join(e.Name)
		if got, err := raw.Stat(t.Context(), child); err != nil || got.Dir != e.Dir || got.Size != e.Size || got.Blob != e.Blob {
			t.Errorf("Stat(%s) = %+v, %v, want %+v", child, got, err, e)
		}
		if e.Dir {
			walkRaw(t, raw, child)
		}
	}
}
