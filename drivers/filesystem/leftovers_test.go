package filesystem

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"testing"

	"registryfs/drivers"
	"registryfs/drivers/base"
)

func TestLeftovers(t *testing.T) {
	root := t.TempDir()
	d := base.New(New(Parameters{RootDirectory: root}))
	if err := d.PutContent(t.Context(), "/a/b/link", []byte("whole")); err != nil {
		t.Fatal(err)
	}
	w, err := d.Writer(t.Context(), "/a/data", false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	const tmp = "/a/b/link.0197f7d2-3c1b-7a54-9c9f-2d6f0a3b1c5e.tmp"
	if err := os.WriteFile(root+tmp, []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}

	l := drivers.LeftoversOf(d)
	want := []string{"/a/.data.registryfs-partial", tmp}
	all := func(from string) (paths []string) {
		for info, err := range l.All(t.Context(), from) {
			if err != nil {
				t.Fatal(err)
			}
			if info.Size() != 4 || info.ModTime().IsZero() {
				t.Errorf("%s has %d bytes and the time %s, want 4 and when it was made", info.Path(), info.Size(), info.ModTime())
			}
			paths = append(paths, info.Path())
		}
		slices.Sort(paths)
		return paths
	}
	if got := all("/a"); !slices.Equal(got, want) {
		t.Errorf("leftovers: %q, want %q", got, want)
	}
	if got := all("/none"); len(got) > 0 {
		t.Errorf("leftovers of nothing: %q", got)
	}
	r, err := l.Open(t.Context(), tmp)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if content, err := io.ReadAll(r); string(content) != "half" || err != nil {
		t.Errorf("content of a leftover: %q, %v", content, err)
	}
	for _, path := range want {
		if err := l.Remove(t.Context(), path); err != nil {
			t.Errorf("Remove(%s): %v", path, err)
		}
	}
	if got := all("/a"); len(got) > 0 {
		t.Errorf("leftovers after they were removed: %q", got)
	}
	if err := l.Remove(t.Context(), "/a/b/link"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Remove of what is no leftover: %v, want %v", err, fs.ErrNotExist)
	}
	if _, err := d.Stat(t.Context(), "/a/b/link"); err != nil {
		t.Error(err)
	}
}

// TestRemoveDir: only what is empty goes, and no symbolic link to such a thing.
func TestRemoveDir(t *testing.T) {
	root := t.TempDir()
	d := base.New(New(Parameters{RootDirectory: root}))
	for _, dir := range []string{"/empty", "/outer/inner", "/hidden"} {
		if err := os.MkdirAll(root+dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(root+"/hidden/.data.registryfs-partial", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("outer/inner", root+"/link"); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		path string
		want bool
	}{
		{"/empty", true}, {"/empty", false}, {"/outer", false}, {"/hidden", false}, {"/link", false}, {"/hidden/.data.registryfs-partial", false},
		{"/outer/inner", true}, {"/outer", true},
	} {
		if got, err := drivers.LeftoversOf(d).RemoveDir(t.Context(), test.path); got != test.want || err != nil {
			t.Errorf("RemoveDir(%q) = %v, %v, want %v", test.path, got, err, test.want)
		}
	}
}
