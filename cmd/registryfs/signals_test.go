package main

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
)

// busyMount is a mount that is in use until it is detached.
type busyMount struct {
	refusal  error
	uploads  []string
	detached int
}

func (m *busyMount) Unmount() error { return m.refusal }
func (m *busyMount) Detach() error  { m.detached++; return nil }

func (m *busyMount) Uploading() []string { return m.uploads }

func newSignals() signals { return signals{make(chan os.Signal, 2), make(chan os.Signal, 1)} }

func TestSignalUnmounts(t *testing.T) {
	for name, test := range map[string]struct {
		refusal  error
		uploads  []string
		detached int
		said     string
	}{
		"idle":      {nil, nil, 0, "unmounting"},
		"busy":      {syscall.EBUSY, nil, 1, "the mount is in use"},
		"else":      {errors.New("no"), nil, 1, "reason=no"},
		"uploading": {syscall.EBUSY, []string{"/a", "/b"}, 1, "waiting for 2 open uploads: /a, /b"},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			m := busyMount{refusal: test.refusal, uploads: test.uploads}
			c := newSignals()
			c.end <- syscall.SIGTERM
			c.attend(life{server: &m, mountpoint: t.TempDir(), log: slog.New(slog.NewTextHandler(&log, nil))})()
			if m.detached != test.detached || !strings.Contains(log.String(), test.said) {
				t.Errorf("detached %d times, log %q, want %d times and %q", m.detached, &log, test.detached, test.said)
			}
		})
	}
}

func TestNoSignal(t *testing.T) {
	var m busyMount
	newSignals().attend(life{server: &m, mountpoint: t.TempDir(), log: slog.New(slog.DiscardHandler)})()
	if m.detached != 0 {
		t.Error("the mount was detached without a signal")
	}
}

func TestHangupReloads(t *testing.T) {
	var m busyMount
	c, reloads := newSignals(), make(chan bool)
	stop := c.attend(life{server: &m, mountpoint: t.TempDir(), log: slog.New(slog.DiscardHandler), reload: func() { reloads <- true }})
	for range 2 {
		c.hangup <- syscall.SIGHUP
		<-reloads
	}
	stop()
	if m.detached != 0 {
		t.Error("a hangup has detached the mount")
	}
}

func TestWaitingFor(t *testing.T) {
	many := strings.Fields("a b c d e f g h i j k l")
	for want, uploads := range map[string][]string{
		"waiting for 1 open upload: a":                                          many[:1],
		"waiting for 12 open uploads: a, b, c, d, e, f, g, h, i, j, and 2 more": many,
	} {
		if got := waitingFor(uploads); got != want {
			t.Errorf("waitingFor(%q) = %q, want %q", uploads, got, want)
		}
	}
}
