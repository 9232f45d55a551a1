package compat

import (
	"os"
	"path/filepath"
	"testing"
)

// TestMount8 mounts by mount(8), by type and by a line of fstab, over what a
// killed process has left behind.
func TestMount8(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may install a mount helper")
	}
	needFUSE(t)
	const helper = "/sbin/mount.registryfs"
	if err := os.Symlink(program(t, registryfs), helper); err != nil {
		t.Fatal(err) // somebody has it installed: it is not ours to remove
	}
	t.Cleanup(func() { os.Remove(helper) })
	s := standardStorage(t, onDisk, v3)
	dir := t.TempDir()
	t.Cleanup(func() { unmount(t, dir) })
	see := func() {
		t.Helper()
		if _, err := os.Stat(filepath.Join(dir, "repositories")); err != nil || !mounted(t, dir) {
			t.Errorf("mount(8) succeeded, but nothing is mounted: %v", err)
		}
	}

	mountToKill(t, dir, s)()
	run(t, "mount", "-t", "registryfs", "-o", "ro", s.source(), dir)
	see()
	run(t, "umount", dir)

	fstab := filepath.Join(t.TempDir(), "fstab")
	line := s.source() + " " + dir + " registryfs ro,allow_other,nofail,_netdev,x-systemd.automount 0 0\n"
	if err := os.WriteFile(fstab, []byte(line), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "mount", "--fstab", fstab, dir)
	see()
	if err := os.WriteFile(filepath.Join(dir, "raw", "x"), nil, 0o644); err == nil {
		t.Error("the option ro of fstab was lost")
	}
}
