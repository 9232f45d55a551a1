package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// needOpenDevice wants a /dev/fuse of its own in a mount namespace of its own:
// that of the machine may be root's only.
func needOpenDevice(t *testing.T) {
	t.Helper()
	needTool(t, "unshare", "mount", "mknod")
}

// openTo lets everybody into the scene.
func openTo(t *testing.T, s scene) {
	t.Helper()
	for dir := s.dir; strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{s.dir, s.store, s.mnt} {
		if err := os.Chown(dir, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
}

const nobody = 65534

// inNamespace runs a script as root in a mount namespace of its own, in which
// "user COMMAND..." runs something as nobody, who may open /dev/fuse there.
func inNamespace(t *testing.T, s scene, script string) result {
	t.Helper()
	setup := `set -eu
user() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
mount -t tmpfs -o dev none "$SCENE/dev"
mknod -m 666 "$SCENE/dev/fuse" c 10 229
mount --bind "$SCENE/dev/fuse" /dev/fuse
`
	mkdir(t, s.dir, "dev")
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", setup+script)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "SCENE=" + s.dir, "STORE=" + s.store, "MNT=" + s.mnt,
		"BINARY=" + binary}
	return finish(t, cmd)
}

func TestOrdinaryUser(t *testing.T) {
	needRoot(t)
	needFUSE(t)
	needOpenDevice(t)
	needTool(t, "fusermount3", "setpriv")
	s := newScene(t)
	openTo(t, s)
	got := inNamespace(t, s, `
user "$BINARY" mount "$STORE" "$MNT"
user ls "$MNT"
user stat -c 'owner %u:%g' "$MNT/raw"
ls "$MNT" >/dev/null 2>&1 && echo 'root is in' || echo 'root is kept out'
user "$BINARY" mount "$STORE" "$MNT" || echo "twice: $?"
user sh -c 'cd "$MNT/repositories"; "$BINARY" umount "$MNT"; echo "busy: $?"'
user "$BINARY" umount "$MNT"
user "$BINARY" mount "$STORE" "$MNT"
"$BINARY" umount "$MNT"
user "$BINARY" mount "$STORE" /usr || echo "not writable: $?"
setpriv --reuid=65534 --regid=65534 --clear-groups "$BINARY" mount -f "$STORE" "$MNT" 2>/dev/null &
until user test -d "$MNT/repositories"; do sleep 0.05; done
kill -9 $!
wait $! || echo "killed: $?"
user "$BINARY" mount "$STORE" "$MNT"
user "$BINARY" umount "$MNT"
"$BINARY" mount "$STORE" "$MNT"
user "$BINARY" umount "$MNT" || echo "not mine: $?"
"$BINARY" umount "$MNT"
`)
	for _, want := range []string{"not mine: 1", "repositories", "owner 65534:65534", "root is kept out", "twice: 1", "busy: 1", "not writable: 1", "killed: 137"} {
		if got.status != 0 || !strings.Contains(got.stdout, want) {
			t.Errorf("as an ordinary user: %v, want %q", got, want)
		}
	}
	for _, want := range []string{"unmount it first", "working directory", "ordinary users can only mount where they may write", "cleared the mount",
		"only root and the user who mounted it may do that"} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("as an ordinary user: %v, want %q", got, want)
		}
	}
}

func TestOrdinaryUserAllowOther(t *testing.T) {
	needRoot(t)
	needFUSE(t)
	needOpenDevice(t)
	needTool(t, "fusermount3", "setpriv")
	s := newScene(t)
	openTo(t, s)
	got := inNamespace(t, s, `
echo mount_max=1000 >"$SCENE/dev/conf"
mount --bind "$SCENE/dev/conf" /etc/fuse.conf
user "$BINARY" mount "$STORE" "$MNT" -o allow_other || echo "refused: $?"
echo user_allow_other >>"$SCENE/dev/conf"
user "$BINARY" mount "$STORE" "$MNT" -o allow_other
ls "$MNT"
user "$BINARY" umount "$MNT"
`)
	if got.status != 0 || !strings.Contains(got.stdout, "refused: 1") || !strings.Contains(got.stdout, "repositories") ||
		!strings.Contains(got.stderr, "add a line user_allow_other") {
		t.Errorf("allow_other as an ordinary user: %v, want it refused and then allowed", got)
	}
}

func TestMachineLacks(t *testing.T) {
	needRoot(t)
	needFUSE(t)
	needOpenDevice(t)
	needTool(t, "setpriv")
	s := newScene(t)
	openTo(t, s)
	got := inNamespace(t, s, `
chmod 600 /dev/fuse
user "$BINARY" mount "$STORE" "$MNT" || echo "user: $?"
chmod 666 /dev/fuse
user env PATH=/no/such "$BINARY" mount "$STORE" "$MNT" || echo "without: $?"
rm "$SCENE/dev/fuse"; umount /dev/fuse
mount -t tmpfs -o dev none /dev
mknod -m 666 /dev/null c 1 3
user "$BINARY" mount "$STORE" "$MNT" || echo "no device: $?"
`)
	for _, want := range []string{"user: 1", "without: 1", "no device: 1"} {
		if got.status != 0 || !strings.Contains(got.stdout, want) {
			t.Errorf("on a machine that lacks something: %v, want %q", got, want)
		}
	}
	for _, want := range []string{
		"you may not open /dev/fuse: let root do chmod 666 /dev/fuse",
		"install the package fuse3",
		"/dev/fuse is missing: load the kernel's module with modprobe fuse",
	} {
		if !strings.Contains(got.stderr, want) {
			t.Errorf("on a machine that lacks something: %v, want %q", got, want)
		}
	}
}

func TestMountHelper(t *testing.T) {
	needFUSE(t)
	s := newScene(t)
	for _, name := range []string{"mount.registryfs", "mount.fuse.registryfs"} {
		t.Run(name, func(t *testing.T) {
			helper := filepath.Join(tempDir(t), name)
			if err := os.Symlink(binary, helper); err != nil {
				t.Fatal(err)
			}
			got := finish(t, exec.Command(helper, s.store, s.mnt, "-f", "-o", "rw"))
			if got != (result{}) {
				t.Errorf("fake mount: %v, want nothing done", got)
			}
			s.unmounted(t)

			got = finish(t, exec.Command(helper, s.store, s.mnt, "-n", "-o", "rw,noauto,nofail,_netdev,uid=5,frobnicate=me"))
			if got.status != 1 || !strings.Contains(got.stderr, name+": ") || !strings.Contains(got.stderr, `"frobnicate=me"`) {
				t.Errorf("mount with an unknown word: %v, want status 1", got)
			}
			got = finish(t, exec.Command(helper, s.store, s.mnt+"/absent", "-o", "rw"))
			if got.status != 32 || !strings.Contains(got.stderr, "does not exist") {
				t.Errorf("mount on what is absent: %v, want status 32", got)
			}

			got = finish(t, exec.Command(helper, s.store, s.mnt, "-o", "rw,noauto,nofail,_netdev,uid=5", "-t", "fuse.registryfs"))
			if got != (result{}) {
				t.Fatalf("mount: %v", got)
			}
			s.mounted(t)
			if got := registryfs(t, "umount", s.mnt); got.status != 0 {
				t.Errorf("umount: %v", got)
			}
		})
	}
}

// withHelper makes the program a helper of mount(8) in a namespace: it looks for
// them in /sbin.
const withHelper = `
mkdir "$SCENE/sbin"
sbin=$(readlink -f /sbin)
ln -s "$BINARY" "$SCENE/sbin/mount.registryfs"
mount -t overlay -o "lowerdir=$SCENE/sbin:$sbin" none "$sbin" || { echo 'no overlay'; exit 0; }
`

func TestMountCommand(t *testing.T) {
	needRoot(t)
	needFUSE(t)
	needOpenDevice(t)
	s := newScene(t)
	got := inNamespace(t, s, withHelper+`
mount -t registryfs "$STORE" "$MNT" -o ro,allow_other,uid=5
grep registryfs /proc/self/mounts
stat -c 'owner %u' "$MNT/raw"
umount "$MNT"
printf '%s %s registryfs noauto,nofail,x-systemd.automount,_netdev,umask=077 0 0\n' "$STORE" "$MNT" >"$SCENE/fstab"
mount --fstab "$SCENE/fstab" "$MNT"
stat -c 'mode %a' "$MNT/raw"
mount -t registryfs "$STORE" "$MNT" || echo "twice: $?"
umount "$MNT"
`)
	if strings.Contains(got.stdout, "no overlay") {
		missing(t, "no overlay file system: %v", got)
	}
	for _, want := range []string{"fuse.registryfs ro", "allow_other", "owner 5", "mode 700", "twice: 32"} {
		if got.status != 0 || !strings.Contains(got.stdout, want) {
			t.Errorf("mount(8): %v, want %q", got, want)
		}
	}
}

// The line of fstab lets ordinary users mount. Then mount(8) runs its helper as
// the user, and with no variables but its own.
func TestMountCommandAsUser(t *testing.T) {
	needRoot(t)
	needFUSE(t)
	needOpenDevice(t)
	needTool(t, "fusermount3", "setpriv")
	s := newScene(t)
	openTo(t, s)
	got := inNamespace(t, s, withHelper+`
mkdir "$SCENE/etc"
printf '%s %s registryfs noauto,user,ro 0 0\n' "$STORE" "$MNT" >"$SCENE/etc/fstab"
mount -t overlay -o "lowerdir=$SCENE/etc:/etc" none /etc
user mount "$MNT"
grep registryfs /proc/self/mounts
user stat -c 'owner %u' "$MNT/raw"
user "$BINARY" umount "$MNT"
`)
	if strings.Contains(got.stdout, "no overlay") {
		missing(t, "no overlay file system: %v", got)
	}
	for _, want := range []string{"fuse.registryfs ro,nosuid,nodev,noexec", "owner 65534"} {
		if got.status != 0 || !strings.Contains(got.stdout, want) {
			t.Errorf("mount(8) of an ordinary user: %v, want %q", got, want)
		}
	}
}
