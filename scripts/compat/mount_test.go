package compat

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// mount mounts a storage in the background with the given options and returns
// the mount point. The test's end unmounts it.
func mount(t testing.TB, s storage, options ...string) string {
	t.Helper()
	dir := t.TempDir()
	mountAt(t, dir, s, options...)
	return dir
}

func mountAt(t testing.TB, dir string, s storage, options ...string) {
	t.Helper()
	needFUSE(t)
	args := append(append([]string{"mount"}, s.options(t, options)...), s.source(), dir)
	run(t, program(t, registryfs), args...)
	t.Cleanup(func() { unmount(t, dir) })
	if !mounted(t, dir) {
		t.Fatalf("registryfs %s: exit status 0, but %s is not mounted", strings.Join(args, " "), dir)
	}
}

// needFUSE ends the test where nothing can be mounted.
func needFUSE(t testing.TB) {
	t.Helper()
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	need(t, err)
	f.Close()
}

// unmount takes a mount down, by force if it must.
func unmount(t testing.TB, dir string) {
	t.Helper()
	if !mounted(t, dir) {
		return
	}
	r := try(t, program(t, registryfs), "umount", dir)
	if r.code == 0 && !mounted(t, dir) {
		return
	}
	t.Errorf("registryfs umount %s: exit status %d, mounted: %v\n%s", dir, r.code, mounted(t, dir), r.stderr)
	detach(dir)
}

// detach takes a mount down whatever state it is in. Force ends the requests
// that nobody will answer, and with them the processes that wait for those.
func detach(dir string) {
	if os.Getuid() == 0 {
		_ = syscall.Unmount(dir, syscall.MNT_FORCE|syscall.MNT_DETACH)
		return
	}
	_ = exec.Command("fusermount3", "-u", "-z", dir).Run()
}

func mounted(t testing.TB, dir string) bool {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(mounts), " "+dir+" ")
}

// mountToKill mounts a storage and returns a function that kills the process
// that serves the mount.
func mountToKill(t testing.TB, dir string, s storage, options ...string) (kill func()) {
	t.Helper()
	needFUSE(t)
	args := append(append([]string{"mount", "--foreground"}, s.options(t, options)...), s.source(), dir)
	cmd := exec.Command(program(t, registryfs), args...)
	cmd.Env = environ()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait() // says that it was killed
		close(exited)
	}()
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill() // it may have ended
		select {
		case <-exited:
		case <-time.After(30 * time.Second):
			t.Errorf("process %d outlives kill -9:\n%s", cmd.Process.Pid, kernelStacks(cmd.Process.Pid))
			detach(dir)
			<-exited
		}
	})
	t.Cleanup(func() {
		kill()
		detach(dir)
	})
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "repositories")); err == nil {
			return kill
		}
	}
	t.Fatalf("registryfs %s: nothing mounted after 30 s", strings.Join(args, " "))
	return nil
}

// kernelStacks says where in the kernel the threads of a process are.
func kernelStacks(pid int) string {
	var text strings.Builder
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stack", pid)) // the pattern is sound
	for _, file := range files {
		stack, err := os.ReadFile(file)
		fmt.Fprintf(&text, "%s: %s%v\n", file, stack, err)
	}
	return text.String()
}

// repository is the directory of a repository in a mount.
func repository(mnt, name string, below ...string) string {
	return filepath.Join(append([]string{mnt, "repositories", filepath.FromSlash(name)}, below...)...)
}

// tagFile is the file of "repository:tag" in a mount.
func tagFile(mnt, tag string) string {
	name, tag, _ := strings.Cut(tag, ":")
	return repository(mnt, name, "_tags", tag)
}

// sha256sum runs the program of that name on files and returns the digests.
func sha256sum(t testing.TB, files ...string) []string {
	t.Helper()
	var digests []string
	for line := range strings.Lines(run(t, "sha256sum", append([]string{"--"}, files...)...)) {
		digests = append(digests, "sha256:"+strings.Fields(line)[0])
	}
	if len(digests) != len(files) {
		t.Fatalf("sha256sum printed %d digests for %d files", len(digests), len(files))
	}
	return digests
}

// mustMatch fails the test if the names or the content of two trees differ.
func mustMatch(t testing.TB, a, b string, options ...string) {
	t.Helper()
	options = append(options, "-r", "-x", ".sgwtmp", a, b) // a directory of the S3 server's own
	if r := try(t, "diff", options...); r.code != 0 {
		t.Errorf("%s and %s differ:\n%s", a, b, firstLines(r.stdout+r.stderr, 20))
	}
}

func firstLines(s string, n int) string {
	lines := strings.SplitAfterN(s, "\n", n+1)
	if len(lines) <= n {
		return s
	}
	return strings.Join(lines[:n], "") + fmt.Sprintf("(%d more bytes)", len(lines[n]))
}
