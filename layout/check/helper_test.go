package check

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"registryfs/drivers"
	"registryfs/drivers/inmemory"
	"registryfs/layout"
)

// store is a store with the means to break it.
type store struct {
	t      *testing.T
	driver drivers.StorageDriver
	reg    *layout.Registry
	kept   map[digest.Digest]string // to be put back by restore
}

func newStore(t *testing.T) *store {
	d := inmemory.New()
	return &store{t: t, driver: d, reg: layout.New(d, layout.Options{SpoolDir: t.TempDir(), IndexChildren: layout.IndexChildren{Mode: layout.ChildrenNone}})}
}

func (s *store) write(p layout.RawPath, content string) {
	s.t.Helper()
	if err := s.driver.PutContent(s.t.Context(), string(p), []byte(content)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *store) remove(p layout.RawPath) {
	s.t.Helper()
	if err := s.driver.Delete(s.t.Context(), string(p)); err != nil {
		s.t.Fatal(err)
	}
}

// restore makes a blob what it was.
func (s *store) restore(d digest.Digest) { s.write(layout.RawBlob(d), s.kept[d]) }

// content is what the file holds, or "absent".
func (s *store) content(p layout.RawPath) string {
	s.t.Helper()
	content, err := s.driver.GetContent(s.t.Context(), string(p))
	if errors.Is(err, fs.ErrNotExist) {
		return "absent"
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return string(content)
}

// blob puts a blob and its layer link.
func (s *store) blob(repo layout.RepositoryName, content string) v1.Descriptor {
	s.t.Helper()
	d := digest.FromString(content)
	s.write(layout.RawBlob(d), content)
	s.write(s.reg.Repository(repo).LayerLink(d), string(d))
	return v1.Descriptor{MediaType: v1.MediaTypeImageLayerGzip, Digest: d, Size: int64(len(content))}
}

// manifest puts a manifest, its link and, unless it is "", the tag.
func (s *store) manifest(repo layout.RepositoryName, tag layout.TagName, content string) digest.Digest {
	s.t.Helper()
	d := digest.FromString(content)
	p := s.reg.Repository(repo)
	s.write(layout.RawBlob(d), content)
	s.write(p.RevisionLink(d), string(d))
	if tag != "" {
		s.tag(repo, tag, d)
	}
	return d
}

func (s *store) tag(repo layout.RepositoryName, tag layout.TagName, d digest.Digest) {
	s.t.Helper()
	p := s.reg.Repository(repo)
	s.write(indexLink(p, tag, d), string(d))
	s.write(p.TagLink(tag), string(d))
}

func indexLink(p layout.Repository, tag layout.TagName, d digest.Digest) layout.RawPath {
	return layout.RawPath(strings.TrimSuffix(string(p.TagLink(tag)), "current/link") + "index/sha256/" + d.Encoded() + "/link")
}

// image puts an image with a config and a layer of its own.
func (s *store) image(repo layout.RepositoryName, tag layout.TagName, name string) (manifest, layer digest.Digest) {
	s.t.Helper()
	config := s.blob(repo, fmt.Sprintf(`{"name":%q}`, name))
	config.MediaType = v1.MediaTypeImageConfig
	l := s.blob(repo, "layer of "+name)
	m := v1.Manifest{MediaType: v1.MediaTypeImageManifest, Config: config, Layers: []v1.Descriptor{l}}
	m.SchemaVersion = 2
	return s.manifest(repo, tag, asJSON(s.t, m)), l.Digest
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	content, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// index puts an index of manifests.
func (s *store) index(repo layout.RepositoryName, tag layout.TagName, children ...digest.Digest) digest.Digest {
	s.t.Helper()
	m := v1.Index{MediaType: v1.MediaTypeImageIndex}
	m.SchemaVersion = 2
	for _, d := range children {
		m.Manifests = append(m.Manifests, v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: d, Size: 1})
	}
	return s.manifest(repo, tag, asJSON(s.t, m))
}

// outcome is what a check has told.
type outcome struct {
	Summary
	found   []string // "kind path"
	details []string
	fixes   []string
}

// check runs a check that must come to its end.
func (s *store) check(o Options) outcome {
	s.t.Helper()
	return checkIt(s.t, s.reg, o)
}

func checkIt(t *testing.T, reg *layout.Registry, o Options) outcome {
	t.Helper()
	var out outcome
	var mu sync.Mutex
	busy := func() func() {
		if !mu.TryLock() {
			t.Error("Found or Repaired was called in parallel")
		}
		return mu.Unlock
	}
	o.Found = func(f Finding) {
		defer busy()()
		out.found = append(out.found, string(f.Kind)+" "+short(f.Path))
		out.details = append(out.details, f.Detail)
	}
	o.Repaired = func(f Fix, err error) {
		defer busy()()
		text := f.String()
		if err != nil {
			text += ": " + err.Error()
		}
		out.fixes = append(out.fixes, strings.ReplaceAll(text, "/docker/registry/v2/", ""))
	}
	var err error
	if out.Summary, err = Run(t.Context(), reg, o); err != nil {
		t.Fatalf("Run: %v", err)
	}
	slices.Sort(out.found)
	return out
}

// short is a path below the registry's root.
func short(p layout.RawPath) string { return strings.TrimPrefix(string(p), "/docker/registry/v2/") }

func want(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
