package compat

import (
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// TestLostCorrupt: a registry never replaces a blob that it has, damaged as it may
// be. Removed from lost/corrupt, it comes back with the next push.
func TestLostCorrupt(t *testing.T) { onEach(t, testLostCorrupt) }

func testLostCorrupt(t *testing.T, k kind) {
	needFUSE(t)
	s := emptyStorage(t, k)
	p := &gcPusher{t: t, host: serve(t, v3, s).Host, tags: map[string]v1.Image{}}
	img := randomImage(t, 2)
	p.push("app:one", img)
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	d, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(s.dir, "docker/registry/v2/blobs/sha256", d.Hex[:2], d.Hex, "data")
	if err := os.WriteFile(data, []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	if report := runCheck(t, s, 1, "--data"); report.Summary.Faults != 1 {
		t.Errorf("check finds %+v, want the damaged layer", report.Findings)
	}

	mnt := mount(t, s, "--allow-delete")
	lost, err := filepath.Glob(filepath.Join(mnt, "lost/corrupt/*"))
	if err != nil || len(lost) != 1 {
		t.Fatalf("lost/corrupt has %q, %v, want one entry", lost, err)
	}
	if got := run(t, "cat", lost[0]); got != "damaged" {
		t.Errorf("%s has %q", lost[0], got)
	}
	run(t, "rm", lost[0])
	p.push("app:two", img)
	p.checkPulled("")
	runCheck(t, s, 0, "--data")
}
