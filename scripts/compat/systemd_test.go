package compat

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// units copies the units to dir, with our program in the place of the installed
// one, and returns the files. Each is named by name.
func units(t *testing.T, dir string, name, content func(string) string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join("..", "systemd", "*@.*"))
	if err != nil || len(found) != 7 {
		t.Fatalf("units are %q, %v, want 7", found, err)
	}
	var files []string
	for _, unit := range found {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		text = []byte(content(strings.ReplaceAll(string(text), "/usr/local/bin/registryfs", program(t, registryfs))))
		file := filepath.Join(dir, name(filepath.Base(unit)))
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

func same(s string) string { return s }

// TestSystemd has systemd itself look at the units, as instances.
func TestSystemd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	instance := func(unit string) string { return strings.Replace(unit, "@", "@images", 1) }
	args := append([]string{"verify", "--man=no", "--recursive-errors=no"}, units(t, dir, instance, same)...)
	r := try(t, "systemd-analyze", args...)
	if said := r.stdout + r.stderr; r.code != 0 || strings.Contains(said, dir) {
		t.Errorf("systemd-analyze verify: exit status %d\n%s", r.code, said)
	}
}

// runUnits is a session with the units, in which each step has to succeed.
const runUnits = `set -eu
mount -t tmpfs none /run
mkdir -p /run/systemd/system /run/user
export HOME="$DIR/home" XDG_RUNTIME_DIR=/run/user
unset DBUS_SESSION_BUS_ADDRESS
sc() { systemctl --user "$@"; }
eventually() {
	for _ in $(seq 300); do "$@" && return; sleep 0.1; done
	echo "not within 30 s: $*"
	sc status --no-pager registryfs@images
	exit 1
}
/lib/systemd/systemd --user --log-target=console >"$DIR/manager" 2>&1 &
for _ in $(seq 100); do sc list-units >/dev/null 2>&1 && break; sleep 0.1; done
sc list-units >/dev/null 2>&1 || { echo 'no manager:'; cat "$DIR/manager"; exit 0; }
status() { sc show -p StatusText --value registryfs@images | grep -qx "$1"; }
logged() { grep -q "$1" "$DIR/log"; }
state() { sc is-active registryfs@images | grep -qx "$1"; }

sc start registryfs@images # returns when it is ready
test -e "$MNT/README.txt"
status "serving $STORE on $MNT"

echo REGISTRYFS_LOG_LEVEL=debug >>"$DIR/etc/images.env"
sc reload registryfs@images
eventually logged '"settings were read again" log-level=DEBUG'

exec 5>"$MNT/raw/upload"
sc stop --no-block registryfs@images
eventually status 'waiting for 1 open upload: /raw/upload'
echo content >&5
exec 5>&-
eventually state inactive
grep -qx content "$STORE/upload"

sc start registryfs@images
sc kill -s KILL registryfs@images
eventually logged 'cleared the mount that a killed process had left behind'
eventually test -e "$MNT/README.txt"
sc stop registryfs@images
! test -e "$MNT/README.txt"

for job in backup check gc; do
	sc start registryfs-$job@images.service
	sc start registryfs-$job@images.timer
done
test -d "$DIR/backup/docker/registry/v2/blobs"
test "$(sc list-timers --no-legend | grep -c registryfs)" = 3
echo 'all done'
sc exit
wait
rmdir /sys/fs/cgroup/*/init.scope /sys/fs/cgroup/init.scope 2>/dev/null || :
`

// TestSystemdRuns has a systemd of its own, in namespaces of its own, run the
// units.
func TestSystemdRuns(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can start a systemd in namespaces of its own")
	}
	needFUSE(t)
	s := standardStorage(t, onDisk, v3)
	dir := t.TempDir()
	home, mnt := filepath.Join(dir, "home"), filepath.Join(dir, "new", "mnt")
	for _, name := range []string{filepath.Join(home, ".config/systemd/user"), filepath.Join(dir, "etc")} {
		if err := os.MkdirAll(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	units(t, filepath.Join(home, ".config/systemd/user"), same, func(text string) string {
		return strings.ReplaceAll(text, "/etc/registryfs/", filepath.Join(dir, "etc")+"/")
	})
	env := "SOURCE=" + s.source() + "\nMOUNTPOINT=" + mnt + "\nBACKUP=" + filepath.Join(dir, "backup") +
		"\nREGISTRYFS_LOG_FILE=" + filepath.Join(dir, "log") + "\n"
	if err := os.WriteFile(filepath.Join(dir, "etc", "images.env"), []byte(env), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", runUnits)
	cmd.Env = append(environ(), "DIR="+dir, "STORE="+s.source(), "MNT="+mnt)
	said, err := cmd.CombinedOutput()
	switch {
	case strings.Contains(string(said), "no manager:"):
		need(t, fmt.Errorf("no systemd runs here: %s", said))
	case err != nil || !strings.Contains(string(said), "all done"):
		log, _ := os.ReadFile(filepath.Join(dir, "log")) // it may not be there
		t.Errorf("the units: %v\n%s\n%s", err, said, log)
	}
}
