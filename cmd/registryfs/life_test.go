package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestBackground(t *testing.T) {
	needFUSE(t)
	s := newScene(t)
	// What the caller has open must not live on in the daemon: somebody waits
	// for the end of these pipes.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command(binary, "mount", "store", s.mnt)
	cmd.Dir = s.dir
	cmd.ExtraFiles = []*os.File{w}
	got := finish(t, cmd) // waits for the end of stdout and stderr
	w.Close()
	if got != (result{}) {
		t.Fatalf("mount: %v, want success and silence", got)
	}
	s.mounted(t)
	if _, err := io.ReadAll(r); err != nil {
		t.Error(err)
	}

	pids := s.processes()
	if len(pids) != 1 {
		t.Fatalf("processes %v serve the mount, want one", pids)
	}
	pid := pids[0]
	proc := fmt.Sprintf("/proc/%d/", pid)
	for link, want := range map[string]string{"cwd": "/", "fd/0": os.DevNull, "fd/1": os.DevNull, "fd/2": os.DevNull} {
		if to, err := os.Readlink(proc + link); err != nil || to != want {
			t.Errorf("%s of the daemon = %q, %v, want %q", link, to, err, want)
		}
	}
	fds, _ := filepath.Glob(proc + "fd/*")
	for _, fd := range fds {
		if to, _ := os.Readlink(fd); strings.HasPrefix(to, "pipe:") {
			t.Errorf("the daemon has %s open as %s", to, fd)
		}
	}
	if name, err := os.ReadFile(proc + "comm"); err != nil || string(name) != "registryfs\n" {
		t.Errorf("name of the daemon = %q, %v, want registryfs, as pidof looks for it", name, err)
	}
	if sid, err := getsid(pid); err != nil || sid != pid {
		t.Errorf("session of %d = %d, %v, want its own", pid, sid, err)
	}
	if text, err := os.ReadFile(filepath.Join(s.mnt, ".registryfs/config")); err != nil || !strings.Contains(string(text), "rootdirectory: "+s.store) {
		t.Errorf("config = %q, %v, want the store", text, err)
	}

	if got := registryfs(t, "umount", s.mnt); got != (result{}) {
		t.Errorf("umount: %v, want success and silence", got)
	}
	s.unmounted(t)
	eventually(t, "the daemon ends", func() bool { return len(s.processes()) == 0 })
}

func getsid(pid int) (int, error) {
	sid, _, errno := syscall.Syscall(syscall.SYS_GETSID, uintptr(pid), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(sid), nil
}

func TestMountTwice(t *testing.T) {
	needFUSE(t)
	s := newScene(t)
	if got := registryfs(t, "mount", s.store, s.mnt); got.status != 0 {
		t.Fatalf("mount: %v", got)
	}
	got := registryfs(t, "mount", s.store, s.mnt)
	if got.status != 1 || !strings.Contains(got.stderr, "unmount it first, with: registryfs umount") {
		t.Errorf("a second mount: %v, want the remedy", got)
	}
	s.mounted(t)
}

func TestDefaultStoreMount(t *testing.T) {
	needFUSE(t)
	s := newScene(t)
	t.Setenv("XDG_DATA_HOME", s.dir+"/data")
	if got := registryfs(t, "mount", s.mnt, "-o", "ro"); got != (result{}) {
		t.Fatalf("mount: %v", got)
	}
	s.mounted(t)
	if !isDir(s.dir + "/data/registryfs/store") {
		t.Error("there is no default store")
	}
	if err := os.WriteFile(s.mnt+"/raw/x", nil, 0o644); !errors.Is(err, syscall.EROFS) {
		t.Errorf("write on a read-only mount = %v, want EROFS", err)
	}
}

// foreground is a mount with -f.
type foreground struct {
	*exec.Cmd
	exit chan error

	mu  sync.Mutex // guards the following
	log bytes.Buffer
}

// startForeground starts a mount with -f and waits until it says it is mounted.
func startForeground(t *testing.T, s scene, args ...string) *foreground {
	t.Helper()
	return start(t, s, exec.Command(binary, append([]string{"mount", "-f", s.store, s.mnt}, args...)...))
}

func start(t *testing.T, s scene, cmd *exec.Cmd) *foreground {
	t.Helper()
	f := &foreground{Cmd: cmd, exit: make(chan error, 1)}
	errs, err := f.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		lines := bufio.NewScanner(errs)
		for lines.Scan() {
			f.mu.Lock()
			fmt.Fprintln(&f.log, lines.Text())
			f.mu.Unlock()
		}
		f.exit <- f.Wait()
	}()
	t.Cleanup(func() { f.Process.Kill() })
	eventually(t, "mounted", func() bool { return f.said("mounted") })
	s.mounted(t)
	return f
}

func (f *foreground) said(text string) bool { return strings.Contains(f.text(), text) }

// text is what was logged so far.
func (f *foreground) text() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.String()
}

// ends wants the process to exit with that status.
func (f *foreground) ends(t *testing.T, status int) {
	t.Helper()
	select {
	case <-f.exit:
		if got := f.ProcessState.ExitCode(); got != status {
			t.Errorf("exit status %d, want %d; log:\n%s", got, status, f.text())
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("still running; log:\n%s", f.text())
	}
}

func TestForeground(t *testing.T) {
	needFUSE(t)
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			s := newScene(t)
			f := startForeground(t, s)
			if err := f.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			f.ends(t, 0)
			s.unmounted(t)
		})
	}
	t.Run("umount", func(t *testing.T) {
		s := newScene(t)
		f := startForeground(t, s)
		if got := registryfs(t, "umount", s.mnt); got.status != 0 {
			t.Errorf("umount: %v", got)
		}
		f.ends(t, 0)
	})
}

func TestSignalWhileBusy(t *testing.T) {
	needFUSE(t)
	s := newScene(t)
	f := startForeground(t, s)
	held := s.mnt + "/README.txt"
	file, err := os.Open(held)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()

	if err := f.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the log names this process", func() bool {
		return f.said(fmt.Sprintf("pid %d, has open %s", os.Getpid(), held))
	})
	eventually(t, "the mount is gone", func() bool {
		_, err := os.Stat(held)
		return errors.Is(err, os.ErrNotExist)
	})
	if text, err := io.ReadAll(file); err != nil || len(text) == 0 {
		t.Errorf("the open file reads %q, %v, want its text", text, err)
	}
	file.Close()
	f.ends(t, 0)
}

func TestSecondSignal(t *testing.T) {
	needFUSE(t)
	s := newScene(t)
	f := startForeground(t, s)
	file, err := os.Open(s.mnt + "/README.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := f.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	eventually(t, "in use", func() bool { return f.said("the mount is in use") })
	if err := f.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	f.ends(t, 1)
	s.unmounted(t)
}

// A reader of the log that goes away must not take the mount with it.
func TestClosedTerminal(t *testing.T) {
	needFUSE(t)
	s := newScene(t)
	cmd := exec.Command(binary, "mount", "-f", "--log-level", "debug", "--debug", s.store, s.mnt)
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Signal(syscall.SIGTERM)
	if _, err := bufio.NewReader(errs).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	errs.Close()
	eventually(t, "mounted", func() bool { return isDir(s.mnt + "/repositories") })
	s.mounted(t)
}

func TestLogFile(t *testing.T) {
	needFUSE(t)
	s := newScene(t)
	cmd := exec.Command(binary, "mount", "store", s.mnt, "--log-file", "log", "--log-format=json")
	cmd.Dir = s.dir
	if got := finish(t, cmd); got != (result{}) {
		t.Fatalf("mount: %v", got)
	}
	says := func(name, message string) bool {
		text, err := os.ReadFile(filepath.Join(s.dir, name))
		return err == nil && strings.Contains(string(text), `"msg":"`+message+`"`)
	}
	if !says("log", "mounted") {
		t.Error("the log does not say mounted")
	}

	// As logrotate does it: nothing may go on in the old file.
	if err := os.Rename(s.dir+"/log", s.dir+"/log.1"); err != nil {
		t.Fatal(err)
	}
	pid := s.processes()[0]
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a new log is begun", func() bool { return says("log", "settings were read again") })
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, fd := range fds {
		if to, _ := os.Readlink(fd); strings.HasSuffix(to, "/log.1") {
			t.Errorf("%s is still %s", fd, to)
		}
	}
	if got := registryfs(t, "umount", s.mnt); got.status != 0 {
		t.Fatalf("umount: %v", got)
	}
	eventually(t, "the log says unmounted", func() bool { return says("log", "unmounted") })
}

// kill leaves a dead mount behind.
func kill(t *testing.T, s scene) { killUsed(t, s, func() {}) }

// killUsed does so while somebody uses it.
func killUsed(t *testing.T, s scene, use func()) {
	t.Helper()
	f := startForeground(t, s)
	use()
	if err := f.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-f.exit
	if _, err := os.Stat(s.mnt); !errors.Is(err, syscall.ENOTCONN) {
		t.Fatalf("stat of a mount without its process = %v, want ENOTCONN", err)
	}
}

func TestDeadMountIsCleared(t *testing.T) {
	needFUSE(t)
	s := newScene(t)
	kill(t, s)
	got := registryfs(t, "mount", s.store, s.mnt)
	if got.status != 0 || !strings.Contains(got.stderr, "cleared the mount that a killed process had left behind") {
		t.Errorf("mount on a dead one: %v, want success and a line about it", got)
	}
	s.mounted(t)
}

// Shells that stand in a dead mount, and files that are open in it, keep nobody
// from mounting again.
func TestUsedDeadMountIsCleared(t *testing.T) {
	needFUSE(t)
	s := newScene(t)
	killUsed(t, s, func() {
		hold(t, s.mnt+"/repositories", "exec 3<"+s.mnt+"/README.txt")
		hold(t, s.dir, "exec 3>"+s.mnt+"/raw/upload")
	})
	got := registryfs(t, "mount", s.store, s.mnt)
	if got.status != 0 || !strings.Contains(got.stderr, "cleared the mount that a killed process had left behind") {
		t.Errorf("mount on a dead one that is in use: %v, want success and a line about it", got)
	}
	s.mounted(t)
	if got := registryfs(t, "umount", s.mnt); got != (result{}) {
		t.Errorf("umount of the new mount: %v, want success", got)
	}
}

func TestDeadMountUnmounted(t *testing.T) {
	needFUSE(t)
	s := newScene(t)
	kill(t, s)
	if got := registryfs(t, "umount", s.mnt); got != (result{}) {
		t.Errorf("umount of a dead mount: %v, want success", got)
	}
	s.unmounted(t)
}

func TestUmountBusy(t *testing.T) {
	needFUSE(t)
	s := newScene(t)
	if got := registryfs(t, "mount", s.store, s.mnt); got.status != 0 {
		t.Fatalf("mount: %v", got)
	}
	holder := hold(t, s.mnt+"/repositories", ":")
	got := registryfs(t, "umount", s.mnt)
	for _, want := range []string{fmt.Sprintf("sh (pid %d, working directory)", holder.Process.Pid), "registryfs umount --lazy"} {
		if got.status != 1 || !strings.Contains(got.stderr, want) {
			t.Errorf("umount while busy: %v, want %q", got, want)
		}
	}
	s.mounted(t)
	if got := registryfs(t, "umount", s.mnt, "--lazy"); got != (result{}) {
		t.Errorf("umount --lazy: %v, want success", got)
	}
	s.unmounted(t)
}

// A shell script's last command runs in the place of the shell.
func TestUmountFromInside(t *testing.T) {
	needFUSE(t)
	s := newScene(t)
	if got := registryfs(t, "mount", s.store, s.mnt); got.status != 0 {
		t.Fatalf("mount: %v", got)
	}
	cmd := exec.Command(binary, "umount", s.mnt)
	cmd.Dir = s.mnt
	if got := finish(t, cmd); got != (result{}) {
		t.Errorf("umount from inside: %v, want success", got)
	}
}

func TestMountConfig(t *testing.T) {
	needFUSE(t)
	withoutVariables(t)
	s := newScene(t)
	file := writeFile(t, s.dir+"/config.yml", config("storage: {filesystem: {rootdirectory: /no/such}}\n"))
	t.Setenv("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", s.store)
	t.Setenv("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED", "true")
	if got := registryfs(t, "mount", file, s.mnt, "-o", "rw"); got != (result{}) {
		t.Fatalf("mount: %v", got)
	}
	s.mounted(t)
	if err := os.WriteFile(s.mnt+"/raw/x", nil, 0o644); !errors.Is(err, syscall.EROFS) {
		t.Errorf("write on a store in maintenance = %v, want EROFS", err)
	}
}

func TestMountCache(t *testing.T) {
	needFUSE(t)
	for _, force := range []bool{false, true} {
		s := newScene(t)
		writeFile(t, s.store+"/scheduler-state.json", "{}")
		got := registryfs(t, "mount", s.store, s.mnt, "--force-cache-writes="+fmt.Sprint(force))
		if got.status != 0 || strings.Contains(got.stderr, "pull-through cache") == force {
			t.Fatalf("mount of a cache, by force %t: %v", force, got)
		}
		err := os.WriteFile(s.mnt+"/raw/x", []byte("x"), 0o644)
		if want := map[bool]error{false: syscall.EROFS, true: nil}[force]; !errors.Is(err, want) {
			t.Errorf("write to a cache, by force %t = %v, want %v", force, err, want)
		}
	}
}
