package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// heard collects what a service tells its manager.
type heard struct{ conn *net.UnixConn }

func listenAsManager(t *testing.T) heard {
	t.Helper()
	name := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", name)
	return heard{conn}
}

// next is the next message; there must be one.
func (h heard) next(t *testing.T) string {
	t.Helper()
	buf := make([]byte, 4096)
	if err := h.conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	n, err := h.conn.Read(buf)
	if err != nil {
		t.Fatalf("nothing was told: %v", err)
	}
	return string(buf[:n])
}

func TestManager(t *testing.T) {
	h := listenAsManager(t)
	m := findManager()
	if socket := os.Getenv("NOTIFY_SOCKET"); socket != "" {
		t.Errorf("NOTIFY_SOCKET=%s is left for other programs", socket)
	}
	m.tell("READY=1", "STATUS=x")
	if got := h.next(t); got != "READY=1\nSTATUS=x" {
		t.Errorf("told %q", got)
	}
	m.status("two\nlines")
	if got := h.next(t); got != "STATUS=two lines" {
		t.Errorf("told %q", got)
	}
	manager{}.tell("READY=1")
	manager{"/no/such"}.tell("READY=1")
}

// TestService is a unit with Type=notify: ready when the mount answers, and at
// its end waiting for what is being written.
func TestService(t *testing.T) {
	needFUSE(t)
	h := listenAsManager(t)
	s := newScene(t)
	f := startForeground(t, s)
	if got := h.next(t); got != "READY=1\nSTATUS=serving "+s.store+" on "+s.mnt {
		t.Errorf("told %q, want that it is ready", got)
	}
	upload, err := os.Create(s.mnt + "/raw/file")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := upload.WriteString("content"); err != nil {
		t.Fatal(err)
	}
	if err := f.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"STOPPING=1\nSTATUS=unmounting " + s.mnt, "STATUS=waiting for 1 open upload: /raw/file"} {
		if got := h.next(t); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	if err := upload.Close(); err != nil {
		t.Errorf("the end of what was being written: %v", err)
	}
	f.ends(t, 0)
	if got, err := os.ReadFile(s.store + "/file"); err != nil || string(got) != "content" {
		t.Errorf("the store has %q, %v, want what was written", got, err)
	}
	if !f.said("waiting for 1 open upload: /raw/file") {
		t.Error("the log does not tell what was waited for")
	}
}

// TestUmountWaits also has the command say what it waits for.
func TestUmountWaits(t *testing.T) {
	needFUSE(t)
	s := newScene(t)
	if got := registryfs(t, "mount", s.store, s.mnt); got.status != 0 {
		t.Fatalf("mount: %v", got)
	}
	upload, err := os.Create(s.mnt + "/raw/file")
	if err != nil {
		t.Fatal(err)
	}
	got := registryfs(t, "umount", "--wait", "10ms", s.mnt)
	if got.status != 1 || !strings.Contains(got.stderr, "waiting for 1 open upload: /raw/file\n") || !strings.Contains(got.stderr, "has open "+s.mnt+"/raw/file") {
		t.Errorf("umount that waits in vain: %v, want what it waited for, and who has it", got)
	}
	done := make(chan result)
	go func() { done <- registryfs(t, "umount", s.mnt) }()
	if _, err := upload.WriteString("content"); err != nil {
		t.Error(err)
	}
	if err := upload.Close(); err != nil {
		t.Error(err)
	}
	if got := <-done; got.status != 0 {
		t.Errorf("umount: %v, want it to wait", got)
	}
	s.unmounted(t)
	if got, err := os.ReadFile(s.store + "/file"); err != nil || string(got) != "content" {
		t.Errorf("the store has %q, %v, want what was written", got, err)
	}
}
