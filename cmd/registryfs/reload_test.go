package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestReload is a service whose credentials and log level change while it serves.
func TestReload(t *testing.T) {
	needFUSE(t)
	withKeys(t)
	var signedBy atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, rest, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
		key, _, _ := strings.Cut(rest, "/")
		signedBy.Store(key)
		if !r.URL.Query().Has("list-type") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/xml")
		fmt.Fprint(w, emptyListing)
	}))
	t.Cleanup(server.Close)

	s := newScene(t)
	s.store = "s3://images?endpoint=" + server.URL
	file := writeFile(t, s.dir+"/env", "AWS_ACCESS_KEY_ID=FIRST\nAWS_SECRET_ACCESS_KEY=x\n")
	cmd := exec.Command(binary, "mount", "-f", "--env-file", "env", s.store, s.mnt)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal
	f := start(t, s, cmd)
	names := 0
	asked := func() string {
		names++
		_, _ = os.Stat(filepath.Join(s.mnt, "raw", fmt.Sprint(names))) // the request counts, not the answer
		return signedBy.Load().(string)
	}
	if got := asked(); got != "FIRST" {
		t.Fatalf("requests are signed by %q, want FIRST", got)
	}

	hangup := func(text, said string) {
		t.Helper()
		writeFile(t, file, text)
		if err := f.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		eventually(t, said, func() bool { return f.said(said) })
	}
	hangup("AWS_ACCESS_KEY_ID=SECOND\nAWS_SECRET_ACCESS_KEY=x\nREGISTRYFS_LOG_LEVEL=debug\n", `"settings were read again" log-level=DEBUG`)
	if got := asked(); got != "SECOND" {
		t.Errorf("requests are signed by %q, want SECOND", got)
	}
	hangup("nonsense", "send SIGHUP again")
	if got := asked(); got != "SECOND" {
		t.Errorf("after a bad file requests are signed by %q, want still SECOND", got)
	}
	if err := f.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	f.ends(t, 0)
}

// TestHangup takes the terminal away from a mount in the foreground.
func TestHangup(t *testing.T) {
	needFUSE(t)
	// What nohup ignores its children would ignore too.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(hangups) })
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	if err := unix.IoctlSetPointerInt(int(terminal.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	in, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := newScene(t)
	cmd := exec.Command(binary, "mount", "-f", s.store, s.mnt)
	cmd.Stdin = in
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	f := start(t, s, cmd)
	in.Close()
	terminal.Close()
	f.ends(t, 0)
	s.unmounted(t)
}
