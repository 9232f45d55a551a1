package gc

import (
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"registryfs/drivers"
)

// TestKeepHistory keeps the newest that a tag has pointed to, and all where nothing
// tells which those are.
func TestKeepHistory(t *testing.T) {
	build := func() (s scene, first, second, third image) {
		s = newScene(t)
		first = s.push("app", "latest", "first")
		s.later(time.Hour)
		second = s.push("app", "latest", "second")
		s.later(time.Hour)
		return s, first, second, s.push("app", "latest", "third")
	}
	o := Options{Now: true, Untagged: true, KeepHistory: 1}

	s, _, second, third := build()
	s.wantClean(s.run(o))
	s.wantBlobs(second.all(), third.all())
	s.wantPulled("app", second)

	s, first, second, third := build()
	for _, d := range []digest.Digest{first.manifest, second.manifest} {
		path := linkPath("app", "_manifests/tags/latest/index", d)
		if err := drivers.Chtimes(t.Context(), s.d, path, time.Unix(1e9, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if r := s.run(o); len(r.Kept) != 1 {
		t.Errorf("entries of one time: %s", describe(r))
	}
	s.wantBlobs(first.all(), second.all(), third.all())

	o.ByCreated = true // which is the same for all of them
	if r := s.run(o); len(r.Kept) != 1 {
		t.Errorf("images made at one time: %s", describe(r))
	}
	s.wantBlobs(first.all(), second.all(), third.all())

	o.KeepHistory = 2
	s.wantClean(s.run(o))
	s.wantBlobs(first.all(), second.all(), third.all())
}

// TestOrderCreated goes by when the images were made, in whatever order they were
// tagged.
func TestOrderCreated(t *testing.T) {
	s := newScene(t)
	push := func(created string) digest.Digest {
		config := s.layer("app", `{"created":"`+created+`"}`)
		d := s.manifest("app", toJSON(map[string]any{
			"schemaVersion": 2, "mediaType": v1.MediaTypeImageManifest, "layers": []any{},
			"config": v1.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: config},
		}))
		s.tag("app", "latest", d)
		s.later(time.Hour)
		return d
	}
	newest, oldest, middle := push("2024-03-01T00:00:00Z"), push("2024-01-01T00:00:00Z"), push("2024-02-01T00:00:00Z")
	push("2020-01-01T00:00:00Z") // it is tagged now
	s.wantClean(s.run(Options{Now: true, Untagged: true, KeepHistory: 2, ByCreated: true}))
	for d, want := range map[digest.Digest]bool{newest: true, middle: true, oldest: false} {
		if s.has(blobPath(d)) != want {
			t.Errorf("%s is there: %v, want %v", d, !want, want)
		}
	}
}
