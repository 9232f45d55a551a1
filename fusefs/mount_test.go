package fusefs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"registryfs/drivers"
	"registryfs/drivers/filesystem"
	"registryfs/drivers/inmemory"
	"registryfs/layout"
)

// mount is a mounted registry of a test. The test process serves it, so it is
// used by programs: what Go does between fork and exec, or in a page fault,
// would wait for this very process.
type mount struct {
	dir    string // the mount point
	store  string // the driver's root directory, or that of the S3 server; "" in memory
	driver drivers.StorageDriver
	reg    *layout.Registry
	srv    *Server
	spool  string
	minor  string // of the mount's device: the number of its connection

	patience time.Duration // how long a program may take
}

// mountConfig is what the options of newMount set.
type mountConfig struct {
	Options
	layout layout.Options
	store  string
	driver drivers.StorageDriver
}

type mountOption = func(*mountConfig)

func withDeletes(c *mountConfig) { c.AllowDelete = true }
func readOnly(c *mountConfig)    { c.ReadOnly = true }
func withXAttrs(c *mountConfig)  { c.XAttrs = true }
func inMemory(c *mountConfig)    { c.driver = inmemory.New() }

// deletes is withDeletes or nothing.
func deletes(on bool) mountOption { return func(c *mountConfig) { c.AllowDelete = on } }

// over mounts a given store.
func over(store string) mountOption { return func(c *mountConfig) { c.store = store } }

// newMount mounts a registry in a directory of its own, over the filesystem
// driver or S3 unless told otherwise, for as long as the test runs.
func newMount(t testing.TB, options ...mountOption) *mount {
	t.Helper()
	needFUSE(t)
	c := mountConfig{Options: Options{Source: "test", UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}}
	var bugs bytes.Buffer
	c.Logger = slog.New(slog.NewTextHandler(&bugs, &slog.HandlerOptions{Level: slog.LevelError}))
	for _, o := range options {
		o(&c)
	}
	switch {
	case c.driver != nil:
	case onS3:
		if c.store == "" {
			c.store = newStore(t)
		}
		c.onS3(t)
	default:
		if c.store == "" {
			c.store = t.TempDir()
		}
		c.driver = filesystem.New(filesystem.Parameters{RootDirectory: c.store})
	}
	if c.layout.SpoolDir == "" {
		c.layout.SpoolDir = t.TempDir()
	}
	m := &mount{
		dir:    t.TempDir(),
		store:  c.store,
		driver: c.driver,
		reg:    layout.New(c.driver, c.layout),
		spool:  c.layout.SpoolDir,

		patience: patience,
	}
	var err error
	if m.srv, err = Mount(m.dir, m.reg, c.Options); err != nil {
		t.Fatalf("Mount: %v", err)
	}
	refusePolls(t, m.dir)
	waited := make(chan struct{})
	go func() {
		defer close(waited)
		m.srv.Wait()
	}()
	if at, err := mountOf(m.dir); err == nil && at != nil {
		_, m.minor, _ = strings.Cut(at.device, ":")
	}
	t.Cleanup(func() {
		m.unmount(t)
		select {
		case <-waited:
		case <-time.After(30 * time.Second):
			t.Errorf("the server goes on after the unmount\n%s", goroutines())
			return
		}
		if strings.Contains(bugs.String(), "panic in a request") {
			t.Errorf("a request went wrong, which the kernel need not tell of: %s", &bugs)
		}
		if t.Failed() {
			lines := strings.SplitAfter(m.srv.s.refused.text(), "\n")
			t.Logf("the end of .registryfs/errors:\n%s", strings.Join(lines[max(0, len(lines)-12):], ""))
		}
	})
	return m
}

// refusePolls has the kernel learn that the mount knows no POLL. Go's runtime
// polls what this process opens, and holds a processor until it is answered:
// a mount in the same process may need that one for the answer.
func refusePolls(t testing.TB, dir string) {
	t.Helper()
	fd, err := unix.Open(filepath.Join(dir, "README.txt"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0) // the answer does not matter
	if err := unix.Close(fd); err != nil {
		t.Fatal(err)
	}
}

// unmount ends the mount, and tells what the test has left behind.
func (m *mount) unmount(t testing.TB) {
	s := m.srv.s
	if at, err := mountOf(m.dir); err == nil && at == nil {
		return // the test has done it
	}
	if !eventually(func() bool { return s.handles.count() == 0 }) && !t.Failed() {
		t.Errorf("%d open files remain, %v of them being written", s.handles.count(), m.srv.Uploading())
	}
	var err error
	if !eventually(func() bool { err = m.srv.Unmount(); return !errors.Is(err, syscall.EBUSY) }) || err != nil {
		t.Errorf("unmount: %v", err)
		m.abort()
		if err := m.srv.Detach(); err != nil {
			t.Errorf("detach: %v", err)
		}
	}
	s.passthrough.mu.Lock()
	defer s.passthrough.mu.Unlock()
	if len(s.passthrough.cached) > 0 {
		t.Errorf("%d files are counted as open after all were closed", len(s.passthrough.cached))
	}
	left, err := os.ReadDir(m.spool)
	if err != nil {
		t.Errorf("the spool: %v", err)
	}
	if drafts := s.drafts.count(); len(left) > drafts {
		t.Errorf("%d spool files are left of %d drafts", len(left), drafts)
	}
}

// count is how many drafts there are.
func (t *drafts) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byName)
}

// abort ends the connection, so that programs stuck in the mount can be killed.
// The connections of every mount of the machine lie beside it.
func (m *mount) abort() {
	at, err := mountOf(m.dir)
	if err != nil || at == nil || at.fstype != "fuse.registryfs" || !strings.HasSuffix(at.device, ":"+m.minor) {
		return
	}
	if os.WriteFile("/sys/fs/fuse/connections/"+m.minor+"/abort", []byte("1"), 0) != nil {
		unix.Unmount(m.dir, unix.MNT_FORCE) // aborts as well, where sysfs has no fusectl
	}
}

// path is a path in the mount.
func (m *mount) path(elem ...string) string {
	return filepath.Join(append([]string{m.dir}, elem...)...)
}

// eventually asks for up to 3 s until the answer is yes.
func eventually(yes func() bool) bool {
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if yes() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// needFUSE skips the test where there is no FUSE.
func needFUSE(t testing.TB) {
	t.Helper()
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		missing(t, fmt.Sprintf("no FUSE here: %v", err))
	}
	f.Close()
	if os.Geteuid() != 0 {
		need(t, "fusermount3")
	}
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, "only root can do this")
	}
}

// need skips the test where a program is missing.
func need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			missing(t, fmt.Sprintf("%s is not installed: scripts/install does that", p))
		}
	}
}

// missing skips the test, but not in CI, which has to have everything.
func missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// result is what a program has said.
type result struct {
	exit           int
	stdout, stderr string
}

// What a program may exit with, besides a number.
const (
	anyExit = -1
	failure = -2 // any but 0
)

// patience is how long a program may take, as a rule. One that takes longer
// hangs.
const patience = 2 * time.Minute

// run runs a program in a directory and checks what it exits with.
func (m *mount) run(t testing.TB, dir string, wantExit int, argv ...string) result {
	t.Helper()
	r := m.start(t, dir, argv...)()
	if r.exit != wantExit && !(wantExit == anyExit) && !(wantExit == failure && r.exit > 0) {
		t.Errorf("%s: exit %d, want %d\n%s%s", argvText(argv), r.exit, wantExit, r.stdout, r.stderr)
	}
	if wantExit == failure && r.stderr == "" {
		t.Errorf("%s: exit %d without a word", argvText(argv), r.exit)
	}
	return r
}

// start starts a program. The function returned waits for it; it aborts the
// connection if that takes too long.
func (m *mount) start(t testing.TB, dir string, argv ...string) (wait func() result) {
	t.Helper()
	// Not cmd.Dir: between fork and exec the whole process may stop for chdir.
	cmd := exec.Command("env", append([]string{"-C", dir}, argv...)...)
	return m.startCommand(t, cmd)
}

func (m *mount) startCommand(t testing.TB, cmd *exec.Cmd) (wait func() result) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "LC_ALL=C", "TZ=UTC", "HOME=/nonexistent")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 2 * time.Second // for what it has left in the background
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", argvText(cmd.Args), err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), m.patience)
	hung := context.AfterFunc(ctx, func() {
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return
		}
		t.Errorf("%s: hangs; aborting the connection\n%s", argvText(cmd.Args), goroutines())
		m.abort()
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	})
	return func() result {
		t.Helper()
		defer cancel()
		defer hung()
		err := cmd.Wait()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
			t.Fatalf("%s: %v", argvText(cmd.Args), err)
		}
		return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
	}
}

// goroutines are the stacks of what the server is doing.
func goroutines() string {
	var all bytes.Buffer
	pprof.Lookup("goroutine").WriteTo(&all, 2)
	var ours []string
	for g := range strings.SplitSeq(all.String(), "\n\n") {
		if strings.Contains(g, "registryfs/") && !strings.Contains(g, "testing.tRunner") {
			ours = append(ours, g)
		}
	}
	return strings.Join(ours, "\n\n")
}

func argvText(argv []string) string {
	if len(argv) > 3 && argv[0] == "env" && argv[1] == "-C" {
		argv = argv[3:]
	}
	return strings.Join(argv, " ")
}

// bash runs a script in the top directory of the mount. Variables are given as
// name=value.
func (m *mount) bash(t testing.TB, wantExit int, script string, variables ...string) result {
	t.Helper()
	argv := append([]string{"env", "repos=" + m.path("repositories")}, variables...)
	return m.run(t, m.dir, wantExit, append(argv, "bash", "-c", script)...)
}

// out is bash for its output: it must succeed.
func (m *mount) out(t testing.TB, script string, variables ...string) string {
	t.Helper()
	return strings.TrimSuffix(m.bash(t, 0, script, variables...).stdout, "\n")
}

// refused checks that the newest line of .registryfs/errors that names the file
// has all of the words in it.
func (m *mount) refused(t testing.TB, name string, words ...string) {
	t.Helper()
	errs := m.srv.s.refused.text()
	lines := strings.Split(errs, "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if !strings.Contains(lines[i], name) {
			continue
		}
		for _, w := range words {
			if !strings.Contains(lines[i], w) {
				t.Errorf(".registryfs/errors: %q does not say %q", lines[i], w)
			}
		}
		return
	}
	t.Errorf(".registryfs/errors does not name %q:\n%s", name, errs)
}

// file makes a local file with that content.
func file(t testing.TB, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
