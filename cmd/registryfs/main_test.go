package main

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"registryfs/fusefs"
)

// binary is the program, built once for all tests.
var binary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "registryfs-cmd")
	if err != nil {
		log.Print(err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // an ordinary user runs it too
		log.Print(err)
		return 1
	}
	binary = filepath.Join(dir, "registryfs")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		log.Printf("build: %v\n%s", err, out)
		return 1
	}
	// No state, no store and no option of whoever runs the tests.
	for _, variable := range []string{"XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"} {
		os.Setenv(variable, filepath.Join(dir, variable))
	}
	return m.Run()
}

// missing skips a test that this machine cannot run, but not in CI, which has
// everything.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("CI must have it: "+format, args...)
	}
	t.Skipf(format, args...)
}

func needTool(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			missing(t, "%s is not installed", name)
		}
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, "needs root")
	}
}

// needFUSE wants to be able to mount as whoever runs the tests.
func needFUSE(t *testing.T) {
	t.Helper()
	if err := thisMachine().check(t.TempDir(), false); err != nil {
		missing(t, "%v", err)
	}
}

// result is what a command line came to.
type result struct {
	status         int
	stdout, stderr string
}

func (r result) String() string {
	return fmt.Sprintf("status %d, stdout %q, stderr %q", r.status, r.stdout, r.stderr)
}

func registryfs(t *testing.T, args ...string) result {
	t.Helper()
	return finish(t, exec.Command(binary, args...))
}

func finish(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v", cmd, err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// scene is a store and a mount point.
type scene struct{ dir, store, mnt string }

// newScene makes an empty store and a mount point, which is clear at the end.
func newScene(t *testing.T) scene {
	t.Helper()
	dir := tempDir(t)
	s := scene{dir, mkdir(t, dir, "store"), mkdir(t, dir, "mnt")}
	t.Cleanup(func() {
		if mounted, _ := fusefs.IsMounted(s.mnt); !mounted {
			return
		}
		if err := fusefs.Unmount(s.mnt, true); err != nil {
			t.Errorf("clear %s: %v", s.mnt, err)
		}
	})
	return s
}

// mounted wants the mount to answer.
func (s scene) mounted(t *testing.T) {
	t.Helper()
	if mounted, err := fusefs.IsMounted(s.mnt); err != nil || !mounted {
		t.Fatalf("IsMounted(%s) = %t, %v, want true", s.mnt, mounted, err)
	}
	if _, err := os.Stat(filepath.Join(s.mnt, "repositories")); err != nil {
		t.Fatalf("the mount does not answer: %v", err)
	}
}

func (s scene) unmounted(t *testing.T) {
	t.Helper()
	if mounted, err := fusefs.IsMounted(s.mnt); err != nil || mounted {
		t.Fatalf("IsMounted(%s) = %t, %v, want false", s.mnt, mounted, err)
	}
}

// eventually waits for what a process does by itself.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 3000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("not within 30 seconds: %s", what)
}

// processes returns those that were started to mount on the scene.
func (s scene) processes() []int {
	var pids []int
	names, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range names {
		cmdline, err := os.ReadFile(name)
		args := strings.Split(string(cmdline), "\x00")
		if err != nil || args[0] != binary || !strings.Contains(string(cmdline), s.mnt+"\x00") {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(name, "/proc/%d/", &pid); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
