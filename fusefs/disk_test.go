package fusefs

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// What a registry finds in the store, spelled out: by these paths, and by
// nothing that layout says, tests see what has come of a write.
const v2 = "docker/registry/v2"

func blobFile(d digest.Digest) string {
	return filepath.Join(v2, "blobs", "sha256", d.Encoded()[:2], d.Encoded(), "data")
}

func repoDir(repo string) string { return filepath.Join(v2, "repositories", repo) }

func tagLink(repo, tag string) string {
	return filepath.Join(repoDir(repo), "_manifests/tags", tag, "current/link")
}

func tagIndexLink(repo, tag string, d digest.Digest) string {
	return filepath.Join(repoDir(repo), "_manifests/tags", tag, "index/sha256", d.Encoded(), "link")
}

func revisionLink(repo string, d digest.Digest) string {
	return filepath.Join(repoDir(repo), "_manifests/revisions/sha256", d.Encoded(), "link")
}

func layerLink(repo string, d digest.Digest) string {
	return filepath.Join(repoDir(repo), "_layers/sha256", d.Encoded(), "link")
}

// stored reads a file of the store; it is nil if there is none.
func (m *mount) stored(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(m.store, path))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return content
}

// wantTag checks that the store has the tag, pointing to the image, whole, as
// a registry needs it.
func (m *mount) wantTag(t testing.TB, repo, tag string, i image) {
	t.Helper()
	m.wantLink(t, tagLink(repo, tag), i.digest())
	m.wantLink(t, tagIndexLink(repo, tag, i.digest()), i.digest())
	m.wantImage(t, repo, i)
}

// wantImage checks that the repository has the image, whole.
func (m *mount) wantImage(t testing.TB, repo string, i image) {
	t.Helper()
	m.wantLink(t, revisionLink(repo, i.digest()), i.digest())
	m.wantBlob(t, i.manifest)
	for _, b := range i.blobs {
		m.wantLink(t, layerLink(repo, digest.FromBytes(b)), digest.FromBytes(b))
		m.wantBlob(t, b)
	}
	for _, c := range i.children {
		m.wantImage(t, repo, c)
	}
}

// wantLink checks a link: one digest and no newline.
func (m *mount) wantLink(t testing.TB, path string, d digest.Digest) {
	t.Helper()
	if got := m.stored(t, path); string(got) != string(d) {
		t.Errorf("store: %s = %q, want %q", path, got, d)
	}
}

func (m *mount) wantBlob(t testing.TB, content []byte) {
	t.Helper()
	d := digest.FromBytes(content)
	if got := m.stored(t, blobFile(d)); !bytes.Equal(got, content) {
		t.Errorf("store: blob %s has %d bytes with digest %s, want %d", d, len(got), digest.FromBytes(got), len(content))
	}
}

// wantNoTag checks that the store has no such tag.
func (m *mount) wantNoTag(t testing.TB, repo, tag string) {
	t.Helper()
	if got := m.stored(t, tagLink(repo, tag)); got != nil {
		t.Errorf("store: tag %s:%s = %q, want none", repo, tag, got)
	}
}

// tree is every file and directory below dir, with what is in it.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if path == dir && errors.Is(err, fs.ErrNotExist) {
			return nil // as good as empty
		}
		if err != nil {
			return err
		}
		rel := strings.TrimPrefix(strings.TrimPrefix(path, dir), "/")
		if e.IsDir() {
			all[rel+"/"] = "directory"
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		all[rel] = fmt.Sprintf("%d bytes %x of %s", len(content), sha256.Sum256(content), info.ModTime())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// files is tree without the directories and the times.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := tree(t, dir)
	for path, what := range all {
		if strings.HasSuffix(path, "/") {
			delete(all, path)
			continue
		}
		all[path], _, _ = strings.Cut(what, " of ")
	}
	return all
}

// sameTree checks that nothing has changed between two trees.
func sameTree(t testing.TB, before, after map[string]string) {
	t.Helper()
	if onS3 { // which has no directories
		before, after = onlyFiles(before), onlyFiles(after)
	}
	for _, path := range slices.Sorted(maps.Keys(before)) {
		if before[path] != after[path] {
			t.Errorf("%s was %s, is %q", path, before[path], after[path])
		}
	}
	for _, path := range slices.Sorted(maps.Keys(after)) {
		if before[path] == "" {
			t.Errorf("%s is new: %s", path, after[path])
		}
	}
}

// unchanged returns a check that the store is as it is now.
func (m *mount) unchanged(t testing.TB) func() {
	t.Helper()
	before := tree(t, m.store)
	return func() {
		t.Helper()
		sameTree(t, before, tree(t, m.store))
	}
}
