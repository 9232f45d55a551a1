package compat

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// TestKill kills the mount in the middle of writes, a few times over the same
// store, and looks at what a fresh mount and a registry make of what is left.
func TestKill(t *testing.T) { onEach(t, testKill) }

func testKill(t *testing.T, k kind) {
	s := standardStorage(t, k, v3)
	r := serve(t, v3, s)
	served := tags(t, r)
	manifests := map[string][]byte{} // the manifests of team/app by digest
	for tag, d := range served {
		if name, _, _ := strings.Cut(tag, ":"); name == "team/app" {
			data, err := os.ReadFile(filepath.Join(s.dir, "docker/registry/v2/blobs/sha256", d.Hex[:2], d.Hex, "data"))
			if err != nil {
				t.Fatal(err)
			}
			manifests[d.String()] = data
		}
	}

	mnt := t.TempDir()
	var shown []string
	writes := 0
	for round := range 5 {
		kill := mountToKill(t, mnt, s)
		wait := startWriters(t, mnt, round, manifests)
		time.Sleep(time.Duration(150+round*97) * time.Millisecond)
		kill()
		writes += wait()

		mountAt(t, mnt, s) // recognises the dead mount point and clears it
		checkUntorn(t, mnt, manifests)
		checkLinks(t, s.dir)
		shown = tagsOfMount(t, mnt)
		unmount(t, mnt)
	}
	t.Logf("%d writes were finished before the kills", writes)
	if writes == 0 {
		t.Error("no write was finished before a kill")
	}

	// The registry may list a tag that was never finished: it lists
	// directories. All that the mount shows it must serve.
	after := digests(t, r, shown)
	checkPulled(t, r, after)
	for tag, d := range served {
		if after[tag] != d {
			t.Errorf("%s = %v after the kills, want %s", tag, after[tag], d)
		}
	}
}

// TestKilledAtOnce kills mounts as soon as they answer. A process that holds a
// file of its own mount at that moment never ends.
func TestKilledAtOnce(t *testing.T) {
	s := standardStorage(t, onDisk, v3)
	mnt := t.TempDir()
	for range 20 {
		mountToKill(t, mnt, s)()
		detach(mnt)
	}
}

// startWriters moves tags, makes tags and copies blobs in until the mount
// dies. The result waits for that and counts the writes that succeeded.
func startWriters(t testing.TB, mnt string, round int, manifests map[string][]byte) (wait func() int) {
	t.Helper()
	var wg sync.WaitGroup
	counts := make([]int, 3)
	write := func(n int, path string, data []byte) bool {
		err := os.WriteFile(path, data, 0o644)
		if err == nil {
			counts[n]++
			return true
		}
		if !errors.Is(err, syscall.ENOTCONN) && !errors.Is(err, syscall.ECONNABORTED) && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("write %s: %v", path, err)
		}
		return false
	}
	data := slices.Collect(maps.Values(manifests))
	wg.Go(func() { // moves one tag to and fro
		for i := 0; write(0, tagFile(mnt, "team/app:moving"), data[i%len(data)]); i++ {
		}
	})
	wg.Go(func() { // makes new tags
		for i := 0; write(1, tagFile(mnt, fmt.Sprintf("team/app:new-%d-%d", round, i)), data[i%len(data)]); i++ {
		}
	})
	wg.Go(func() { // pushes images of its own
		for i := 0; ; i++ {
			c := newImage(t, fmt.Sprintf("round %d image %d", round, i))
			for _, b := range c.Blobs {
				if !write(2, repository(mnt, "team/app", "_blobs", "sha256", b.Digest.Hex), b.Data) {
					return
				}
			}
			if !write(2, tagFile(mnt, "team/app:image"), c.Manifest) {
				return
			}
		}
	})
	return func() int {
		wg.Wait()
		return counts[0] + counts[1] + counts[2]
	}
}

// checkUntorn sees that every tag in the mount is one of the manifests, or one
// of the images that the third writer made: whole and named by its digest.
func checkUntorn(t testing.TB, mnt string, manifests map[string][]byte) {
	t.Helper()
	for _, tag := range tagsOfMount(t, mnt) {
		digest := sha256sum(t, tagFile(mnt, tag))[0]
		name, _, _ := strings.Cut(tag, ":")
		if _, err := os.Stat(repository(mnt, name, "_manifests", "sha256", strings.TrimPrefix(digest, "sha256:"))); err != nil {
			t.Errorf("%s is torn: %s is no manifest here", tag, digest)
		}
		if _, ok := manifests[digest]; !ok && (strings.Contains(tag, ":new-") || strings.Contains(tag, ":moving")) {
			t.Errorf("%s is torn: nobody wrote %s", tag, digest)
		}
	}
}

// checkLinks sees that every link in the store is whole and that the blob it
// names is there.
func checkLinks(t testing.TB, dir string) {
	t.Helper()
	root := filepath.Join(dir, "docker", "registry", "v2")
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() != "link" {
			return err
		}
		link, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		d, err := v1.NewHash(string(link))
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return nil
		}
		if _, err := os.Stat(filepath.Join(root, "blobs", d.Algorithm, d.Hex[:2], d.Hex, "data")); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
