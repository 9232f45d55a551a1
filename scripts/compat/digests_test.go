package compat

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"registryfs/scripts/compat/internal/registry"
)

// TestDigests compares what the mount shows with what the registry says, for
// stores of both registries.
func TestDigests(t *testing.T) { onEach(t, testDigests) }

func testDigests(t *testing.T, k kind) {
	for _, version := range []release{v3, v2} {
		t.Run(version.name, func(t *testing.T) {
			s := standardStorage(t, k, version)
			r := serve(t, version, s)
			mnt := mount(t, s, "-o", "ro")
			checkDigests(t, r, mnt)
			checkNames(t, mnt)
		})
	}
}

// checkDigests holds every tag of a mount against the registry's.
func checkDigests(t testing.TB, r *registry.Registry, mnt string) {
	t.Helper()
	served := tags(t, r)
	names := slices.Sorted(maps.Keys(served))
	if shown := tagsOfMount(t, mnt); !slices.Equal(shown, names) {
		t.Errorf("tags of the mount = %q, the registry has %q", shown, names)
	}
	var files []string
	for _, tag := range names {
		files = append(files, tagFile(mnt, tag))
	}
	for i, digest := range sha256sum(t, files...) {
		if want := served[names[i]].String(); digest != want {
			t.Errorf("sha256sum of %s = %s, the registry has %s", names[i], digest, want)
		}
		name, tag, _ := strings.Cut(names[i], ":")
		link := filepath.Join(mnt, "info", name, "_digests", tag)
		if data, err := os.ReadFile(link); err != nil || !strings.Contains(run(t, "readlink", link), served[names[i]].Hex) {
			t.Errorf("%s does not lead to %s (%d bytes, %v)", link, served[names[i]], len(data), err)
		}
	}
}

// tagsOfMount lists the tags of all repositories with find, as
// "repository:tag", sorted.
func tagsOfMount(t testing.TB, mnt string) []string {
	t.Helper()
	var names []string
	root := filepath.Join(mnt, "repositories")
	for path := range strings.Lines(run(t, "find", root, "-path", "*/_tags/*", "-type", "f")) {
		rel := strings.TrimPrefix(strings.TrimSpace(path), root+"/")
		names = append(names, strings.Replace(rel, "/_tags/", ":", 1))
	}
	slices.Sort(names)
	return names
}

// checkNames compares the content of every digest-named file with its name,
// and what a repository holds with the whole store.
func checkNames(t testing.TB, mnt string) {
	t.Helper()
	blobs := map[string]bool{}
	for _, dir := range []string{"blobs", "repositories"} {
		files := strings.Fields(run(t, "find", filepath.Join(mnt, dir), "-path", "*/sha256/*", "-type", "f"))
		if len(files) == 0 {
			t.Fatalf("there is no digest in %s", dir)
		}
		for i, digest := range sha256sum(t, files...) {
			hex := filepath.Base(files[i])
			if digest != "sha256:"+hex {
				t.Errorf("sha256sum of %s = %s", files[i], digest)
			}
			if dir == "blobs" {
				blobs[hex] = true
			} else if !blobs[hex] {
				t.Errorf("%s is not in blobs/", files[i])
			}
		}
	}
}
