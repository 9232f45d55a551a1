package du_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"registryfs/drivers"
	"registryfs/drivers/drivertest"
	"registryfs/drivers/inmemory"
	"registryfs/layout"
	"registryfs/layout/du"
)

// pusher puts images into a store.
type pusher struct {
	t   *testing.T
	reg *layout.Registry
}

func newStore(t *testing.T) (drivers.StorageDriver, pusher) {
	d := inmemory.New()
	return d, pusher{t, layout.New(d, layout.Options{SpoolDir: t.TempDir(), References: layout.ReferencesNone})}
}

func (p pusher) upload(content string) *layout.Upload {
	p.t.Helper()
	u := p.reg.NewUpload("")
	p.t.Cleanup(func() { u.Close() })
	if _, err := u.WriteAt(p.t.Context(), []byte(content), 0); err != nil {
		p.t.Fatal(err)
	}
	return u
}

func (p pusher) blob(repo, content string) v1.Descriptor {
	p.t.Helper()
	if _, err := p.reg.Repository(layout.RepositoryName(repo)).Blobs().Put(p.t.Context(), p.upload(content), ""); err != nil {
		p.t.Fatal(err)
	}
	return v1.Descriptor{MediaType: v1.MediaTypeImageLayerGzip, Digest: digest.FromString(content), Size: int64(len(content))}
}

// manifest puts any manifest and returns its descriptor.
func (p pusher) manifest(repo, tag string, m any) v1.Descriptor {
	p.t.Helper()
	content, err := json.Marshal(m)
	if err != nil {
		p.t.Fatal(err)
	}
	put, err := p.reg.Repository(layout.RepositoryName(repo)).Manifests().Put(p.t.Context(), p.upload(string(content)), layout.PutOptions{Tag: layout.TagName(tag)})
	if err != nil {
		p.t.Fatal(err)
	}
	return v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: put.Digest, Size: put.Size}
}

// image puts an image; its config is the same in all.
func (p pusher) image(repo, tag string, layers ...string) v1.Descriptor {
	p.t.Helper()
	m := v1.Manifest{MediaType: v1.MediaTypeImageManifest, Config: p.blob(repo, "{}")}
	m.SchemaVersion = 2
	for _, l := range layers {
		m.Layers = append(m.Layers, p.blob(repo, l))
	}
	return p.manifest(repo, tag, m)
}

func (p pusher) index(repo, tag string, children ...v1.Descriptor) v1.Descriptor {
	p.t.Helper()
	m := v1.Index{MediaType: v1.MediaTypeImageIndex, Manifests: children}
	m.SchemaVersion = 2
	return p.manifest(repo, tag, m)
}

func measure(t *testing.T, reg *layout.Registry, o du.Options) du.Report {
	t.Helper()
	report, err := du.Measure(t.Context(), reg, o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestMeasure(t *testing.T) {
	d, p := newStore(t)
	a1 := p.image("a", "one", "base-base-base", "of one")
	a2 := p.image("a", "two", "base-base-base", "of the second")
	p.image("a", "again", "base-base-base", "of the second")
	gone := p.image("a", "", "only untagged")
	index := p.index("a", "both", a1, a2)
	b := p.image("b/c", "one", "base-base-base")
	lost := digest.FromString("lost")
	if err := d.PutContent(t.Context(), "/docker/registry/v2/blobs/sha256/"+lost.Encoded()[:2]+"/"+lost.Encoded()+"/data", []byte("lost")); err != nil {
		t.Fatal(err)
	}

	report := measure(t, p.reg, du.Options{Tags: true})
	if len(report.Problems) > 0 {
		t.Errorf("Problems = %v", report.Problems)
	}
	const base, config = 14, 2
	one, two := a1.Size+int64(len("of one")), a2.Size+int64(len("of the second"))
	untagged := gone.Size + int64(len("only untagged"))
	total := config + base + one + two + index.Size + untagged
	if len(report.Repositories) != 2 {
		t.Fatalf("Repositories = %+v", report.Repositories)
	}
	ra, rb := report.Repositories[0], report.Repositories[1]
	if want := (du.Usage{Total: total, Unique: total - base - config}); ra.Name != "a" || ra.Usage != want || ra.Untagged != untagged {
		t.Errorf("a = %+v, want %+v with %d untagged", ra, want, untagged)
	}
	if want := (du.Usage{Total: b.Size + base + config, Unique: b.Size}); rb.Name != "b/c" || rb.Usage != want || rb.Untagged != 0 {
		t.Errorf("b/c = %+v, want %+v", rb, want)
	}
	if rb.Shared() != base+config {
		t.Errorf("Shared = %d, want %d", rb.Shared(), base+config)
	}
	want := map[layout.TagName]du.Usage{
		"both":  {Total: config + base + one + two + index.Size, Unique: index.Size},
		"one":   {Total: config + base + one},
		"two":   {Total: config + base + two},
		"again": {Total: config + base + two},
	}
	for i, tag := range ra.Tags {
		if tag.Usage != want[tag.Name] {
			t.Errorf("tag %s = %+v, want %+v", tag.Name, tag.Usage, want[tag.Name])
		}
		if i > 0 && tag.Total > ra.Tags[i-1].Total {
			t.Errorf("tag %s is after a smaller one", tag.Name)
		}
	}
	if len(ra.Tags) != len(want) {
		t.Errorf("there are %d tags, want %d", len(ra.Tags), len(want))
	}
	if report.Total != total+b.Size || report.Stored != report.Total+4 || report.Unlinked != 4 {
		t.Errorf("Total, Stored, Unlinked = %d, %d, %d, want %d, 4 more and 4", report.Total, report.Stored, report.Unlinked, total+b.Size)
	}

	// What others share is known if only one is wanted.
	report = measure(t, p.reg, du.Options{Repositories: []layout.RepositoryPattern{"b/*"}})
	if len(report.Repositories) != 1 || report.Repositories[0].Usage != rb.Usage || report.Total != rb.Total || report.Repositories[0].Tags != nil {
		t.Errorf("of b/*: %+v", report)
	}
}

// TestMeasureAbsent wants what is there, and what is not by name.
func TestMeasureAbsent(t *testing.T) {
	_, p := newStore(t)
	p.image("a", "one", "layer")
	report := measure(t, p.reg, du.Options{Repositories: []layout.RepositoryPattern{"a", "b", "none/*"}})
	if text := fmt.Sprint(report.Problems); len(report.Problems) != 2 || !strings.Contains(text, `"b"`) || !strings.Contains(text, "none/*") {
		t.Errorf("Problems = %v, want b and none/*", report.Problems)
	}
	if len(report.Repositories) != 1 || report.Total == 0 {
		t.Errorf("report = %+v, want a", report)
	}
}

// TestMeasureUntagged wants a repository without tags to have none, if they are
// asked for, and all of it to be untagged.
func TestMeasureUntagged(t *testing.T) {
	_, p := newStore(t)
	p.image("a", "", "layer")
	r := measure(t, p.reg, du.Options{Tags: true}).Repositories[0]
	if r.Tags == nil || len(r.Tags) > 0 || r.Untagged != r.Total {
		t.Errorf("a = %+v, want no tags and all of it untagged", r)
	}
}

// TestMeasureDamaged wants all that can be known, and what cannot be to be named.
func TestMeasureDamaged(t *testing.T) {
	d, p := newStore(t)
	sparse := p.index("a", "sparse", v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: digest.FromString("absent"), Size: 1})
	bad := p.image("a", "bad", "layer")
	good := p.image("a", "good", "layer 2")
	for path, content := range map[string]string{
		"/docker/registry/v2/blobs/sha256/" + bad.Digest.Encoded()[:2] + "/" + bad.Digest.Encoded() + "/data": "torn",
		"/docker/registry/v2/repositories/a/_manifests/tags/dangling/current/link":                            string(digest.FromString("nothing")),
		"/docker/registry/v2/repositories/a/_manifests/tags/empty/current/link":                               "",
	} {
		if err := d.PutContent(t.Context(), path, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	reg := layout.New(d, layout.Options{})
	report := measure(t, reg, du.Options{Tags: true})
	if len(report.Problems) != 1 {
		t.Errorf("Problems = %v, want one of tag bad", report.Problems)
	}
	got := map[layout.TagName]int64{}
	for _, tag := range report.Repositories[0].Tags {
		got[tag.Name] = tag.Total
	}
	want := map[layout.TagName]int64{"sparse": sparse.Size, "bad": 4, "dangling": 0, "empty": 0, "good": good.Size + 2 + 7}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("tags = %v, want %v", got, want)
	}
}

// TestMeasureCalls counts what 1,000 tags of 10 images cost a remote store: a few
// listings, and the manifests if the tags are wanted.
func TestMeasureCalls(t *testing.T) {
	d, p := newStore(t)
	for i := range 10 {
		m := p.image("a", "", fmt.Sprint("layer ", i))
		for n := range 100 {
			for _, path := range []string{"index/sha256/" + m.Digest.Encoded(), "current"} {
				path = fmt.Sprintf("/docker/registry/v2/repositories/a/_manifests/tags/%d-%d/%s/link", i, n, path)
				if err := d.PutContent(t.Context(), path, []byte(m.Digest)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, tags := range []bool{false, true} {
		counting := drivertest.NewCounting(drivertest.Remote(d))
		report := measure(t, layout.New(counting, layout.Options{}), du.Options{Tags: tags})
		if n := len(report.Repositories[0].Tags); tags && n != 1000 {
			t.Errorf("there are %d tags, want 1000", n)
		}
		most, calls := 10, 0
		if tags {
			most += 2 * 10 // each manifest is looked at and read
		}
		for _, n := range counting.Counts() {
			calls += n
		}
		if calls > most {
			t.Errorf("with tags %v: %d calls, want at most %d: %v", tags, calls, most, counting.Counts())
		}
	}
}
