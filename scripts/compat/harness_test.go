package compat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"registryfs/scripts/compat/internal/s3server"
	"registryfs/scripts/compat/internal/tools"
)

// The programs that the tests drive, each found or built once.
var (
	registryV3 = sync.OnceValues(func() (string, error) { return tools.Registry(context.Background()) })
	registryV2 = sync.OnceValues(tools.DockerRegistry)
	crane      = sync.OnceValues(func() (string, error) { return tools.Crane(context.Background()) })
	skopeo     = sync.OnceValues(func() (string, error) { return exec.LookPath("skopeo") })
	rsyncPath  = sync.OnceValues(func() (string, error) { return exec.LookPath("rsync") })
	registryfs = sync.OnceValues(buildRegistryfs)
)

// buildRegistryfs builds the program in its own module, with that module's
// versions of its dependencies.
func buildRegistryfs() (string, error) {
	if path := os.Getenv("REGISTRYFS"); path != "" {
		return filepath.Abs(path)
	}
	path := filepath.Join(scratch, "registryfs")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/registryfs")
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build registryfs: %w\n%s", err, out)
	}
	return path, nil
}

// program returns the path of one of the programs above. Without it the test
// ends: failed when CI is set, where all of them belong, else skipped.
func program(t testing.TB, find func() (string, error)) string {
	t.Helper()
	path, err := find()
	need(t, err)
	return path
}

// need ends the test if something that it needs is missing.
func need(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal(err)
	}
	t.Skip(err)
}

// commandTimeout ends a command that hangs, so that the mounts are taken down.
const commandTimeout = 2 * time.Minute

// result is what a command left behind.
type result struct {
	stdout, stderr string
	code           int
}

// try runs a command and returns its exit status, whatever it is.
func try(t testing.TB, name string, args ...string) result {
	t.Helper()
	return tryFor(t, commandTimeout, name, args...)
}

// tryFor is try for what may take longer.
func tryFor(t testing.TB, limit time.Duration, name string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = environ()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second // a mount in the background must not hold us up
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// run runs a command that must succeed and returns what it printed.
func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	r := try(t, name, args...)
	if r.code != 0 {
		t.Fatalf("%s %s: exit status %d\n%s%s", name, strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// environ keeps the user's own state out of the tests and the tests out of it.
// It has the credentials of the S3 server.
func environ() []string {
	env := append(os.Environ(), "LC_ALL=C", "XDG_STATE_HOME="+filepath.Join(scratch, "state"))
	return append(env, s3server.Environ()...)
}
