package gc

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"registryfs/drivers/base"
	"registryfs/drivers/filesystem"
)

// TestEmptyDirectories: what is empty goes, a repository in which nothing is left as
// well; what a registry may be about to use stays.
func TestEmptyDirectories(t *testing.T) {
	for _, o := range []Options{untagged, {MinAge: day, Untagged: true}} {
		dir := t.TempDir()
		s := scene{t, base.New(filesystem.New(filesystem.Parameters{RootDirectory: dir}))}
		s.push("app", "latest", "kept")
		s.push("app", "", "untagged")
		s.layer("dead/one", "another")
		s.index("dead/one", "")
		s.push("outer/inner", "latest", "kept too")
		s.layer("outer", "alone")
		local := filepath.Join(dir, root)
		mkdir := func(path string) {
			if err := os.MkdirAll(filepath.Join(local, path), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for _, path := range []string{
			"repositories/app/_uploads/0e1f", "repositories/dead/one/_uploads", "repositories/.snapshot/x", "repositories/gone/_manifests/tags",
			"repositories/app/_manifests/tags/untagged/index/sha256", "blobs/sha256/00/" + strings.Repeat("0", 64), "blobs/sha256/notes",
		} {
			mkdir(path)
		}
		later := func() {
			s.later(2 * day)
			old := time.Now().Add(-9 * day)
			for _, path := range directories(t, local) {
				if err := os.Chtimes(filepath.Join(local, path), old, old); err != nil {
					t.Fatal(err)
				}
			}
		}
		runs := 3
		if o.Now {
			runs = 1
		}
		for range runs {
			later()
			mkdir("repositories/app/_uploads/just-begun")
			mkdir("repositories/new/_uploads")
			s.wantClean(s.run(o))
		}
		var empty []string
		for _, path := range directories(t, local) {
			if entries, err := os.ReadDir(filepath.Join(local, path)); err != nil || len(entries) == 0 {
				empty = append(empty, path)
			}
		}
		want := []string{"blobs/sha256/notes", "repositories/.snapshot/x"}
		if o.Now {
			want = append(want, "repositories/app/_uploads")
		} else {
			want = append(want, "repositories/app/_uploads/just-begun", "repositories/new/_uploads")
		}
		if !slices.Equal(empty, want) {
			t.Errorf("now %v: these are empty: %q, want %q", o.Now, empty, want)
		}
		for _, path := range []string{"repositories/dead", "repositories/gone", "repositories/outer/_layers"} {
			if _, err := os.Stat(filepath.Join(local, path)); err == nil {
				t.Errorf("now %v: %s is there", o.Now, path)
			}
		}
	}
}

// directories are all directories below one.
func directories(t *testing.T, top string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != top {
			paths = append(paths, path[len(top)+1:])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}
