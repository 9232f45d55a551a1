package readahead

import (
	"testing"
	"time"
)

func TestDeepen(t *testing.T) {
	w := &window{}
	for _, most := range []int{nearParts, maxParts} {
		for range 10 {
			before := w.depth
			if w.deepen(most); w.depth > max(1, 4*before) {
				t.Errorf("depth = %d after %d", w.depth, before)
			}
		}
		if w.depth != most {
			t.Errorf("depth = %d, want %d", w.depth, most)
		}
	}
	if w.deepen(nearParts); w.depth != maxParts {
		t.Errorf("depth = %d, want what it was before", w.depth)
	}
}

func TestDelay(t *testing.T) {
	const ms = time.Millisecond
	var d delay
	if d.isNear() {
		t.Error("a store of which nothing is known is near")
	}
	for _, step := range []struct {
		name string
		took time.Duration
		n    int
		near bool
	}{
		{"far", 20 * ms, 1, false},
		{"far and fast for once", 9 * ms, 1, false},
		{"near", 2 * ms, 1, true},
		{"near and busy", 15 * ms, 50, true},
		{"far now", 20 * ms, 200, false},
		{"near again", 7 * ms, 1, true},
	} {
		for range step.n {
			d.saw(step.took)
		}
		if d.isNear() != step.near {
			t.Errorf("%s: isNear = %v", step.name, d.isNear())
		}
	}
}

// TestPartSize: parts grow with the way of the reader, to what the store is good for.
func TestPartSize(t *testing.T) {
	for _, test := range []struct{ way, far, near int64 }{
		{0, minPart, minPart},
		{4*minPart - 1, minPart, minPart},
		{4 * minPart, 2 * minPart, 2 * minPart},
		{4 * maxPart, maxPart, nearPart},
		{1 << 40, maxPart, nearPart},
	} {
		w := &window{start: 5, pos: 5 + test.way}
		if far, near := w.partSize(maxPart), w.partSize(nearPart); far != test.far || near != test.near {
			t.Errorf("after %d bytes parts of %d far and %d near, want %d and %d", test.way, far, near, test.far, test.near)
		}
	}
}
