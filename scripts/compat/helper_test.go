package compat

import (
	"os"
	"path/filepath"
	"strings"
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
	write := func(options string) {
		t.Helper()
		line := s.source() + " " + dir + " registryfs " + options + " 0 0\n"
		if err := os.WriteFile(fstab, []byte(line), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("defaults,frobnicate=me")
	if r := try(t, "mount", "--fstab", fstab, dir); r.code == 0 || !strings.Contains(r.stderr, `there is no option "frobnicate=me"`) {
		t.Errorf("mount with an unknown word in fstab: exit status %d, %s", r.code, r.stderr)
	}
	write("defaults,ro,allow_other,noauto,nofail,_netdev,user,exec,suid,dev,noatime,comment=x,x-systemd.automount,x-systemd.idle-timeout=60,X-a,uid=5,tag-ttl=2s")
	run(t, "mount", "--fstab", fstab, dir)
	see()
	if got := run(t, "stat", "-c", "%u", filepath.Join(dir, "raw")); got != "5\n" {
		t.Errorf("the option uid=5 of fstab was lost: %s", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "raw", "x"), nil, 0o644); err == nil {
		t.Error("the option ro of fstab was lost")
	}

	// At each boot, and whenever somebody wants what is missing.
	run(t, "umount", dir)
	write("ro,nofail")
	for range 2 {
		run(t, "mount", "--fstab", fstab, "-a")
		see()
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || strings.Count(string(mounts), " "+dir+" ") != 1 {
		t.Errorf("mount -a twice mounts %d times, %v", strings.Count(string(mounts), " "+dir+" "), err)
	}
}
