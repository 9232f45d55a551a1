package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestSparing(t *testing.T) {
	var text bytes.Buffer
	h := newSparing(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))
	now := time.Now()
	h.kinds.now = func() time.Time { return now }
	log := slog.New(h)
	lines := func(what string) int { return strings.Count(text.String(), "msg="+what) }

	for range 3 * sparingBurst {
		log.Warn("refused")
		log.Info("told")
	}
	log.With("a", 1).Error("other")
	if got := lines("refused"); got < sparingBurst || got > sparingBurst+1 {
		t.Errorf("%d lines of one kind were logged at once, want about %d", got, sparingBurst)
	}
	if lines("told") != 3*sparingBurst || lines("other") != 1 {
		t.Errorf("%d lines that are no warnings and %d of another kind were logged, want all", lines("told"), lines("other"))
	}

	text.Reset()
	now = now.Add(10 * sparingEvery)
	for range 100 {
		log.Warn("refused")
	}
	if got := lines("refused"); got != 10 {
		t.Errorf("after 10 times the interval %d lines were logged, want 10", got)
	}
	if !strings.Contains(text.String(), "msg=refused left-out=1999\n") {
		t.Errorf("the log does not say how many were left out: %s", &text)
	}

	text.Reset()
	for i := range 2 * maxKinds {
		log.Warn(strings.Repeat("x", i+1))
	}
	if got := len(h.kinds.of); got > maxKinds {
		t.Errorf("%d kinds are kept, want at most %d", got, maxKinds)
	}
}
