package main

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"syscall"
	"testing"
)

// busyMount is a mount that is in use until it is detached.
type busyMount struct {
	refusal  error
	detached int
}

func (m *busyMount) Unmount() error { return m.refusal }
func (m *busyMount) Detach() error  { m.detached++; return nil }

func TestSignalUnmounts(t *testing.T) {
	for name, test := range map[string]struct {
		refusal  error
		detached int
		said     string
	}{
		"idle": {nil, 0, "unmounting"},
		"busy": {syscall.EBUSY, 1, "the mount is in use"},
		"else": {errors.New("no"), 1, "reason=no"},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			m := busyMount{refusal: test.refusal}
			c := make(signals, 2)
			c <- syscall.SIGTERM
			c.unmount(&m, t.TempDir(), slog.New(slog.NewTextHandler(&log, nil)))()
			if m.detached != test.detached || !strings.Contains(log.String(), test.said) {
				t.Errorf("detached %d times, log %q, want %d times and %q", m.detached, &log, test.detached, test.said)
			}
		})
	}
}

func TestNoSignal(t *testing.T) {
	var m busyMount
	make(signals, 2).unmount(&m, t.TempDir(), slog.New(slog.DiscardHandler))()
	if m.detached != 0 {
		t.Error("the mount was detached without a signal")
	}
}
