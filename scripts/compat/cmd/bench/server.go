package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// server is a process that serves a mount.
type server struct {
	mountpoint string
	cmd        *exec.Cmd
	log        *readyLog
	ended      chan error
}

// mount starts registryfs on a store and returns when it answers.
func (b *bench) mount(ctx context.Context, a account, source string, options ...string) (*server, error) {
	mountpoint, state, err := b.mountDirs(a)
	if err != nil {
		return nil, err
	}
	args := append([]string{"mount", "--foreground", "--state-dir", state}, options...)
	return start(ctx, a, mountpoint, b.registryfs, append(args, source, mountpoint)...)
}

// mountDirs makes a mount point and a directory for the server's state.
func (b *bench) mountDirs(a account) (mountpoint, state string, err error) {
	if mountpoint, err = b.newDir("mnt"); err != nil {
		return "", "", err
	}
	if state, err = b.newDir("state"); err != nil || a.credential == nil {
		return mountpoint, state, err
	}
	uid, gid := int(a.credential.Uid), int(a.credential.Gid)
	return mountpoint, state, errors.Join(os.Chown(mountpoint, uid, gid), os.Chown(state, uid, gid))
}

// mountFloor serves a copy of the tree from memory.
func (b *bench) mountFloor(ctx context.Context, tree string, flags ...string) (*server, error) {
	mountpoint, err := b.newDir("floor")
	if err != nil {
		return nil, err
	}
	return start(ctx, self, mountpoint, b.floor, append(flags, tree, mountpoint)...)
}

const (
	startPatience = time.Minute
	stopPatience  = 10 * time.Second
)

// start runs a server in the foreground until it logs that it is mounted.
func start(ctx context.Context, a account, mountpoint, program string, args ...string) (*server, error) {
	s, err := launch(ctx, a, mountpoint, program, args...)
	if err != nil {
		return nil, err
	}
	select {
	case <-s.log.ready:
		return s, nil
	case err = <-s.ended:
		return nil, fmt.Errorf("%s ended before it was mounted: %w\n%s", program, err, s.log.text())
	case <-ctx.Done():
		err = ctx.Err()
	case <-time.After(startPatience):
		err = fmt.Errorf("%s did not log that it is mounted\n%s", program, s.log.text())
	}
	return nil, errors.Join(err, s.stop())
}

// launch runs a server and does not wait until it has mounted.
func launch(ctx context.Context, a account, mountpoint, program string, args ...string) (*server, error) {
	s := &server{mountpoint: mountpoint, log: &readyLog{ready: make(chan struct{})}, ended: make(chan error, 1)}
	// Not with ctx, whose end would kill it before it has unmounted.
	s.cmd = command(context.WithoutCancel(ctx), a, program, args...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { s.ended <- s.cmd.Wait() }()
	return s, nil
}

// stop unmounts and waits for the process, by force if need be.
func (s *server) stop() error {
	err := s.cmd.Process.Signal(syscall.SIGTERM)
	if err != nil {
		return err
	}
	select {
	case err = <-s.ended:
		if err != nil {
			err = fmt.Errorf("%s: %w\n%s", s.cmd.Path, err, s.log.text())
		}
		return err
	case <-time.After(stopPatience):
	}
	err = fmt.Errorf("%s did not unmount\n%s", s.cmd.Path, s.log.text())
	if e := syscall.Unmount(s.mountpoint, syscall.MNT_DETACH); e != nil && !errors.Is(e, syscall.EINVAL) {
		err = errors.Join(err, e)
	}
	err = errors.Join(err, s.cmd.Process.Kill())
	<-s.ended
	return err
}

// path is where something lies in the mount.
func (s *server) path(parts ...string) string {
	return s.mountpoint + "/" + strings.Join(parts, "/")
}

// readyLog keeps what a server prints and sees when it is ready.
type readyLog struct {
	ready chan struct{} // closed at the first line that says "mounted"

	mu  sync.Mutex // guards the following
	buf bytes.Buffer
	saw bool
}

// Write implements io.Writer.
func (l *readyLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buf.Len() < 1<<20 {
		l.buf.Write(p)
	}
	if !l.saw && bytes.Contains(l.buf.Bytes(), []byte("mounted")) {
		l.saw = true
		close(l.ready)
	}
	return len(p), nil
}

// text is the end of what was printed.
func (l *readyLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(l.buf.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}
