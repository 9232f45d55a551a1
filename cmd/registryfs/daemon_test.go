package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Ctrl-C reaches the process that waits, and must end the one it waits for.
func TestSignalWhileStarting(t *testing.T) {
	s := newScene(t)
	fifo := filepath.Join(s.dir, "log")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "mount", s.store, s.mnt, "--log-file", fifo) // waits for a reader
	var errs bytes.Buffer
	cmd.Stderr = &errs // shared, so Wait also waits for the other process
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "there are two processes", func() bool { return len(s.processes()) == 2 })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	if err == nil || !strings.Contains(errs.String(), "the serving process died before it served the mount: signal: terminated") {
		t.Errorf("mount = %v, stderr %q, want it to tell of the signal", err, &errs)
	}
	s.unmounted(t)
}

// A variable that somebody exports must not be taken for a waiting process.
func TestFindWaiter(t *testing.T) {
	for _, value := range []string{"", "x", "0", "2", "999", "-1"} {
		t.Setenv(readyVariable, value)
		if w := findWaiter(); w != nil {
			t.Errorf("findWaiter with %q = %v, want nobody", value, w)
		}
	}
}
