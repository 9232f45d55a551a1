package check

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers/drivertest"
	"registryfs/drivers/inmemory"
	"registryfs/layout"
)

// absent is a digest that nothing has.
const absent = digest.Digest("sha256:00000000000000000000000000000000000000000000000000000000deadbeef")

func TestClean(t *testing.T) {
	s := newStore(t)
	a, _ := s.image("team/app", "v1", "one")
	b, _ := s.image("team/app", "", "two")
	s.index("team/app", "multi", a, b)
	s.write("/docker/registry/v2/repositories/team/app/_uploads/0197/startedat", "2024-01-01T00:00:00Z")
	out := s.check(Options{Data: true})
	want(t, "findings", out.found)
	if out.Repositories != 1 || out.Tags != 2 || out.Manifests != 3 || out.Blobs != 7 || out.Verified != 7 || out.Faults != 0 {
		t.Errorf("summary: %+v", out.Summary)
	}
}

func TestNoRegistry(t *testing.T) {
	reg := layout.New(inmemory.New(), layout.Options{})
	if _, err := Run(t.Context(), reg, Options{}); !errors.Is(err, ErrNoRegistry) {
		t.Errorf("Run of an empty store: %v, want %v", err, ErrNoRegistry)
	}
	if _, err := Run(t.Context(), reg, Options{Shard: 2, Shards: 3}); !errors.Is(err, ErrNoRegistry) {
		t.Errorf("Run of a part of an empty store: %v, want %v", err, ErrNoRegistry)
	}
}

// TestFindings breaks one thing at a time.
func TestFindings(t *testing.T) {
	const repo = "repositories/app/"
	p := layout.New(inmemory.New(), layout.Options{}).Repository("app")
	revision := func(d digest.Digest) string { return repo + "_manifests/revisions/sha256/" + d.Encoded() + "/link" }
	layerLink := func(d digest.Digest) string { return repo + "_layers/sha256/" + d.Encoded() + "/link" }
	data := func(d digest.Digest) string {
		return "blobs/sha256/" + d.Encoded()[:2] + "/" + d.Encoded() + "/data"
	}
	const current = repo + "_manifests/tags/v1/current/link"

	for _, test := range []struct {
		name  string
		spoil func(s *store, m, l digest.Digest) []string // what is to be found
		fixes int                                         // of the findings
	}{
		{"empty layer link", func(s *store, m, l digest.Digest) []string {
			s.write(p.LayerLink(l), "")
			return []string{"damaged " + layerLink(l)}
		}, 1},
		{"revision link with a newline", func(s *store, m, l digest.Digest) []string {
			s.write(p.RevisionLink(m), string(m)+"\n")
			return []string{"damaged " + revision(m)}
		}, 1},
		{"index link to something else", func(s *store, m, l digest.Digest) []string {
			s.write(indexLink(p, "v1", m), string(l))
			return []string{"misnamed " + short(indexLink(p, "v1", m))}
		}, 1},
		{"current cut off", func(s *store, m, l digest.Digest) []string {
			s.write(p.TagLink("v1"), string(m)[:30])
			return []string{"damaged " + current}
		}, 1},
		{"current cut off, of two", func(s *store, m, l digest.Digest) []string {
			other, _ := s.image("app", "other", "other")
			s.write(indexLink(p, "v1", other), string(other))
			s.write(p.TagLink("v1"), "")
			return []string{"damaged " + current, "untagged " + revision(m)}
		}, 0},
		{"current cut off, of a sha512", func(s *store, m, l digest.Digest) []string {
			s.remove(indexLink(p, "v1", m))
			alias := layout.RawPath(strings.Replace(string(indexLink(p, "v1", digest.SHA512.FromString("x"))), "/sha256/", "/sha512/", 1))
			s.write(alias, string(m))
			s.write(p.TagLink("v1"), "")
			return []string{"damaged " + current, "untagged " + revision(m)}
		}, 0},
		{"current of another digest", func(s *store, m, l digest.Digest) []string {
			s.write(p.TagLink("v1"), string(l)+"\n")
			return []string{"damaged " + current, "untagged " + revision(m)}
		}, 0},
		{"tag without current", func(s *store, m, l digest.Digest) []string {
			s.remove(p.TagLink("v1"))
			return []string{"no-current " + current, "untagged " + revision(m)}
		}, 1},
		{"tag without revision", func(s *store, m, l digest.Digest) []string {
			s.remove(p.RevisionLink(m))
			return []string{"unlinked " + current}
		}, 0},
		{"tag to nothing", func(s *store, m, l digest.Digest) []string {
			s.tag("app", "v1", absent)
			return []string{"dangling " + current, "outdated " + short(indexLink(p, "v1", absent)), "untagged " + revision(m)}
		}, 0},
		{"tag without history", func(s *store, m, l digest.Digest) []string {
			s.remove(indexLink(p, "v1", m))
			return []string{"unrecorded " + current}
		}, 0},
		{"layer link missing", func(s *store, m, l digest.Digest) []string {
			s.remove(p.LayerLink(l))
			return []string{"unlinked " + layerLink(l)}
		}, 1},
		{"layer missing", func(s *store, m, l digest.Digest) []string {
			s.remove(layout.RawBlob(l))
			return []string{"missing " + data(l), "dangling " + layerLink(l)}
		}, 0},
		{"sha512 alias", func(s *store, m, l digest.Digest) []string {
			s.write(p.LayerLink(digest.SHA512.FromString("x")), string(l))
			return nil
		}, 0},
		{"damaged sha512 alias", func(s *store, m, l digest.Digest) []string {
			d := digest.SHA512.FromString("x")
			s.write(p.LayerLink(d), "")
			return []string{"damaged " + short(p.LayerLink(d))}
		}, 0},
		{"truncated layer", func(s *store, m, l digest.Digest) []string {
			s.write(layout.RawBlob(l), "layer")
			return []string{"corrupt " + data(l)}
		}, 0},
		{"layer of the same size", func(s *store, m, l digest.Digest) []string {
			s.write(layout.RawBlob(l), strings.ToUpper("layer of one"))
			return []string{"corrupt " + data(l)}
		}, 0},
		{"empty manifest", func(s *store, m, l digest.Digest) []string {
			s.write(layout.RawBlob(m), "")
			return []string{"corrupt " + data(m)}
		}, 0},
		{"no manifest", func(s *store, m, l digest.Digest) []string {
			d := s.manifest("app", "x", "not a manifest")
			return []string{"invalid " + data(d)}
		}, 0},
		{"schema 1", func(s *store, m, l digest.Digest) []string {
			d := s.manifest("app", "x", fmt.Sprintf(`{"schemaVersion":1,"fsLayers":[{"blobSum":%q}]}`, l))
			return []string{"unserved " + data(d)}
		}, 0},
		{"wrong size", func(s *store, m, l digest.Digest) []string {
			d := s.manifest("app", "x", strings.Replace(s.content(layout.RawBlob(m)), `"size":12`, `"size":13`, 1))
			return []string{"wrong-size " + data(d)}
		}, 0},
		{"sparse index", func(s *store, m, l digest.Digest) []string {
			return []string{"sparse " + data(s.index("app", "multi", m, absent))}
		}, 0},
		{"referrer", func(s *store, m, l digest.Digest) []string {
			d := s.manifest("app", "", strings.Replace(s.content(layout.RawBlob(m)), "{", fmt.Sprintf(`{"subject":{"digest":%q},`, m), 1))
			_ = d // it belongs to its subject
			return nil
		}, 0},
		{"untagged", func(s *store, m, l digest.Digest) []string {
			d, _ := s.image("app", "", "more")
			return []string{"untagged " + revision(d)}
		}, 0},
		{"unreferenced", func(s *store, m, l digest.Digest) []string {
			s.write(layout.RawBlob(digest.FromString("x")), "x")
			return []string{"unreferenced " + data(digest.FromString("x"))}
		}, 0},
		{"strays", func(s *store, m, l digest.Digest) []string {
			paths := []string{
				"repositories/README", repo + "README",
				repo + "_manifests/tags/.DS_Store", repo + "_manifests/tags/v1/README", repo + "_layers/sha256/link",
				repo + "_manifests/revisions/sha256/no-hex/link", repo + "_uploads/README", "blobs/sha256/README", "blobs/md5/d4/d4/data",
				"blobs/sha256/00/" + l.Encoded() + "/data", "blobs/README",
			}
			found := []string{"stray " + repo + "_referrers"}
			s.write("/docker/registry/v2/"+repo+"_referrers/a/link", "x")
			s.write("/docker/registry/v2/"+repo+"_referrers/b/link", "x")
			for _, path := range paths {
				s.write(layout.RawPath("/docker/registry/v2/"+path), "stray")
				found = append(found, "stray "+path)
			}
			return found
		}, 0},
		{"leftovers", func(s *store, m, l digest.Digest) []string {
			const uuid = "0197f7d2-3c1b-7a54-9c9f-2d6f0a3b1c5e"
			s.write(p.TagLink("v1")+leftoverOf, "")
			s.write("/docker/registry/v2/"+repo+"_uploads/"+uuid+"/data", "half")
			s.write("/docker/registry/v2/"+repo+"_uploads/cut/startedat", "") // a full disk
			return []string{"leftover " + current + "." + uuid + ".tmp", "leftover " + repo + "_uploads/" + uuid, "leftover " + repo + "_uploads/cut"}
		}, 3},
		{"failed push", func(s *store, m, l digest.Digest) []string {
			s.write(s.reg.Repository("failed").LayerLink(l), string(l))
			return []string{"no-manifest repositories/failed"}
		}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStore(t)
			m, l := s.image("app", "v1", "one")
			wanted := test.spoil(s, m, l)
			for _, o := range []Options{{Data: true}, {Data: true, DryRun: true}} {
				out := s.check(o)
				want(t, "findings", out.found, wanted...)
				if o.DryRun && len(out.fixes) != test.fixes {
					t.Errorf("%d repairs are planned, want %d: %q", len(out.fixes), test.fixes, out.fixes)
				}
			}
			out := s.check(Options{Data: true, Repair: true})
			if int(out.Repairs) != test.fixes || out.Failed != 0 {
				t.Errorf("%d repairs and %d failures, want %d and none: %q", out.Repairs, out.Failed, test.fixes, out.fixes)
			}
			left := s.check(Options{Data: true})
			faults := int64(0)
			for kind, n := range left.Findings {
				if kind.Weight() == Fault {
					faults += n
				}
			}
			if faults != out.Faults {
				t.Errorf("after the repair it said that %d faults are left, there are %d: %q", out.Faults, faults, left.found)
			}
			if test.fixes > 0 && len(left.found) > 0 {
				t.Errorf("after the repair there is %q", left.found)
			}
		})
	}
}

// TestYoung: what may be in the making is no finding.
func TestYoung(t *testing.T) {
	s := newStore(t)
	_, l := s.image("app", "v1", "one")
	s.write(s.reg.Repository("app").TagLink("v1")+".0197f7d2-3c1b-7a54-9c9f-2d6f0a3b1c5e.tmp", "")
	s.write("/docker/registry/v2/repositories/app/_uploads/x/data", "half")
	s.write(layout.RawBlob(digest.FromString("x")), "x")
	s.write(s.reg.Repository("failed").LayerLink(l), string(l))
	want(t, "findings", s.check(Options{MinAge: time.Hour, Repair: true}).found)
}

// TestRestore puts blobs back from what was left of their writing.
func TestRestore(t *testing.T) {
	s := newStore(t)
	_, cut := s.image("app", "v1", "one")
	_, lost := s.image("app", "v2", "two")
	_, other := s.image("app", "v3", "three")
	s.write(layout.RawBlob(cut), "lay")
	s.write(layout.RawBlob(other), "LAYER OF THREE")
	s.remove(layout.RawBlob(lost))
	s.write("/docker/registry/v2/repositories/app/_uploads/a/data", "layer of one")
	s.write("/docker/registry/v2/repositories/app/_uploads/a/startedat", "2024-01-01T00:00:00Z")
	s.write(layout.RawBlob(lost)+".0197f7d2-3c1b-7a54-9c9f-2d6f0a3b1c5e.tmp", "layer of two")
	s.write(layout.RawBlob(other)+".0197f7d2-3c1b-7a54-9c9f-2d6f0a3b1c5e.tmp", "layer of three")

	plan := s.check(Options{Data: true, DryRun: true})
	if got := s.content(layout.RawBlob(cut)); got != "lay" {
		t.Errorf("a dry run has made the layer %q", got)
	}
	done := s.check(Options{Data: true, Repair: true})
	if len(plan.fixes) != 5 || strings.Join(plan.fixes, "\n") != strings.Join(done.fixes, "\n") {
		t.Errorf("planned:\n%s\ndone:\n%s", strings.Join(plan.fixes, "\n"), strings.Join(done.fixes, "\n"))
	}
	if done.Restored != 3 || plan.Restored != 0 {
		t.Errorf("%d blobs were put back, and %d by a dry run, want 3 and none", done.Restored, plan.Restored)
	}
	if done.Faults != 0 || plan.Faults != 4 {
		t.Errorf("%d faults before and %d after, want 4 and none", plan.Faults, done.Faults)
	}
	want(t, "findings after the repair", s.check(Options{Data: true}).found)
	for i, fix := range done.fixes {
		if told := strings.Contains(fix, "flush its cache"); told != (strings.Contains(fix, cut.Encoded()) || i < 3 && strings.Contains(fix, other.Encoded())) {
			t.Errorf("repair %q: the cache is mentioned: %t", fix, told)
		}
	}
}

// TestCost: checking tags on a remote store costs listings and manifests only.
func TestCost(t *testing.T) {
	s := newStore(t)
	const repositories, tags = 5, 300
	for i := range repositories {
		repo := layout.RepositoryName(fmt.Sprintf("team/app%d", i))
		m, _ := s.image(repo, "v0", fmt.Sprint("image ", i))
		for n := range tags {
			s.tag(repo, layout.TagName(fmt.Sprint("v", n)), m)
		}
	}
	counting := drivertest.NewCounting(drivertest.Remote(s.driver))
	out := checkIt(t, layout.New(counting, layout.Options{}), Options{})
	want(t, "findings", out.found)
	if out.Tags != repositories*tags {
		t.Errorf("%d tags, want %d", out.Tags, repositories*tags)
	}
	c := counting.Counts()
	// A manifest each, and a link where a page of the listing ends within a tag.
	// The Stat is for the state of a pull-through cache.
	if c["GetContent"] > 2*repositories+1 || c["Stat"] > 1 || c["Reader"] > 0 {
		t.Errorf("calls: %v, want no more than %d GetContent, one Stat and no Reader", c, 2*repositories+1)
	}
	// Of each repository the directory and two in it; of the blobs three levels, of
	// which the last has at most one listing for each blob; the records.
	if n := c["List"] + c["Walk"]; n > 3*repositories+15+10 {
		t.Errorf("%d listings: %v", n, c)
	}
}

// TestGoOn: each call may fail, and the check goes on or says that it could not run.
func TestGoOn(t *testing.T) {
	s := newStore(t)
	s.image("app", "v1", "one")
	_, l := s.image("other", "v1", "two")
	s.write(layout.RawBlob(l), "cut")
	faulty := drivertest.NewFaulty(drivertest.Remote(s.driver))
	reg := layout.New(faulty, layout.Options{})
	checkIt(t, reg, Options{Data: true, Parallel: 1})
	calls := faulty.Calls()
	broken := errors.New("the network is down")
	for n := 1; n <= calls; n++ {
		faulty.FailAt(n, broken)
		reg := layout.New(faulty, layout.Options{})
		out, err := Run(t.Context(), reg, Options{Data: true, Parallel: 1})
		if err == nil && out.Findings[Unreadable] == 0 && faulty.Calls() >= n {
			t.Errorf("call %d failed, and nothing was said: %+v", n, out)
		}
		if err == nil && out.Findings[Missing]+out.Findings[Dangling]+out.Findings[Unlinked] > 0 {
			t.Errorf("call %d failed, and something was taken for absent: %v", n, out.Findings)
		}
	}
}

// TestGoOnBeside: what lies beside something that cannot be listed is checked.
func TestGoOnBeside(t *testing.T) {
	s := newStore(t)
	old, _ := s.image("app", "v1", "one")
	m, _ := s.image("team/app", "v1", "two")
	p := s.reg.Repository("app")
	s.write(p.TagLink("v1"), "damaged")
	s.write(layout.RawBlob(m), "{}")
	damaged, corrupt := "damaged "+short(p.TagLink("v1")), "corrupt "+short(layout.RawBlob(m))
	for _, test := range []struct {
		path layout.RawPath
		want []string
	}{
		{p.Path() + "/_layers", []string{damaged, corrupt, "unreadable repositories/app"}},
		{"/docker/registry/v2/repositories/team", []string{damaged, corrupt, "unreadable repositories/team", "untagged " + short(p.RevisionLink(old))}},
		{layout.RawRepositories, []string{corrupt, "unreadable repositories"}},
	} {
		broken := unlistable{s.driver, func(path string) bool { return path == string(test.path) }}
		out := checkIt(t, layout.New(broken, layout.Options{}), Options{Data: true})
		want(t, "findings", out.found, test.want...)
	}
}

// TestUnknownName: a repository of a name that is none here was not looked at, so that
// it is not known what is lost.
func TestUnknownName(t *testing.T) {
	s := newStore(t)
	s.image("app", "v1", "one")
	d := digest.FromString("of Example.com")
	s.write(layout.RawBlob(d), "of Example.com")
	s.write(layout.RawPath("/docker/registry/v2/repositories/Example.com/app/_layers/sha256/"+d.Encoded()+"/link"), string(d))
	s.write("/docker/registry/v2/repositories/A.Dir/README", "stray")
	want(t, "findings", s.check(Options{}).found, "unreadable repositories")
}
