package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// A mount runs in a process of its own that is this program once more. The
// first process waits for a byte on a pipe, which says that the mount answers.
// If the pipe is closed without one, the second process has said why on the
// terminal, which is still its own until then.

// readyVariable tells the second process which descriptor the pipe is.
const readyVariable = "_REGISTRYFS_READY_FD"

// toldError is a failure that has been put into words, by the serving process or
// by a job.
type toldError struct{ status int }

func (e toldError) Error() string {
	return fmt.Sprintf("it ended with status %d", e.status)
}

// startDaemon runs this command line in a process of its own and waits until
// the mount answers.
func startDaemon() error {
	if err := closeInheritedOnExec(); err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.Command(program)
	cmd.Args = os.Args
	cmd.Env = append(os.Environ(), readyVariable+"=3")
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}

	// The new session is out of the terminal's reach.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	if err := cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("start the serving process: %w", err), w.Close())
	}
	go func() {
		for range signals {
			_ = cmd.Process.Signal(syscall.SIGTERM) // it may just have ended
		}
	}()
	w.Close() // the other process has its own
	if word, err := io.ReadAll(r); err == nil && len(word) > 0 {
		return nil
	}
	return outcome(cmd.Wait())
}

// outcome is the error of a serving process that ended before it served.
func outcome(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return toldError{exit.ExitCode()}
	}
	if err == nil {
		return errors.New("the serving process ended before it served the mount")
	}
	return fmt.Errorf("the serving process died before it served the mount: %w", err)
}

// closeInheritedOnExec keeps descriptors of our caller out of the daemon: it
// would keep a pipe open that somebody reads to its end, or a file system busy.
func closeInheritedOnExec() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("list own descriptors: %w", err)
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}

// waiter is the first process, as the second one knows it.
type waiter struct{ pipe *os.File }

// findWaiter returns nil in a process that nobody waits for.
func findWaiter() *waiter {
	text, ok := os.LookupEnv(readyVariable)
	if !ok {
		return nil
	}
	os.Unsetenv(readyVariable)
	fd, err := strconv.Atoi(text)
	var st unix.Stat_t
	if err != nil || fd < 3 || unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return nil
	}
	unix.CloseOnExec(fd) // fusermount3 is run from here
	return &waiter{os.NewFile(uintptr(fd), "ready")}
}

// ready cuts the ties to whoever called: working directory, terminal, and last
// the process that waits. What is still printed, a panic's trace, goes to the
// log file.
func (w *waiter) ready(logFile string) error {
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if err := redirect(os.DevNull, os.O_RDONLY, 0); err != nil {
		return err
	}
	if logFile == "" {
		logFile = os.DevNull
	}
	if err := redirect(logFile, os.O_WRONLY|os.O_APPEND, 1, 2); err != nil {
		return err
	}
	_, err := w.pipe.Write([]byte{1})
	if errors.Is(err, syscall.EPIPE) {
		err = nil // killed while it waited: the mount is there all the same
	}
	return errors.Join(err, w.pipe.Close())
}

func redirect(name string, mode int, fds ...int) error {
	f, err := os.OpenFile(name, mode|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, fd := range fds {
		flags := unix.O_CLOEXEC
		if fd <= 2 {
			flags = 0
		}
		if err := unix.Dup3(int(f.Fd()), fd, flags); err != nil {
			return fmt.Errorf("redirect descriptor %d to %s: %w", fd, name, err)
		}
	}
	return nil
}
