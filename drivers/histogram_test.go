package drivers

import (
	"testing"
	"time"
)

func TestHistogram(t *testing.T) {
	var h Histogram
	for _, d := range []time.Duration{0, DurationBounds[0], DurationBounds[0] + 1, time.Second, time.Hour} {
		h.Observe(d)
	}
	got := h.Durations()
	if got.Count != 5 || got.Sum != time.Hour+time.Second+2*DurationBounds[0]+1 {
		t.Errorf("Count %d, Sum %v", got.Count, got.Sum)
	}
	for i, want := range map[int]int64{0: 2, 1: 3, 9: 3, 10: 4, len(DurationBounds) - 1: 4} {
		if got.Within[i] != want {
			t.Errorf("within %v: %d, want %d", DurationBounds[i], got.Within[i], want)
		}
	}
}

func BenchmarkHistogram(b *testing.B) {
	var h Histogram
	for b.Loop() {
		h.Observe(200 * time.Microsecond)
	}
}
