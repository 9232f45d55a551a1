package readahead

import (
	"testing"
	"time"
)

func TestWindowDeepens(t *testing.T) {
	tests := []struct {
		name  string
		first []time.Duration
		want  int
	}{
		{"nothing is known", []time.Duration{0}, maxParts},
		{"far", []time.Duration{20 * time.Millisecond, 0, 30 * time.Millisecond}, maxParts},
		{"near", []time.Duration{0, time.Millisecond}, nearParts},
		{"near and busy", []time.Duration{20 * time.Millisecond, time.Millisecond}, nearParts},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := &window{}
			for _, first := range tt.first {
				p := &part{}
				p.first.Store(int64(first))
				w.parts = append(w.parts, p)
			}
			for range 10 {
				before := w.depth
				w.deepen()
				if w.depth < before || w.depth > max(1, 4*before) {
					t.Errorf("depth %d after %d", w.depth, before)
				}
			}
			if w.depth != tt.want {
				t.Errorf("depth %d in the end, want %d", w.depth, tt.want)
			}
		})
	}
}

// One part that happened to answer soon takes nothing from a far window.
func TestWindowStaysDeep(t *testing.T) {
	p := &part{}
	p.first.Store(int64(time.Millisecond))
	w := &window{depth: maxParts, parts: []*part{p}}
	w.deepen()
	if w.depth != maxParts {
		t.Errorf("depth %d", w.depth)
	}
}
