package layout

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestAppendRecord(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state/records")
	const most = 100
	for i := range 1000 {
		if err := appendRecord(file, fmt.Appendf(nil, "record %03d\n", i), most); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(file); err != nil || info.Size() > most+11 {
			t.Fatalf("after %d records the file is %v, %v", i, info.Size(), err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil || !strings.HasSuffix(string(text), "record 997\nrecord 998\nrecord 999\n") {
		t.Errorf("the file has %q, %v, want the newest", text, err)
	}
	if entries, err := os.ReadDir(filepath.Dir(file)); err != nil || len(entries) != 1 {
		t.Errorf("beside the file there are %v, %v", entries, err)
	}
}

// TestStateFilesAreBounded: whoever goes on finding new manifests for months does
// not fill the disk, and what is left of the files is understood.
func TestStateFilesAreBounded(t *testing.T) {
	dir := t.TempDir()
	sizes, rels := newManifestSizes(dir), newManifestRelations(dir)
	for name, most := range map[string]int64{sizesFile: mostSizes, relationsFile: mostRelations} {
		old := strings.Repeat("x", int(most))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(old), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := digest.FromString("a manifest")
	sizes.put(d, 7)
	rels.put(relations{Manifest: d, Subject: digest.FromString("another")})
	for name, most := range map[string]int64{sizesFile: mostSizes, relationsFile: mostRelations} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() > most/2+1000 {
			t.Errorf("%s has %d bytes, %v, want half of %d", name, info.Size(), err, most)
		}
	}
	if size, ok := newManifestSizes(dir).get(d); !ok || size != 7 {
		t.Errorf("the size is %d, %t, want it remembered", size, ok)
	}
}
