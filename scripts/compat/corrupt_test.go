package compat

import (
	"path/filepath"
	"testing"

	"registryfs/scripts/compat/internal/store"
)

// TestCorrupt lists a store with broken content in it by every way in.
func TestCorrupt(t *testing.T) {
	t.Parallel()
	s := standardStorage(t, onDisk, v3)
	r := serve(t, v3, s)
	want := tags(t, r)
	planted, err := store.New(s.dir).Corrupt()
	if err != nil {
		t.Fatal(err)
	}
	mnt := mount(t, s)

	for _, below := range []string{"repositories", "info", "blobs", "raw", "."} {
		for _, command := range [][]string{{"find"}, {"ls", "-lR"}, {"du", "-s"}} {
			path := filepath.Join(mnt, below)
			r := try(t, command[0], append(command[1:], path)...)
			if r.code != 0 || r.stderr != "" {
				t.Errorf("%s %s: exit status %d\n%s", command[0], path, r.code, firstLines(r.stderr, 20))
			}
			if len(r.stdout) == 0 {
				t.Errorf("%s %s printed nothing", command[0], path)
			}
		}
	}
	if t.Failed() {
		for _, p := range planted {
			t.Logf("planted: %s: %s", p.What, p.Path)
		}
	}

	// What is sound can be read, beside the broken content and elsewhere.
	for _, tag := range tagsOfMount(t, mnt) {
		if d, ok := want[tag]; ok {
			if got := sha256sum(t, tagFile(mnt, tag))[0]; got != d.String() {
				t.Errorf("sha256sum of %s = %s, want %s", tag, got, d)
			}
		}
	}
	good := tagFile(mnt, "broken/strays:good")
	for _, name := range []string{"empty-link", "newline-link", "absent-link", "large", "sparse", "schema1", "uploads", "symlinked"} {
		file := tagFile(mnt, "broken/"+name+":good")
		if digests := sha256sum(t, good, file); digests[0] != digests[1] {
			t.Errorf("sha256sum of %s = %s, want %s", file, digests[1], digests[0])
		}
	}
}
