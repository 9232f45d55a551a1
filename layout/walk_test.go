package layout

import (
	"slices"
	"testing"

	"registryfs/drivers/drivertest"
	"registryfs/drivers/inmemory"
)

// TestWalk: all files in one listing, and a manifest of known size in one request.
func TestWalk(t *testing.T) {
	inner := inmemory.New()
	img := newImage("one", 1)
	putImage(t, New(inner, testOptions(t, Options{})).Repository("app"), "latest", img)
	counting := drivertest.NewCounting(drivertest.Remote(inner))
	r := New(counting, testOptions(t, Options{}))

	var got []string
	var size int64
	for _, f := range collect(t, r.Raw().Walk(t.Context(), RawBlobs)) {
		got = append(got, string(f.Path))
		if f.Blob == img.digest() {
			size = f.Size
		}
	}
	all := paths(t, inner)
	want := slices.DeleteFunc(all, func(path string) bool { return blobFromPath(path) == "" })
	if !slices.Equal(got, want) || len(want) != 3 {
		t.Errorf("Walk = %q, want %q", got, want)
	}
	parts, err := r.PartsSized(t.Context(), img.digest(), size)
	if err != nil || len(parts.Blobs) != 2 {
		t.Errorf("PartsSized = %+v, %v", parts, err)
	}
	if c := counting.Counts(); c["Walk"] != 1 || c["GetContent"] != 1 || c["Stat"] != 0 {
		t.Errorf("calls: %v, want one Walk and one GetContent", c)
	}
	for _, f := range collect(t, r.Raw().Walk(t.Context(), "/none")) {
		t.Errorf("Walk of nothing yields %s", f.Path)
	}
}
