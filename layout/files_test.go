package layout

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
	"registryfs/drivers/drivertest"
	"registryfs/drivers/inmemory"
)

// TestFilesLongLink: what is too long for a link is not read.
func TestFilesLongLink(t *testing.T) {
	_, d := newRegistry(t, Options{})
	put(t, d, tagCurrentLinkPath("app", "v1"), strings.Repeat("x", 1000))
	counting := drivertest.NewCounting(d)
	for f, err := range New(counting, Options{}).Repository("app").Files(t.Context()) {
		if err != nil || !errors.Is(f.Problem, ErrLinkInvalid) || !errors.Is(f.Problem, ErrCorrupt) {
			t.Errorf("file %s: problem %v, %v", f.Path, f.Problem, err)
		}
	}
	if n := counting.Counts()["GetContent"]; n > 0 {
		t.Errorf("it was read %d times", n)
	}
}

func TestFiles(t *testing.T) {
	r, d := newRegistry(t, Options{})
	p := r.Repository("app")
	one, two := newImage("one", 1), newImage("two", 0)
	putImage(t, p, "latest", one)
	putImage(t, p, "latest", two)
	putImage(t, r.Repository("app/nested"), "other", one)
	dir := repositoryPath("app")
	put(t, d, dir+"/_manifests/tags/bad/current/link", "no digest\n")
	put(t, d, dir+"/_manifests/tags/latest/README", "stray")
	put(t, d, dir+"/_uploads/0197/startedat", "2024-01-01T00:00:00Z")
	put(t, d, dir+"/_referrers/x", "opaque")

	layers := append(slices.Clone(one.blobs), two.blobs...)
	want := []string{
		"5 0197   false", // FileUpload
		"0    false", "0    false",
		fmt.Sprintf("3 latest  %s false", two.digest()),
		"3 bad   true",
	}
	for _, img := range []image{one, two} {
		want = append(want, fmt.Sprintf("2  %s %[1]s false", img.digest()), fmt.Sprintf("4 latest %s %[1]s false", img.digest()))
	}
	for _, l := range layers {
		want = append(want, fmt.Sprintf("1  %s %[1]s false", digest.FromString(l)))
	}
	var got []string
	for _, f := range collect(t, p.Files(t.Context())) {
		got = append(got, fmt.Sprintf("%d %s%s %s %s %t", f.Kind, f.Tag, f.Upload, f.Name, f.Target, f.Problem != nil))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("Files:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestFilesProven: what a listing proves is not read.
func TestFilesProven(t *testing.T) {
	inner := inmemory.New()
	put := New(inner, testOptions(t, Options{}))
	img := newImage("one", 1)
	for i := range 1200 { // more than are looked at together
		putImage(t, put.Repository("app"), TagName(fmt.Sprintf("v%d", i)), img)
	}
	other := newImage("two", 0)
	putImage(t, put.Repository("app"), "moved", other)
	if err := inner.PutContent(t.Context(), tagCurrentLinkPath("app", "moved"), []byte(img.digest())); err != nil {
		t.Fatal(err)
	}

	counting := drivertest.NewCounting(drivertest.Remote(inner))
	r := New(counting, testOptions(t, Options{}))
	tags := 0
	for _, f := range collect(t, r.Repository("app").Files(t.Context())) {
		if f.Kind == FileTagCurrent {
			tags++
			if f.Target != img.digest() {
				t.Errorf("%s = %s, want %s", f.Path, f.Target, img.digest())
			}
		}
	}
	if tags != 1201 {
		t.Errorf("%d tags, want 1201", tags)
	}
	// A batch may end between a tag and its index.
	if n := counting.Count("GetContent"); n > 4 {
		t.Errorf("%d links were read, want at most 4", n)
	}
	if n := counting.Count("List") + counting.Count("Walk"); n > 4 {
		t.Errorf("%d listings, want at most 4", n)
	}
}

// TestFilesGoOn: one link that cannot be read does not hide the others.
func TestFilesGoOn(t *testing.T) {
	inner := inmemory.New()
	img := newImage("one", 1)
	putImage(t, New(inner, testOptions(t, Options{})).Repository("app"), "latest", img)
	failing := errors.New("it is broken")
	r := New(failingGet{inner, revisionLinkPath("app", img.digest()), failing}, testOptions(t, Options{}))
	var links, failed int
	for f, err := range r.Repository("app").Files(t.Context()) {
		switch {
		case errors.Is(err, failing) && f.Kind == FileRevision:
			failed++
		case err != nil:
			t.Errorf("%s: %v", f.Path, err)
		default:
			links++
		}
	}
	if links != 4 || failed != 1 {
		t.Errorf("%d links and %d failures, want 4 and 1", links, failed)
	}
}

func TestEachRepository(t *testing.T) {
	r, d := newRegistry(t, Options{})
	var want []string
	for _, name := range []RepositoryName{"a", "a/b/c", "d/1", "e"} {
		putImage(t, r.Repository(name), "v1", newImage("one", 0))
		want = append(want, string(name))
	}
	put(t, d, layerLinkPath("failed/push", hexOf("a")), string(hexOf("a")))
	put(t, d, repositoryPath("Not/legal")+"/_manifests/x", "")
	want = append(want, "failed/push")
	for _, n := range []int{1, 5} {
		found := make(chan string, 100)
		err := r.EachRepository(t.Context(), n, func(_ context.Context, p Repository, err error) error {
			if err != nil {
				return err
			}
			found <- string(p.Name())
			return nil
		})
		close(found)
		var got []string
		for name := range found {
			got = append(got, name)
		}
		slices.Sort(got)
		slices.Sort(want)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("with %d at once: %v, %v, want %v", n, got, err, want)
		}
	}
	end := errors.New("enough")
	err := r.EachRepository(t.Context(), 3, func(context.Context, Repository, error) error { return end })
	if !errors.Is(err, end) {
		t.Errorf("a job that ends it: %v, want %v", err, end)
	}
}

// TestEachRepositoryGoesOn: what cannot be listed is told, and the rest is there.
func TestEachRepositoryGoesOn(t *testing.T) {
	inner := inmemory.New()
	whole := New(inner, testOptions(t, Options{}))
	putImage(t, whole.Repository("a/b"), "v1", newImage("one", 0))
	putImage(t, whole.Repository("c"), "v1", newImage("one", 0))
	faulty := drivertest.NewFaulty(inner)
	faulty.FailAt(2, fs.ErrPermission)
	var found, failed int
	err := New(faulty, testOptions(t, Options{})).EachRepository(t.Context(), 1, func(_ context.Context, p Repository, err error) error {
		if err != nil {
			failed++
		} else {
			found++
		}
		return nil
	})
	if err != nil || found != 1 || failed != 1 {
		t.Errorf("%d repositories and %d failures, %v, want 1 and 1", found, failed, err)
	}
}

func TestParts(t *testing.T) {
	r, d := newRegistry(t, Options{})
	img := newImage("one", 2)
	index := newIndex(img)
	putImage(t, r.Repository("app"), "v1", img)
	putImage(t, r.Repository("app"), "all", index)
	parts, err := r.Parts(t.Context(), img.digest())
	if err != nil || len(parts.Blobs) != 3 || parts.Refused != nil || parts.Size != int64(len(img.manifest)) {
		t.Errorf("Parts of an image = %+v, %v", parts, err)
	}
	parts, err = r.Parts(t.Context(), index.digest())
	if err != nil || len(parts.Children) != 1 || parts.Children[0].Digest != img.digest() || len(parts.Blobs) != 0 {
		t.Errorf("Parts of an index = %+v, %v", parts, err)
	}

	subject := `{"schemaVersion":2,"config":{"digest":"` + string(hexOf("a")) + `"},"layers":[],"subject":{"digest":"` + string(hexOf("b")) + `"}}`
	schema1 := `{"schemaVersion":1,"fsLayers":[{"blobSum":"` + string(hexOf("c")) + `"}]}`
	for _, test := range []struct {
		name, content string
		want          Parts
		problem       error
	}{
		{"referrer", subject, Parts{Subject: hexOf("b"), Blobs: []Part{{Digest: hexOf("a")}}}, nil},
		{"schema 1", schema1, Parts{Blobs: []Part{{Digest: hexOf("c")}}, Refused: ErrManifestInvalid}, nil},
		{"no JSON", "nothing", Parts{}, ErrManifestInvalid},
		{"layers twice", `{"schemaVersion":2,"layers":[],"Layers":[]}`, Parts{}, ErrManifestInvalid},
		{"layers of another type", `{"schemaVersion":2,"layers":"x"}`, Parts{}, ErrManifestInvalid},
		{"a digest that is none", `{"schemaVersion":2,"layers":[{"digest":"sha256:x"}]}`, Parts{}, ErrManifestInvalid},
	} {
		put(t, d, blobDataPath(digest.FromString(test.content)), test.content)
		got, err := r.Parts(t.Context(), digest.FromString(test.content))
		if !errors.Is(err, test.problem) || !errors.Is(got.Refused, test.want.Refused) || got.Subject != test.want.Subject || !slices.Equal(got.Blobs, test.want.Blobs) {
			t.Errorf("%s: Parts = %+v, %v, want %+v, %v", test.name, got, err, test.want, test.problem)
		}
	}

	put(t, d, blobDataPath(hexOf("d")), "something else")
	if _, err := r.Parts(t.Context(), hexOf("d")); !errors.Is(err, ErrCorrupt) {
		t.Errorf("of a damaged blob: %v, want %v", err, ErrCorrupt)
	}
	if _, err := r.Parts(t.Context(), hexOf("e")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of an absent blob: %v, want %v", err, fs.ErrNotExist)
	}
}

func TestState(t *testing.T) {
	elsewhere := inmemory.New()
	for name, o := range map[string]Options{"in the store": {}, "elsewhere": {State: elsewhere}} {
		r, d := newRegistry(t, o)
		s := r.State()
		if _, err := s.Get(t.Context(), "gc/lock"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: Get before: %v", name, err)
		}
		if err := s.Create(t.Context(), "gc/lock", []byte("one")); err != nil {
			t.Fatal(err)
		}
		if err := s.Create(t.Context(), "gc/lock", []byte("two")); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: Create again: %v, want %v", name, err, fs.ErrExist)
		}
		if err := s.Put(t.Context(), "gc/notes", []byte("three")); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Get(t.Context(), "gc/lock"); string(got) != "one" {
			t.Errorf("%s: Get = %q, %v, want one", name, got, err)
		}
		if all := collect(t, s.All(t.Context(), "gc")); len(all) != 2 {
			t.Errorf("%s: All = %v, want two files", name, all)
		}
		if err := s.Delete(t.Context(), "gc/lock"); err != nil {
			t.Fatal(err)
		}
		if in := has(t, d, "/registryfs/gc/notes"); in != (o.State == nil) {
			t.Errorf("%s: the store has it: %t", name, in)
		}
	}
	if !has(t, elsewhere, "/registryfs/gc/notes") {
		t.Error("it is not where Options.State wants it")
	}
}

// failingGet fails for one path.
type failingGet struct {
	drivers.StorageDriver
	path string
	err  error
}

func (d failingGet) GetContent(ctx context.Context, path string) ([]byte, error) {
	if path == d.path {
		return nil, d.err
	}
	return d.StorageDriver.GetContent(ctx, path)
}
