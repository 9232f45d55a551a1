package compat

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"registryfs/scripts/compat/internal/images"
	"registryfs/scripts/compat/internal/registry"
	"registryfs/scripts/compat/internal/store"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// registryCollect runs the registry's own garbage collection on a directory.
func registryCollect(t testing.TB, dir string, options ...string) result {
	t.Helper()
	config := filepath.Join(t.TempDir(), "config.yml")
	text := fmt.Sprintf("version: 0.1\nstorage:\n  filesystem: {rootdirectory: %q}\n", dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return try(t, program(t, registryV3), append(append([]string{"garbage-collect"}, options...), config)...)
}

// TestGCCorrupt: the registry's own collection gives up on a store with broken
// content in it; gc goes on, and what is sound stays whole.
func TestGCCorrupt(t *testing.T) {
	t.Parallel()
	s := standardStorage(t, onDisk, v3)
	want := tags(t, serve(t, v3, s))
	if _, err := store.New(s.dir).Corrupt(); err != nil {
		t.Fatal(err)
	}
	if err := store.New(s.dir).Push("garbage", "1", newImage(t, "garbage")); err != nil {
		t.Fatal(err)
	}
	run(t, "rm", "-r", filepath.Join(s.dir, "docker/registry/v2/repositories/garbage/_manifests"))
	theirs := t.TempDir()
	run(t, "cp", "-a", s.dir+"/.", theirs)
	if r := registryCollect(t, theirs); r.code == 0 {
		t.Errorf("registry garbage-collect succeeds: this test is not needed\n%s", r.stdout)
	}

	report := runGC(t, s.dir, "--now")
	if len(report.Kept) == 0 {
		t.Error("gc does not say that broken manifests made it keep more")
	}
	if report.Swept.Files < 3 || len(report.Problems) > 0 {
		t.Errorf("gc swept %d blobs, want the garbage; problems %q", report.Swept.Files, report.Problems)
	}
	r := serve(t, v3, s)
	for _, name := range []string{"empty-link", "absent-link", "large", "sparse", "schema1", "not-json", "empty-manifest", "strays"} {
		tag := "broken/" + name + ":good"
		want[tag] = digests(t, r, []string{tag})[tag]
	}
	checkPulled(t, r, want)
}

// TestGCUntagged: what a registry's own collection of untagged manifests loses, and
// gc keeps.
func TestGCUntagged(t *testing.T) {
	t.Parallel()
	child, tagged := newImage(t, "child"), newImage(t, "tagged")
	index, err := images.Index(child)
	if err != nil {
		t.Fatal(err)
	}
	artifact, err := images.Artifact(tagged, images.NewBlob("text/plain", []byte("a referrer\n")))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, repository string
		lost             *images.Content
		write            func(s *store.Store, dir string) error
	}{
		{"child that another repository lacks", "b", child, func(s *store.Store, dir string) error {
			for _, repository := range []string{"a", "b"} {
				if err := s.Push(repository, "1", index); err != nil {
					return err
				}
			}
			return os.RemoveAll(filepath.Join(dir, "docker/registry/v2/repositories/a/_manifests/revisions/sha256", child.Digest().Hex))
		}},
		{"referrer", "app", artifact, func(s *store.Store, _ string) error {
			if err := s.Push("app", "1", tagged); err != nil {
				return err
			}
			return s.Push("app", "", artifact)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ours, theirs := t.TempDir(), t.TempDir()
			for _, dir := range []string{ours, theirs} {
				if err := c.write(store.New(dir), dir); err != nil {
					t.Fatal(err)
				}
			}
			if r := registryCollect(t, theirs, "--delete-untagged"); r.code != 0 {
				t.Fatalf("registry garbage-collect: exit status %d\n%s", r.code, r.stderr)
			}
			if err := pullOf(serve(t, v3, storage{dir: theirs}), c.repository, c.lost.Digest()); err == nil {
				t.Error("registry garbage-collect keeps it: this test is not needed")
			}
			if report := runGC(t, ours, "--now", "--untagged"); len(report.Problems) > 0 {
				t.Errorf("gc: %s", strings.Join(report.Problems, "\n"))
			}
			if err := pullOf(serve(t, v3, storage{dir: ours}), c.repository, c.lost.Digest()); err != nil {
				t.Errorf("after gc: %v", err)
			}
		})
	}
}

// TestGCWithoutTags: in a repository without tags the registry's own collection
// leaves the links of manifests whose blobs it deletes; gc removes both.
func TestGCWithoutTags(t *testing.T) {
	t.Parallel()
	c := newImage(t, "untagged")
	ours, theirs := t.TempDir(), t.TempDir()
	for _, dir := range []string{ours, theirs} {
		if err := store.New(dir).Push("app", "", c); err != nil {
			t.Fatal(err)
		}
	}
	linked := func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, "docker/registry/v2/repositories/app/_manifests/revisions/sha256", c.Digest().Hex, "link"))
		return err == nil
	}
	if r := registryCollect(t, theirs, "--delete-untagged"); r.code != 0 || !linked(theirs) {
		t.Errorf("registry garbage-collect: exit status %d; if it removes the link, this test is not needed\n%s", r.code, r.stderr)
	}
	if err := pullOf(serve(t, v3, storage{dir: theirs}), "app", c.Digest()); err == nil {
		t.Error("registry garbage-collect keeps the manifest: this test is not needed")
	}
	if report := runGC(t, ours, "--now"); report.Swept.Files > 0 || !linked(ours) {
		t.Errorf("gc has swept what was not to be: %+v", report)
	}
	if report := runGC(t, ours, "--now", "--untagged"); report.Swept.Files != 3 || len(report.Problems) > 0 || linked(ours) {
		t.Errorf("gc --untagged: %+v, link left: %v", report, linked(ours))
	}
}

func pullOf(r *registry.Registry, repository string, d v1.Hash) error {
	ref, err := name.NewDigest(r.Host + "/" + repository + "@" + d.String())
	if err != nil {
		return err
	}
	return puller{host: r.Host, seen: map[string]bool{}}.manifest(ref)
}
