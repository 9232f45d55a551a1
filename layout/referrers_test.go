package layout

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
	"registryfs/drivers/drivertest"
	"registryfs/drivers/inmemory"
)

// artifactOf is an artifact that has subject as its subject.
func artifactOf(name string, subject digest.Digest) string {
	return `{` + ociImage + `,"artifactType":"a/` + name + `","config":` + descA + `,"layers":[],"subject":{"digest":"` + string(subject) + `"}}`
}

// putRevision links a manifest in a repository and tags it, unchecked.
func putRevision(t *testing.T, d drivers.StorageDriver, repo RepositoryName, manifest string, tags ...string) digest.Digest {
	t.Helper()
	dgst := digest.FromString(manifest)
	put(t, d, blobDataPath(dgst), manifest)
	put(t, d, revisionLinkPath(repo, dgst), string(dgst))
	for _, tag := range tags {
		put(t, d, tagIndexLinkPath(repo, TagName(tag), dgst), string(dgst))
		put(t, d, tagCurrentLinkPath(repo, TagName(tag)), string(dgst))
	}
	return dgst
}

func indexOf(children ...digest.Digest) string {
	var list []string
	for _, c := range children {
		list = append(list, `{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":1,"digest":"`+string(c)+`"}`)
	}
	return `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[` + strings.Join(list, ",") + `]}`
}

func referrersOf(t *testing.T, p Repository, subject digest.Digest) []digest.Digest {
	t.Helper()
	refs, err := p.Referrers(t.Context())
	if err != nil {
		t.Fatalf("Referrers: %v", err)
	}
	of, err := refs.Of(t.Context(), subject)
	if err != nil {
		t.Fatalf("Of(%s): %v", subject, err)
	}
	if len(of) > 0 && !refs.Has(subject) {
		t.Errorf("%s has referrers and is not known to have any", subject)
	}
	return of
}

func sorted(d ...digest.Digest) []digest.Digest {
	slices.Sort(d)
	return d
}

func TestReferrers(t *testing.T) {
	d := inmemory.New()
	img, other := newImage("one", 0), newImage("other", 0)
	one := putRevision(t, d, "app", img.manifest, "v1")
	fallback, cosign := "sha256-"+one.Encoded(), "sha256-"+putRevision(t, d, "app", other.manifest).Encoded()

	tagged := putRevision(t, d, "app", artifactOf("tagged", one), "sbom")
	untagged := putRevision(t, d, "app", artifactOf("untagged", one))
	ofAbsent := putRevision(t, d, "app", artifactOf("of nothing", hexOf("0")))
	bare := putRevision(t, d, "app", newImage("no subject", 0).manifest)
	gone := digest.FromString(newImage("gone", 0).manifest)
	putRevision(t, d, "app", indexOf(untagged, bare, gone), fallback)
	sig := putRevision(t, d, "app", newImage("sig", 0).manifest, cosign+".sig")
	att := putRevision(t, d, "app", newImage("att", 0).manifest, cosign+".att")
	putRevision(t, d, "app", newImage("not cosign", 0).manifest, cosign+".txt", "x"+cosign, "sha256-abc")
	put(t, d, tagCurrentLinkPath("app", TagName(cosign+".sbom")), "no digest")
	putRevision(t, d, "app", "no JSON")
	put(t, d, revisionLinkPath("app", hexOf("1")), string(hexOf("1")))
	putRevision(t, d, "app", artifactOf("sha512", digest.Digest("sha512:"+strings.Repeat("0", 128))))
	putRevision(t, d, "elsewhere", artifactOf("elsewhere", one))

	p := New(d, testOptions(t, Options{})).Repository("app")
	for _, tt := range []struct {
		name    string
		subject digest.Digest
		want    []digest.Digest
	}{
		{"by subject and fallback tag", one, sorted(tagged, untagged, bare)},
		{"by cosign's tags", other.digest(), sorted(sig, att)},
		{"of a manifest that is not there", hexOf("0"), sorted(ofAbsent)},
		{"none", bare, nil},
	} {
		if got := referrersOf(t, p, tt.subject); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	refs, err := p.Referrers(t.Context())
	if want := sorted(one, other.digest(), hexOf("0")); err != nil || !slices.Equal(refs.Subjects(), want) {
		t.Errorf("Subjects = %q, %v, want %q", refs.Subjects(), err, want)
	}
	if refs, err := New(d, Options{}).Repository("none").Referrers(t.Context()); err != nil || len(refs.Subjects()) > 0 {
		t.Errorf("Referrers of no repository = %v, %v", refs.Subjects(), err)
	}
	if err := d.Delete(t.Context(), tagPath("app", TagName(fallback))); err != nil {
		t.Fatal(err)
	}
	if got := referrersOf(t, p, one); !slices.Equal(got, sorted(tagged, untagged)) {
		t.Errorf("without the fallback tag: %q", got)
	}
}

// TestReferrersCost: each manifest is read once, over a network not even by the
// next mount; after that they cost the listings.
func TestReferrersCost(t *testing.T) {
	const n = 60
	store := inmemory.New()
	subject := putRevision(t, store, "app", newImage("subject", 0).manifest, "v0")
	for i := range n - 2 {
		tag := fmt.Sprint("t", i)
		putRevision(t, store, "app", newImage(tag, 0).manifest, tag)
	}
	referrer := putRevision(t, store, "app", artifactOf("x", subject))
	state := t.TempDir()
	remote := drivertest.NewCounting(drivertest.Remote(store))
	local := drivertest.NewCounting(store)
	ask := func(r *Registry) {
		t.Helper()
		if got := referrersOf(t, r.Repository("app"), subject); !slices.Equal(got, sorted(referrer)) {
			t.Fatalf("referrers = %q, want %q", got, referrer)
		}
	}
	total := func(c *drivertest.Counting) (calls int) {
		for _, n := range c.Counts() {
			calls += n
		}
		return calls
	}
	for _, c := range []*drivertest.Counting{local, remote} {
		r := New(c, testOptions(t, Options{StateDir: state}))
		ask(r)
		reads := c.Count("Reader") + c.Count("GetContent")
		if reads != n || total(c) > 2*n+2 {
			t.Errorf("the referrers among %d manifests took %v, want each read once", n, c.Counts())
		}
		c.Reset()
		ask(r)
		if c.Count("List") != 2 || total(c) != 2 {
			t.Errorf("asked again they took %v, want two listings", c.Counts())
		}
	}
	// A manifest put here is one more.
	r := New(remote, testOptions(t, Options{StateDir: state}))
	remote.Reset()
	second := artifactOf("y", subject)
	putRevision(t, store, "app", second)
	if got := referrersOf(t, r.Repository("app"), subject); !slices.Equal(got, sorted(referrer, digest.FromString(second))) {
		t.Errorf("with a new one = %q", got)
	}
	if reads := remote.Count("Reader") + remote.Count("GetContent"); reads != 1 || total(remote) != 3 {
		t.Errorf("in the next mount they took %v, want two listings and the new manifest", remote.Counts())
	}
	if entries, err := os.ReadDir(state); err != nil || len(entries) != 2 {
		t.Errorf("the state directory has %v, %v", entries, err)
	}
}

// TestRelationsFile: what is damaged in the file is read from the store again, and
// what was damaged in the store is not remembered.
func TestRelationsFile(t *testing.T) {
	store := inmemory.New()
	remote := drivertest.NewCounting(drivertest.Remote(store))
	subject := hexOf("5")
	referrer := putRevision(t, store, "app", artifactOf("x", subject))
	put(t, store, blobDataPath(referrer), "other bytes")
	state := t.TempDir()
	file := filepath.Join(state, relationsFile)
	open := func() Repository { return New(remote, testOptions(t, Options{StateDir: state})).Repository("app") }
	if got := referrersOf(t, open(), subject); len(got) > 0 {
		t.Errorf("a damaged manifest refers to %q", subject)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a damaged manifest is remembered")
	}
	put(t, store, blobDataPath(referrer), artifactOf("x", subject))
	for _, damage := range []string{
		"", "{\"manifest\":\"sha256:12", `{"manifest":"` + string(referrer) + `","subject":"x"}` + "\n",
	} {
		if damage != "" {
			if err := os.WriteFile(file, []byte(damage), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if got := referrersOf(t, open(), subject); !slices.Equal(got, sorted(referrer)) {
				t.Errorf("after %q: %q", damage, got)
			}
		}
	}
}

// TestReferrersFault: what cannot be read for now is an error and no absence.
func TestReferrersFault(t *testing.T) {
	store := inmemory.New()
	subject := hexOf("5")
	putRevision(t, store, "app", artifactOf("x", subject))
	putRevision(t, store, "app", artifactOf("y", subject), "sha256-"+subject.Encoded()+".sig")
	calls := 1
	for n := 0; n <= calls; n++ {
		f := drivertest.NewFaulty(store)
		f.FailAt(n, errFault)
		p := New(f, testOptions(t, Options{})).Repository("app")
		refs, err := p.Referrers(t.Context())
		var got []digest.Digest
		if err == nil {
			got, err = refs.Of(t.Context(), subject)
		}
		if n == 0 {
			calls = f.Calls()
		}
		if (n == 0) != (err == nil) || err == nil && len(got) != 2 {
			t.Errorf("with call %d of %d failing: %q, %v", n, calls, got, err)
		}
	}
}
