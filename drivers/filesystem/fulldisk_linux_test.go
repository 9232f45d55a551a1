package filesystem

import (
	"errors"
	"syscall"
	"testing"

	"registryfs/drivers"
)

// TestFullDisk writes more than a small tmpfs can hold.
func TestFullDisk(t *testing.T) {
	root := t.TempDir()
	if err := syscall.Mount("tmpfs", root, "tmpfs", 0, "size=256k"); err != nil {
		missing(t, "a full disk needs to mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(root, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	d := New(Parameters{RootDirectory: root})
	if err := d.PutContent(t.Context(), "/file", []byte("old")); err != nil {
		t.Fatal(err)
	}
	tooMuch := make([]byte, 1<<20)
	for name, do := range map[string]func() error{
		"PutContent": func() error { return d.PutContent(t.Context(), "/file", tooMuch) },
		"PutContents": func() error {
			return drivers.PutContents(t.Context(), d, []drivers.Content{{Path: "/small"}, {Path: "/file", Bytes: tooMuch}})
		},
		"PutContentIfAbsent": func() error { return drivers.PutContentIfAbsent(t.Context(), d, "/new", tooMuch) },
		"Writer":             func() error { return commit(t, d, "/file", tooMuch) },
	} {
		if err := do(); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s on a full disk = %v, want ENOSPC", name, err)
		}
		wantOnDisk(t, root, "/file")
	}
	if got, err := d.GetContent(t.Context(), "/file"); err != nil || string(got) != "old" {
		t.Errorf("GetContent = %q, %v, want the old content", got, err)
	}
	space, err := drivers.StatFS(t.Context(), d)
	if err != nil || uint64(space.BlockSize)*space.Blocks != 256<<10 {
		t.Errorf("StatFS = %+v, %v, want 256 KiB", space, err)
	}
}
