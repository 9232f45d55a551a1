package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// account is a user to run programs as.
type account struct {
	name       string
	credential *syscall.Credential // nil: the one that we are
}

var self = account{}

func (a account) isRoot() bool { return a.credential == nil && os.Geteuid() == 0 }

// ordinaryUser is nobody, or who we are if that is not root.
func ordinaryUser() (account, error) {
	if os.Geteuid() != 0 {
		return self, nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return account{}, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return account{}, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return account{}, err
	}
	return account{u.Username, &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

// command is a program that a signal from the terminal does not reach: the
// order in which things end is ours to choose.
func command(ctx context.Context, a account, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.credential, Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // with those that it has started
	return cmd
}

// measure runs a program to its end and returns how long that took.
func measure(ctx context.Context, a account, name string, args ...string) (time.Duration, error) {
	cmd := command(ctx, a, name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	start := time.Now()
	err := cmd.Run() // its standard output is /dev/null
	took := time.Since(start)
	if err != nil {
		return 0, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return took, ctx.Err()
}

// seconds is measure for what is shown in seconds.
func seconds(ctx context.Context, name string, args ...string) (float64, error) {
	took, err := measure(ctx, self, name, args...)
	return took.Seconds(), err
}

// cannotMount says why the user cannot mount, or nothing.
func (b *bench) cannotMount(ctx context.Context, a account) string {
	if a.isRoot() {
		return ""
	}
	if _, err := exec.LookPath("fusermount3"); err != nil {
		return err.Error()
	}
	if _, err := measure(ctx, a, b.registryfs, "version"); err != nil {
		return fmt.Sprintf("%s cannot run a program in %s: use another --dir", a.name, b.work)
	}
	if _, err := measure(ctx, a, "sh", "-c", "exec <>/dev/fuse"); err != nil {
		return a.name + " cannot open /dev/fuse: chmod 666 /dev/fuse"
	}
	return ""
}
