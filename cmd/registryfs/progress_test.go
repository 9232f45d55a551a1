package main

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"registryfs/layout"
)

// screen is what a terminal was told.
type screen struct {
	mu   sync.Mutex // guards the following
	text bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// TestProgressSteps: the bar of a step that has ended is not drawn over the next one,
// nor over what a job prints at its end.
func TestProgressSteps(t *testing.T) {
	var s screen
	p := &progress{to: &s, terminal: true}
	p.update(layout.Progress{Step: "first", Done: 3})
	p.update(layout.Progress{Step: "second", Done: 1, Total: 2})
	p.close()
	end := s.String()
	time.Sleep(250 * time.Millisecond) // bars of the library draw themselves ten times a second
	if after, _ := strings.CutPrefix(s.String(), end); after != "" {
		t.Errorf("after the end %q is drawn", after)
	}
	if first, second := strings.LastIndex(end, "first"), strings.Index(end, "second"); first < 0 || second < first || !strings.Contains(end, "1/2") {
		t.Errorf("drawn: %q", end)
	}
}
