package gc

import (
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"registryfs/drivers/drivertest"
)

const day = 24 * time.Hour

var (
	now      = Options{Now: true}
	untagged = Options{Now: true, Untagged: true}
)

// TestNow sweeps what is linked by nothing, or by links that no manifest needs.
func TestNow(t *testing.T) {
	s := newScene(t)
	a, b := s.push("app", "latest", "a"), s.push("app", "", "b")
	s.blob("a blob without a link")
	s.layer("app", "a layer that no manifest names")
	s.layer("failed/push", "another one, and no manifest at all")

	report := s.run(Options{Now: true, DryRun: true})
	if len(s.files("/registryfs")) > 0 {
		t.Errorf("a dry run has left %v", s.files("/registryfs"))
	}
	s.wantClean(report)
	dry := describe(report)

	report = s.run(now)
	s.wantClean(report)
	s.wantBlobs(a.all(), b.all())
	s.wantPulled("app", a)
	s.wantPulled("app", b)
	if got := describe(report); got != dry {
		t.Errorf("a dry run said\n%s, the real one\n%s", dry, got)
	}
	if report.Swept.Files != 3 || report.Swept.Bytes == 0 || report.Links != 2 || report.Repositories != 2 || report.Manifests != 2 {
		t.Errorf("report: %+v", report)
	}
	if len(s.files("/registryfs")) > 0 || len(s.files(root+"/repositories/failed")) > 0 {
		t.Errorf("left: %v, %v", s.files("/registryfs"), s.files(root+"/repositories/failed"))
	}
	if report = s.run(now); report.Swept.Files != 0 {
		t.Errorf("a second run: %s", describe(report))
	}
}

// TestUntagged: what no tag leads to goes, in a repository without tags as well, and
// what a tag leads to stays, over whatever edges.
func TestUntagged(t *testing.T) {
	s := newScene(t)
	kept := s.push("app", "latest", "kept")
	old := s.push("app", "v2", "old")
	moved := s.push("app", "v2", "moved")
	s.push("tagless", "", "alone")
	amd64, arm64 := s.push("multi", "", "amd64"), s.push("multi", "", "arm64")
	index := s.index("multi", "1.0", amd64.manifest, arm64.manifest, digest.FromString("never pushed"))
	signature := s.pushFor("multi", "", "signature", arm64.manifest)
	ofSignature := s.pushFor("multi", "", "attestation", signature.manifest)

	report := s.run(untagged)
	s.wantClean(report)
	s.wantBlobs(kept.all(), moved.all(), amd64.all(), arm64.all(), signature.all(), ofSignature.all(), []digest.Digest{index})
	for _, img := range []image{amd64, arm64, signature, ofSignature} {
		s.wantPulled("multi", img)
	}
	if s.has(linkPath("app", "_manifests/tags/v2/index", old.manifest)) || report.History != 1 {
		t.Errorf("the history of v2 still has what was swept, %d entries removed", report.History)
	}
	if got := s.files(root + "/repositories/tagless/_manifests"); len(got) > 0 {
		t.Errorf("of the repository without tags there is left %v", got)
	}
}

// TestReferrerKeepsNoSubject: a tag on a signature does not keep what was signed.
func TestReferrerKeepsNoSubject(t *testing.T) {
	s := newScene(t)
	subject := s.push("app", "", "subject")
	signature := s.pushFor("app", "signature", "signature", subject.manifest)
	s.run(untagged)
	s.wantBlobs(signature.all())
}

// TestTagsNamedAfterSubjects: they live as long as their subject, or if it was never
// in the repository.
func TestTagsNamedAfterSubjects(t *testing.T) {
	after := func(d digest.Digest, suffix string) string { return "sha256-" + d.Encoded() + suffix }
	for _, suffix := range []string{".sig", ".att"} {
		s := newScene(t)
		live, dead := s.push("app", "latest", "live"), s.push("app", "", "dead")
		forLive := s.push("app", after(live.manifest, suffix), "for the live one")
		forDead := s.push("app", after(dead.manifest, suffix), "for the dead one")
		s.push("app", after(forDead.manifest, suffix), "for what is for the dead one")
		elsewhere := s.push("signatures", after(live.manifest, suffix), "for what is elsewhere")
		gone := s.push("app", "once", "once tagged")
		s.push("app", after(gone.manifest, suffix), "for what was once tagged")
		last := s.push("app", "once", "tagged now")
		if err := s.d.Delete(t.Context(), linkPath("app", "_manifests/revisions", gone.manifest)); err != nil {
			t.Fatal(err)
		}

		report := s.run(untagged)
		s.wantClean(report)
		s.wantBlobs(live.all(), forLive.all(), elsewhere.all(), last.all())
		if report.Tags != 3 {
			t.Errorf("%d tags were removed, want 3", report.Tags)
		}
		for _, d := range []digest.Digest{dead.manifest, forDead.manifest, gone.manifest} {
			if s.has(root + "/repositories/app/_manifests/tags/" + after(d, suffix) + "/current/link") {
				t.Errorf("a tag for %s is still there", d)
			}
		}
	}
}

// TestFallbackTags: the tag of a client without a referrers API is an index of what
// refers to the manifest. Other tags of that form are roots as any.
func TestFallbackTags(t *testing.T) {
	s := newScene(t)
	after := func(d digest.Digest) string { return "sha256-" + d.Encoded() }
	live, dead := s.push("app", "latest", "live"), s.push("app", "", "dead")
	forLive, forDead := s.pushFor("app", "", "for live", live.manifest), s.pushFor("app", "", "for dead", dead.manifest)
	listed := s.index("app", after(live.manifest), forLive.manifest, digest.FromString("never pushed"))
	s.index("app", after(dead.manifest), forDead.manifest)
	itself := s.push("app", "", "tagged by its own digest")
	s.tag("app", after(itself.manifest), itself.manifest)
	other, another := s.push("app", "", "other"), s.push("app", "", "another")
	img := s.push("app", after(other.manifest), "an image")
	part := s.push("app", "", "of an index that lists no referrers")
	index := s.index("app", after(another.manifest), part.manifest)

	report := s.run(untagged)
	s.wantClean(report)
	s.wantBlobs(live.all(), forLive.all(), itself.all(), img.all(), part.all(), []digest.Digest{listed, index})
	if report.Tags != 1 {
		t.Errorf("%d tags were removed, want 1", report.Tags)
	}
}

// TestTagWithoutLink: a tag that has lost its link has said what is in its index.
func TestTagWithoutLink(t *testing.T) {
	s := newScene(t)
	first := s.push("app", "latest", "first")
	second := s.push("app", "latest", "second")
	s.push("app", "", "untagged")
	if err := s.d.Delete(t.Context(), root+"/repositories/app/_manifests/tags/latest/current"); err != nil {
		t.Fatal(err)
	}
	s.wantClean(s.run(untagged))
	s.wantBlobs(first.all(), second.all())
}

// TestSparseElsewhere: an index and its manifest are whole in one repository, and the
// manifest is missing in another one. What is seen of it there must not hide it.
func TestSparseElsewhere(t *testing.T) {
	s := newScene(t)
	child := s.push("b", "", "child")
	index := s.index("a", "latest", child.manifest)
	s.index("b", "latest", child.manifest)
	s.wantClean(s.run(untagged))
	s.wantBlobs(child.all(), []digest.Digest{index})
	s.wantPulled("b", child)
}

// TestBuildCache: BuildKit keeps a cache as an index of layers. They are needed, and
// are no manifests that cannot be read.
func TestBuildCache(t *testing.T) {
	s := newScene(t)
	layer, config := s.layer("cache", "a cached layer"), s.layer("cache", `{"layers":[{"blob":"sha256:","parent":-1}],"records":[]}`)
	child := s.push("cache", "", "said to be a layer")
	index := s.manifest("cache", toJSON(map[string]any{
		"schemaVersion": 2, "mediaType": v1.MediaTypeImageIndex,
		"manifests": []v1.Descriptor{
			{MediaType: v1.MediaTypeImageLayerGzip, Digest: layer}, {MediaType: "application/vnd.buildkit.cacheconfig.v0", Digest: config},
			{MediaType: v1.MediaTypeImageLayerGzip, Digest: child.manifest},
		},
	}))
	s.tag("cache", "main", index)
	s.push("cache", "", "garbage")
	s.wantClean(s.run(untagged))
	s.wantBlobs([]digest.Digest{index, layer, config}, child.all())
	for _, d := range []digest.Digest{layer, config} {
		if !s.has(linkPath("cache", "_layers", d)) {
			t.Errorf("the link of %s is gone", d)
		}
	}
}

// TestUnreadable: a manifest that cannot be read keeps all that its repository links,
// and nothing elsewhere.
func TestUnreadable(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(s scene, d digest.Digest)
	}{
		{"absent", func(s scene, d digest.Digest) { _ = s.d.Delete(s.t.Context(), blobPath(d)) }},
		{"empty", func(s scene, d digest.Digest) { s.put(blobPath(d), "") }},
		{"other content", func(s scene, d digest.Digest) { s.put(blobPath(d), "{}") }},
	} {
		for _, tag := range []string{"latest", ""} {
			t.Run(test.name+" "+tag, func(t *testing.T) {
				s := newScene(t)
				bad := s.push("bad", tag, "bad")
				beside := s.push("bad", "", "untagged beside it")
				lone := s.layer("bad", "a layer beside it")
				s.push("good", "", "untagged")
				test.spoil(s, bad.manifest)

				report := s.run(untagged)
				if len(report.Kept) != 1 || len(report.Held) > 0 {
					t.Errorf("report: %s", describe(report))
				}
				want := slices.Concat(bad.blobs, beside.all(), []digest.Digest{lone})
				if s.has(blobPath(bad.manifest)) {
					want = append(want, bad.manifest)
				}
				s.wantBlobs(want)
				s.wantPulled("bad", beside)
			})
		}
	}
}

// TestUnreadableAndIncomplete: if its links cannot tell either, nothing is swept.
func TestUnreadableAndIncomplete(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(s scene, other image)
	}{
		{"a link is missing", func(s scene, other image) {
			_ = s.d.Delete(s.t.Context(), linkPath("bad", "_layers", other.blobs[1]))
		}},
		{"the link of a child is missing", func(s scene, other image) {
			s.index("bad", "index", other.manifest)
			_ = s.d.Delete(s.t.Context(), linkPath("bad", "_manifests/revisions", other.manifest))
		}},
		{"a link has lost what it said", func(s scene, _ image) {
			s.put(linkPath("bad", "_layers", digest.SHA512.FromString("x")), "")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t)
			bad := s.push("bad", "latest", "bad")
			s.put(blobPath(bad.manifest), "")
			other := s.push("bad", "", "other")
			test.spoil(s, other)
			s.blob("unreferenced")
			before := len(s.files(root))
			report := s.run(untagged)
			if len(report.Held) == 0 || len(s.files(root)) != before {
				t.Errorf("%d files of %d are left; %s", len(s.files(root)), before, describe(report))
			}
		})
	}
}

// TestDamagedLinks: a damaged link stands for what it is named after, and a tag that
// cannot be read for anything.
func TestDamagedLinks(t *testing.T) {
	for _, content := range []string{"", "sha256:", string(digest.FromString("x")) + "\n"} {
		s := newScene(t)
		img := s.push("app", "", "named by its link alone")
		s.put(linkPath("app", "_manifests/revisions", img.manifest), content)
		layer := s.layer("app", "a layer with a damaged link")
		s.put(linkPath("app", "_layers", layer), content)
		tagged := s.push("tags", "latest", "was tagged")
		s.put(root+"/repositories/tags/_manifests/tags/latest/current/link", content)
		report := s.run(untagged)
		s.wantBlobs(img.all(), []digest.Digest{layer}, tagged.all())
		if len(report.Kept) != 1 || len(report.Held) > 0 {
			t.Errorf("report: %s", describe(report))
		}
	}
}

// TestOtherNames: what a link says counts, and what it is named after.
func TestOtherNames(t *testing.T) {
	s := newScene(t)
	named, held := s.blob("named"), s.blob("held")
	s.put(linkPath("app", "_layers", named), string(held))
	alias := digest.SHA512.FromString("a layer")
	layer := s.layer("app", "a layer")
	s.put(linkPath("app", "_layers", alias), string(layer))
	m := s.manifest("app", toJSON(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
		"config": map[string]any{"mediaType": "application/vnd.oci.image.config.v1+json", "digest": alias, "size": 7},
		"layers": []any{},
	}))
	s.tag("app", "latest", m)
	unused := s.layer("app", "an unused layer")
	s.put(linkPath("app", "_layers", digest.SHA512.FromString("an unused layer")), string(unused))

	report := s.run(untagged)
	s.wantClean(report)
	s.wantBlobs([]digest.Digest{named, held, layer, m})
	if report.Links != 2 {
		t.Errorf("%d links were removed, want both of one blob", report.Links)
	}

	// Without its link nobody can tell what the manifest names.
	if err := s.d.Delete(t.Context(), linkPath("app", "_layers", alias)); err != nil {
		t.Fatal(err)
	}
	s.blob("unreferenced")
	if report = s.run(untagged); len(report.Held) == 0 || report.Swept.Files > 0 {
		t.Errorf("without the link: %s", describe(report))
	}
}

// TestOldReleases: what registries before version 3 have left.
func TestOldReleases(t *testing.T) {
	s := newScene(t)
	layer := s.layer("app", "layer")
	schema1 := s.manifest("app", `{"schemaVersion":1,"fsLayers":[{"blobSum":"`+string(layer)+`"}]}`)
	signature, foreign := s.blob("a signature"), s.blob("linked by what is not understood")
	s.put(linkPath("app", "_manifests/revisions/sha256/"+schema1.Encoded()+"/signatures", signature), string(signature))
	s.put(linkPath("app", "_referrers/subjects", foreign), string(foreign))
	s.put(root+"/blobs/md5/d4/d41d8cd98f00b204e9800998ecf8427e/data", "")
	s.put(root+"/blobs/sha256/README", "stray")

	s.wantClean(s.run(now))
	for _, d := range []digest.Digest{layer, schema1, signature, foreign} {
		if !s.has(blobPath(d)) {
			t.Errorf("%s is gone", d)
		}
	}
	s.wantClean(s.run(untagged))
	for _, d := range []digest.Digest{layer, schema1} {
		if s.has(blobPath(d)) {
			t.Errorf("%s is still there", d)
		}
	}
	if !s.has(root+"/blobs/md5/d4/d41d8cd98f00b204e9800998ecf8427e/data") || !s.has(root+"/blobs/sha256/README") || !s.has(blobPath(foreign)) {
		t.Error("what is not understood is gone")
	}
}

// TestNoRepositories: blobs without the directory of repositories are half a store.
func TestNoRepositories(t *testing.T) {
	s := newScene(t)
	d := s.blob("content")
	if report := s.run(now); len(report.Held) == 0 {
		t.Errorf("report: %s", describe(report))
	}
	s.wantBlobs([]digest.Digest{d})
	remote := scene{t, drivertest.Remote(s.d)}
	if report := remote.run(now); len(report.Held) == 0 {
		t.Errorf("in a bucket: %s", describe(report))
	}
	s.wantBlobs([]digest.Digest{d})
	remote.push("app", "latest", "image")
	remote.wantClean(remote.run(now))
	if s.has(blobPath(d)) {
		t.Error("in a bucket with a repository nothing is swept")
	}
}

// TestOddNames: a repository of a name that is not known here needs blobs too. A
// directory that is none does not matter.
func TestOddNames(t *testing.T) {
	s := newScene(t)
	s.push("app", "latest", "image")
	s.put(root+"/repositories/.snapshot/README", "stray")
	s.blob("unreferenced")
	if r := s.run(now); r.Swept.Files != 1 || len(r.Held) > 0 {
		t.Errorf("with a stray directory: %s", describe(r))
	}
	for _, repo := range []string{"Example.com/app", "app/Nested"} {
		odd := s.push(repo, "latest", "odd")
		if r := s.run(now); len(r.Held) != 1 || r.Swept.Files != 0 {
			t.Errorf("with %s: %s", repo, describe(r))
		}
		s.wantPulled(repo, odd)
		if err := s.d.Delete(t.Context(), root+"/repositories/"+repo); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPullThroughCache(t *testing.T) {
	s := newScene(t)
	s.put("/scheduler-state.json", "{}")
	if _, err := Run(t.Context(), s.registry(), now); err != ErrCache {
		t.Errorf("Run on a pull-through cache = %v, want %v", err, ErrCache)
	}
}

// TestSpilled is a run with next to no memory.
func TestSpilled(t *testing.T) {
	s := newScene(t)
	var kept [][]digest.Digest
	for i := range 40 {
		name := string(rune('a'+i%26)) + string(rune('a'+i/26))
		kept = append(kept, s.push("kept/"+name, "latest", name).all())
		s.push("kept/"+name, "", "untagged "+name)
	}
	s.wantClean(s.run(Options{Now: true, Untagged: true, Memory: 1, TempDir: t.TempDir()}))
	s.wantBlobs(kept...)
}
