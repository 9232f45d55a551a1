package copier_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"registryfs/drivers"
	"registryfs/drivers/drivertest"
	"registryfs/drivers/inmemory"
	"registryfs/layout"
	"registryfs/layout/check"
	"registryfs/layout/copier"
)

const (
	root         = "/docker/registry/v2"
	repositories = root + "/repositories/"
)

func blobPath(d digest.Digest) string {
	return root + "/blobs/sha256/" + d.Encoded()[:2] + "/" + d.Encoded() + "/data"
}

// fixture is a store that is written file by file, each later than the one before.
type fixture struct {
	t *testing.T
	drivers.StorageDriver
	clock time.Time
}

func newFixture(t *testing.T) *fixture {
	return &fixture{t, inmemory.New(), time.Date(2024, 5, 6, 7, 0, 0, 0, time.UTC)}
}

func (f *fixture) put(path, content string) {
	f.t.Helper()
	f.clock = f.clock.Add(time.Minute)
	if err := errors.Join(f.PutContent(f.t.Context(), path, []byte(content)), drivers.Chtimes(f.t.Context(), f.StorageDriver, path, f.clock)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) link(path string, d digest.Digest) {
	f.t.Helper()
	f.put(repositories+path+"/link", string(d))
}

func (f *fixture) blob(repo, content string) v1.Descriptor {
	f.t.Helper()
	d := digest.FromString(content)
	f.put(blobPath(d), content)
	f.link(repo+"/_layers/sha256/"+d.Encoded(), d)
	return v1.Descriptor{MediaType: v1.MediaTypeImageLayerGzip, Digest: d, Size: int64(len(content))}
}

func (f *fixture) manifest(repo string, m any, tags ...string) v1.Descriptor {
	f.t.Helper()
	content, err := json.Marshal(m)
	if err != nil {
		f.t.Fatal(err)
	}
	d := digest.FromBytes(content)
	f.put(blobPath(d), string(content))
	f.link(repo+"/_manifests/revisions/sha256/"+d.Encoded(), d)
	for _, tag := range tags {
		f.link(repo+"/_manifests/tags/"+tag+"/index/sha256/"+d.Encoded(), d)
		f.link(repo+"/_manifests/tags/"+tag+"/current", d)
	}
	return v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: d, Size: int64(len(content))}
}

func (f *fixture) image(repo, layer string, tags ...string) v1.Descriptor {
	f.t.Helper()
	m := v1.Manifest{MediaType: v1.MediaTypeImageManifest, Config: f.blob(repo, "{}"), Layers: []v1.Descriptor{f.blob(repo, layer)}}
	m.SchemaVersion = 2
	return f.manifest(repo, m, tags...)
}

func (f *fixture) index(repo string, children []v1.Descriptor, tags ...string) v1.Descriptor {
	f.t.Helper()
	m := v1.Index{MediaType: v1.MediaTypeImageIndex, Manifests: children}
	m.SchemaVersion = 2
	return f.manifest(repo, m, tags...)
}

// standard is a store with some of everything.
func standard(t *testing.T) *fixture {
	f := newFixture(t)
	one := f.image("team/app", "one", "v1", "latest")
	two := f.image("team/app", "two", "v2", "latest")
	f.index("team/app", []v1.Descriptor{one, two}, "all")
	f.image("team/app", "one", "latest") // its index entry is now the newest
	f.image("a", large(), "v1")
	f.image("a/b", "nested", "v1")
	f.index("a/b", []v1.Descriptor{{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromString("absent"), Size: 1}}, "sparse")
	f.image("Upper", "of no legal name", "v1")
	unlinked := digest.FromString("unlinked")
	f.put(blobPath(unlinked), "unlinked")
	for path, content := range map[string]string{
		"/scheduler-state.json":               "{}",
		"/other/dir/file":                     "x",
		"/docker/note":                        "y",
		root + "/blobs/sha256/stray":          "z",
		repositories + "note":                 "n",
		repositories + "a/_unknown/deep/file": "opaque",
		repositories + "a/note":               "",
	} {
		f.put(path, content)
	}
	return f
}

// leftovers are not copied.
func (f *fixture) leftovers() {
	gone := digest.FromString("gone")
	f.link("a/_layers/sha256/"+gone.Encoded(), gone)
	f.link("a/_manifests/tags/half/index/sha256/"+gone.Encoded(), gone)
	f.put(repositories+"a/_uploads/id/data", "part")
	f.put("/registryfs/gc/lock", "mine")
}

// large is a layer that does not fit into one read.
func large() string {
	content := make([]byte, 3<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(content) // never fails
	return string(content)
}

func files(t *testing.T, d drivers.StorageDriver) map[string]string {
	t.Helper()
	all := map[string]string{}
	for info, err := range drivers.WalkInfo(t.Context(), d, "/", "") {
		if err != nil {
			t.Fatal(err)
		}
		content, err := d.GetContent(t.Context(), info.Path())
		if err != nil {
			t.Fatal(err)
		}
		all[info.Path()] = string(content)
	}
	return all
}

func wantSame(t *testing.T, got, want map[string]string) {
	t.Helper()
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if content, ok := got[path]; !ok || content != want[path] {
			t.Errorf("%s: there %v, %d bytes, want %d", path, ok, len(content), len(want[path]))
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			t.Errorf("%s should not be there", path)
		}
	}
}

func run(t *testing.T, from, to drivers.StorageDriver, o copier.Options) copier.Report {
	t.Helper()
	report, err := copier.Copy(t.Context(), layout.New(from, layout.Options{}), layout.New(to, layout.Options{}), o)
	if err != nil {
		t.Fatalf("Copy = %v", err)
	}
	return report
}

func TestCopy(t *testing.T) {
	from := standard(t)
	want := files(t, from)
	from.leftovers()
	for _, kind := range []struct {
		name     string
		from, to func(drivers.StorageDriver) drivers.StorageDriver
	}{
		{"local", same, same},
		{"streamed", drivertest.Fallback, same},
		{"to remote", same, drivertest.Remote},
		{"from remote", drivertest.Remote, same},
		{"remote", drivertest.Remote, drivertest.Remote},
	} {
		t.Run(kind.name, func(t *testing.T) {
			to := inmemory.New()
			report := run(t, kind.from(from.StorageDriver), kind.to(to), copier.Options{})
			if len(report.Problems) > 0 {
				t.Errorf("Problems = %v", report.Problems)
			}
			wantSame(t, files(t, to), want)
			if report.Repositories != 3 || report.Tags != 7 || report.LeftOut != 2 || report.Present != 0 {
				t.Errorf("report = %+v", report)
			}
			if got, want := history(t, layout.New(to, layout.Options{})), history(t, layout.New(from.StorageDriver, layout.Options{})); !slices.Equal(got, want) {
				t.Errorf("history of the copy = %v, want %v", got, want)
			}

			// A second copy has nothing to do, whatever the stores can tell.
			again := run(t, kind.from(from.StorageDriver), kind.to(to), copier.Options{})
			if again.Blobs+again.Links+again.Tags+again.Files > 0 || again.Present != report.Blobs {
				t.Errorf("the second copy = %+v", again)
			}
		})
	}
}

func same(d drivers.StorageDriver) drivers.StorageDriver { return d }

func history(t *testing.T, reg *layout.Registry) []string {
	t.Helper()
	entries, err := reg.Repository("team/app").Tags().History(t.Context(), "latest")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, string(e.Digest))
	}
	return all
}

func TestCopyRepositories(t *testing.T) {
	from, to := standard(t), inmemory.New()
	want := files(t, from)
	report := run(t, from.StorageDriver, to, copier.Options{Repositories: []layout.RepositoryPattern{"team/*"}})
	if report.Repositories != 1 || len(report.Problems) > 0 {
		t.Errorf("report = %+v", report)
	}
	got := files(t, to)
	for path := range got {
		if got[path] != want[path] {
			t.Errorf("%s has other bytes", path)
		}
		if strings.HasPrefix(path, repositories) && !strings.HasPrefix(path, repositories+"team/app/") {
			t.Errorf("%s should not be there", path)
		}
	}
	for path := range want {
		if _, ok := got[path]; !ok && strings.HasPrefix(path, repositories+"team/app/") {
			t.Errorf("%s is missing", path)
		}
	}
	pullable(t, to, false)
}

// TestCopyRepositoriesAbsent wants what is there, and what is not by name.
func TestCopyRepositoriesAbsent(t *testing.T) {
	from, to := standard(t), inmemory.New()
	report := run(t, from.StorageDriver, to, copier.Options{Repositories: []layout.RepositoryPattern{"team/ap", "a/**", "none/*"}})
	if text := fmt.Sprint(report.Problems); len(report.Problems) != 2 || !strings.Contains(text, "team/ap") || !strings.Contains(text, "none/*") {
		t.Errorf("Problems = %v, want team/ap and none/*", report.Problems)
	}
	if report.Repositories != 1 || files(t, to)[repositories+"a/b/_manifests/tags/v1/current/link"] == "" {
		t.Errorf("report = %+v, want a/b", report)
	}
}

// TestCopyRepositoryWithStrays wants what lies in a repository beside its own
// directories, and in no other.
func TestCopyRepositoryWithStrays(t *testing.T) {
	from, to := standard(t), inmemory.New()
	run(t, from.StorageDriver, to, copier.Options{Repositories: []layout.RepositoryPattern{"a"}})
	got := files(t, to)
	for _, name := range []string{"a/_unknown/deep/file", "a/note"} {
		if _, ok := got[repositories+name]; !ok {
			t.Errorf("%s is missing", name)
		}
	}
	for path := range got {
		if strings.HasPrefix(path, repositories) && !strings.HasPrefix(path, repositories+"a/_") && path != repositories+"a/note" {
			t.Errorf("%s should not be there", path)
		}
	}
}

// TestCopyProgress wants links to count too, and the end to be all.
func TestCopyProgress(t *testing.T) {
	from, to := standard(t), inmemory.New()
	var last layout.Progress
	report := run(t, from.StorageDriver, to, copier.Options{Progress: func(p layout.Progress) {
		if p.Done < last.Done || p.Done > p.Total {
			t.Errorf("progress goes from %+v to %+v", last, p)
		}
		last = p
	}})
	if want := int64(report.Blobs + report.Links); last.Done != want || last.Total != want {
		t.Errorf("the last progress is %+v, want %d of %[2]d", last, want)
	}
}

func TestCopyUploads(t *testing.T) {
	from, to := standard(t), inmemory.New()
	from.leftovers()
	const id = repositories + "a/_uploads/id/"
	from.put(id+"large", large())
	run(t, drivertest.Fallback(from.StorageDriver), to, copier.Options{Uploads: true})
	if got := files(t, to); got[id+"data"] != "part" || got[id+"large"] != large() {
		t.Errorf("the upload has %q and %d bytes", got[id+"data"], len(got[id+"large"]))
	}
}

// TestCopyTimes wants the times of all files where the destination keeps them, also
// of what was put just before a copy was killed, so without its time.
func TestCopyTimes(t *testing.T) {
	for _, repositories := range [][]layout.RepositoryPattern{nil, {"**"}} {
		from, to := standard(t), inmemory.New()
		for range 2 {
			report := run(t, from.StorageDriver, to, copier.Options{Repositories: repositories})
			for path := range files(t, to) {
				a, errA := from.Stat(t.Context(), path)
				b, errB := to.Stat(t.Context(), path)
				if errA != nil || errB != nil || !a.ModTime().Equal(b.ModTime()) {
					t.Errorf("%s: time %v, want %v", path, b.ModTime(), a.ModTime())
				}
				if err := drivers.Chtimes(t.Context(), to, path, time.Now()); err != nil {
					t.Fatal(err)
				}
			}
			if report.Present > 0 && report.Blobs > 0 {
				t.Errorf("report = %+v, want no blob to be copied twice", report)
			}
		}
	}
}

// TestCopyMoved moves a tag between two copies, back to what it was before.
func TestCopyMoved(t *testing.T) {
	for _, wrap := range []func(drivers.StorageDriver) drivers.StorageDriver{same, drivertest.Remote} {
		from, to := standard(t), inmemory.New()
		run(t, from.StorageDriver, wrap(to), copier.Options{})
		from.image("team/app", "two", "latest")
		from.image("team/app", "three", "latest")
		report := run(t, from.StorageDriver, wrap(to), copier.Options{})
		if report.Tags != 1 || report.Blobs != 2 {
			t.Errorf("report = %+v, want one tag and two blobs", report)
		}
		wantSame(t, files(t, to), files(t, from))
		want := history(t, layout.New(from.StorageDriver, layout.Options{}))
		if got := history(t, layout.New(to, layout.Options{})); !slices.Equal(got, want) {
			t.Errorf("history = %v, want %v", got, want)
		}
	}
}

// TestCopyDamaged wants what is whole, and what is not by name.
func TestCopyDamaged(t *testing.T) {
	from, to := standard(t), inmemory.New()
	want := files(t, from)
	lacking := from.image("bad", "never there", "lacking")
	torn := from.image("bad", "whole before", "torn")
	unlinked := from.image("bad", "not linked", "unlinked")
	index := from.index("bad", []v1.Descriptor{lacking}, "index")
	from.image("bad", "good", "good")
	from.link("bad/_manifests/tags/dangling/current", digest.FromString("nothing"))
	from.put(repositories+"bad/_manifests/tags/damaged/current/link", "sha256:")
	from.put(blobPath(digest.FromString("whole before")), "torn")
	for _, path := range []string{blobPath(digest.FromString("never there")), repositories + "bad/_layers/sha256/" + digest.FromString("not linked").Encoded()} {
		if err := from.Delete(t.Context(), path); err != nil {
			t.Fatal(err)
		}
	}
	report := run(t, from.StorageDriver, to, copier.Options{})
	text := fmt.Sprint(report.Problems)
	for _, name := range []string{
		"tag bad:lacking", lacking.Digest.String(), "tag bad:torn", torn.Digest.String(), "tag bad:unlinked", unlinked.Digest.String(),
		"tag bad:index", index.Digest.String(), "tag bad:dangling", "tags/damaged/current", "blob " + digest.FromString("whole before").String(),
	} {
		if !strings.Contains(text, name) {
			t.Errorf("%s is not named in %s", name, text)
		}
	}
	got := files(t, to)
	for path, content := range want {
		if got[path] != content {
			t.Errorf("%s was not copied", path)
		}
	}
	pullable(t, to, true)
	tags, err := to.List(t.Context(), repositories+"bad/_manifests/tags")
	if err != nil || len(tags) != 1 {
		t.Errorf("bad has tags %v, %v, want good only", tags, err)
	}
}

// pullable wants the closure of each tag to be there.
func pullable(t *testing.T, d drivers.StorageDriver, sparse bool) {
	t.Helper()
	got := files(t, d)
	var closure func(repo string, dgst digest.Digest)
	closure = func(repo string, dgst digest.Digest) {
		content, ok := got[blobPath(dgst)]
		if !ok || digest.FromString(content) != dgst || got[repo+"/_manifests/revisions/sha256/"+dgst.Encoded()+"/link"] == "" {
			t.Errorf("manifest %s of %s is not whole", dgst, repo)
			return
		}
		var m struct {
			Config    *v1.Descriptor
			Layers    []v1.Descriptor
			Manifests []v1.Descriptor
		}
		if err := json.Unmarshal([]byte(content), &m); err != nil {
			t.Fatal(err)
		}
		if m.Config != nil {
			m.Layers = append(m.Layers, *m.Config)
		}
		for _, l := range m.Layers {
			if digest.FromString(got[blobPath(l.Digest)]) != l.Digest || got[repo+"/_layers/sha256/"+l.Digest.Encoded()+"/link"] == "" {
				t.Errorf("layer %s of %s is not whole", l.Digest, repo)
			}
		}
		for _, c := range m.Manifests {
			if c.Size > 1 || !sparse {
				closure(repo, c.Digest)
			}
		}
	}
	for path, content := range got {
		if repo, _, ok := strings.Cut(path, "/_manifests/tags/"); ok && strings.HasSuffix(path, "/current/link") {
			closure(repo, digest.Digest(content))
		}
	}
}

// TestCopyRepairs wants a blob of another size to be replaced, and one that only the
// destination has to be good enough.
func TestCopyRepairs(t *testing.T) {
	from, to := newFixture(t), inmemory.New()
	m := from.image("a", "layer", "v1")
	run(t, from.StorageDriver, to, copier.Options{})
	if err := errors.Join(
		to.PutContent(t.Context(), blobPath(digest.FromString("layer")), []byte("torn")),
		from.Delete(t.Context(), blobPath(digest.FromString("{}"))),
		to.Delete(t.Context(), repositories+"a/_manifests/tags/v1"),
	); err != nil {
		t.Fatal(err)
	}
	report := run(t, from.StorageDriver, to, copier.Options{})
	if report.Blobs != 1 || report.Tags != 1 || len(report.Problems) > 0 {
		t.Errorf("report = %+v", report)
	}
	pullable(t, to, false)
	if got := files(t, to)[repositories+"a/_manifests/tags/v1/current/link"]; got != string(m.Digest) {
		t.Errorf("v1 = %q", got)
	}
}

// unlistable is a source with a directory that cannot be listed.
type unlistable struct {
	drivers.StorageDriver
	dir string
}

var errUnlistable = errors.New("input/output error")

func (u unlistable) List(ctx context.Context, dir string) ([]string, error) {
	if dir == u.dir {
		return nil, errUnlistable
	}
	return u.StorageDriver.List(ctx, dir)
}

// TestCopyUnlistable wants what a disk still gives: all that links lead to, and the
// directory that cannot be listed by name.
func TestCopyUnlistable(t *testing.T) {
	from, to := newFixture(t), inmemory.New()
	m := from.image("a", "layer", "v1")
	bad := path.Dir(path.Dir(path.Dir(blobPath(m.Digest))))
	report := run(t, unlistable{drivertest.Fallback(from.StorageDriver), bad}, to, copier.Options{})
	if len(report.Problems) != 1 || !errors.Is(report.Problems[0], errUnlistable) {
		t.Errorf("Problems = %v, want one of %s", report.Problems, bad)
	}
	wantSame(t, files(t, to), files(t, from))
}

// TestCopyDestinationGone wants an end, and not that the source lacks something,
// if the destination says that something does not exist.
func TestCopyDestinationGone(t *testing.T) {
	from := newFixture(t)
	from.image("a", "layer", "v1")
	for at := 1; ; at++ {
		to := drivertest.NewFaulty(inmemory.New()).OnlyWrites()
		to.FailAt(at, fs.ErrNotExist)
		report, err := copier.Copy(t.Context(), layout.New(from.StorageDriver, layout.Options{}), layout.New(to, layout.Options{}), copier.Options{Parallel: 1})
		if to.Calls() < at {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || len(report.Problems) > 0 {
			t.Errorf("write %d: Copy = %v, Problems = %v, want the error only", at, err, report.Problems)
		}
	}
}

// pushing is a source that gets something just before a directory is listed for
// the first time.
type pushing struct {
	drivers.StorageDriver
	before string
	once   bool
	push   func()
}

func (p *pushing) List(ctx context.Context, dir string) ([]string, error) {
	if strings.HasSuffix(dir, p.before) && !p.once {
		p.once = true
		p.push()
	}
	return p.StorageDriver.List(ctx, dir)
}

// TestCopyLive pushes while the links and tags are read: whatever the copy has of
// it, it has whole, with the tag's history.
func TestCopyLive(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before string // the listing of this directory
		wrap   func(drivers.StorageDriver) drivers.StorageDriver
		push   func(f *fixture)
	}{
		{"a tag after the layers", "/a/_manifests", same, func(f *fixture) { f.image("a", "new", "v2") }},
		{"a manifest after the layers", "/a/_manifests", same, func(f *fixture) { f.image("a", "new") }},
		{"an index after the layers", "/a/_manifests", same, func(f *fixture) { f.index("a", []v1.Descriptor{f.image("a", "new")}) }},
		{"a tag after its history", "/tags/v9", same, func(f *fixture) { f.image("a", "new", "v1") }},
		{"a tag before its history", "/tags/v1/index", same, func(f *fixture) { f.image("a", "new", "v1") }},
		{"the same with links that a listing proves", "/tags/v1/index", drivertest.Remote, func(f *fixture) { f.image("a", "new", "v1") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, repositories := range [][]layout.RepositoryPattern{nil, {"a"}} {
				from, to := newFixture(t), inmemory.New()
				from.image("a", "old", "v1", "v9")
				live := &pushing{StorageDriver: drivertest.Fallback(from.StorageDriver), before: tt.before, push: func() { tt.push(from) }}
				report := run(t, tt.wrap(live), to, copier.Options{Parallel: 1, Repositories: repositories})
				if len(report.Problems) > 0 {
					t.Errorf("Problems = %v", report.Problems)
				}
				if !live.once {
					t.Error("nothing was pushed")
				}
				pullable(t, to, false)
				sound(t, to)
			}
		})
	}
}

// sound wants check to find nothing, other than what no tag leads to.
func sound(t *testing.T, d drivers.StorageDriver) {
	t.Helper()
	_, err := check.Run(t.Context(), layout.New(d, layout.Options{}), check.Options{Found: func(f check.Finding) {
		if f.Kind.Weight() != check.Lost {
			t.Errorf("check of the copy: %s %s: %s", f.Kind, f.Path, f.Detail)
		}
	}})
	if err != nil {
		t.Fatalf("check of the copy: %v", err)
	}
}

// TestCopyInterrupted kills the copy at each write in turn: what there is then can
// be pulled, and the next copy goes on.
func TestCopyInterrupted(t *testing.T) {
	from := standard(t)
	want := files(t, from)
	crash := errors.New("crash")
	to := inmemory.New()
	for at := 1; ; at += 7 {
		faulty := drivertest.NewFaulty(to).OnlyWrites()
		faulty.CrashAt(at, crash)
		_, err := copier.Copy(t.Context(), layout.New(from.StorageDriver, layout.Options{}), layout.New(drivertest.Remote(faulty), layout.Options{}), copier.Options{Parallel: 3})
		pullable(t, to, true)
		if err == nil {
			break
		}
		if !errors.Is(err, crash) {
			t.Fatalf("Copy = %v", err)
		}
		if at > 1000 {
			t.Fatal("it does not come to an end")
		}
	}
	wantSame(t, files(t, to), want)
}

// TestCopyCalls counts what a copy of 1,000 tags, and one that has nothing to do,
// cost between two remote stores.
func TestCopyCalls(t *testing.T) {
	f := newFixture(t)
	const images, each = 10, 100
	for i := range images {
		var tags []string
		for n := range each {
			tags = append(tags, fmt.Sprintf("%d-%d", i, n))
		}
		f.image("a", fmt.Sprint("layer ", i), tags...)
	}
	to := inmemory.New()
	for _, tt := range []struct {
		name        string
		reads, puts int
	}{
		// A blob is one read, and so are the size and content of a manifest.
		{"first", (2*images + 1) + 2*images + 20, (2*images + 1) + (2*images + 1) + 2*images*each},
		{"second", 20, 0},
	} {
		source, dest := drivertest.NewCounting(drivertest.Remote(f.StorageDriver)), drivertest.NewCounting(drivertest.Remote(to))
		run(t, source, dest, copier.Options{})
		reads, writes := 0, dest.Count("PutContent")+dest.Count("Writer")+dest.Count("CopyFrom")
		for _, n := range source.Counts() {
			reads += n
		}
		if reads > tt.reads || writes > tt.puts {
			t.Errorf("%s copy: %d reads and %d writes, want at most %d and %d: %v, %v", tt.name, reads, writes, tt.reads, tt.puts, source.Counts(), dest.Counts())
		}
		rest := -writes - dest.Count("Chtimes")
		for _, n := range dest.Counts() {
			rest += n
		}
		if rest > 20 {
			t.Errorf("%s copy: %d looks at the destination: %v", tt.name, rest, dest.Counts())
		}
	}
}
