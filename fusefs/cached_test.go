package fusefs

import (
	"os"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"registryfs/drivers/drivertest"
	"registryfs/drivers/inmemory"
	"registryfs/layout/blobcache"
)

// TestSecondRead reads a blob of a remote store again: that is a file of the
// local disk, to the kernel too where it can have that.
func TestSecondRead(t *testing.T) {
	t.Parallel()
	driver := drivertest.NewCounting(drivertest.Remote(inmemory.New()))
	requests := func() int {
		return driver.Count("Reader") + driver.Count("ReadRange") + driver.Count("GetContent") + driver.Count("GetContentInfo")
	}
	dir := t.TempDir()
	content := layer("second read", 9<<20)
	var first *mount
	for i, name := range []string{"first mount", "second mount"} {
		cache, err := blobcache.Open(dir, 1<<30, nil)
		if err != nil {
			t.Fatal(err)
		}
		m := newMount(t, func(c *mountConfig) { c.driver, c.layout.BlobCache = driver, cache })
		if i == 0 {
			first = m
			m.putBlob(t, "app", content)
		}
		script := `cmp $file $repos/app/_blobs/sha256/$hex`
		env := []string{"file=" + file(t, "content", content), "hex=" + hexOf(content)}
		fromFile := func() bool {
			b := cache.Blob(digest.FromBytes(content), -1)
			defer b.Close()
			return b.File() != nil
		}
		if i == 0 {
			m.bash(t, 0, script, env...)
		} else {
			// What names lead to is the store's to say; the content is here.
			m.bash(t, 0, `stat $repos/app/_blobs/sha256/$hex`, env...)
			driver.Reset()
			m.bash(t, 0, script, env...)
			if n := requests(); n > 0 {
				t.Errorf("%s: %d requests for what is in the cache: %v", name, n, driver.Counts())
			}
		}
		if !eventually(fromFile) {
			t.Fatalf("%s: the blob did not get into the cache: %+v", name, cache.Stats())
		}
		m.bash(t, 0, `stat $repos/app/_blobs/sha256/$hex`, env...)
		time.Sleep(10 * time.Millisecond) // RELEASE comes after close has returned
		driver.Reset()
		reads := m.srv.s.stats.ops[opRead].Durations().Count
		m.bash(t, 0, script, env...)
		if n := requests(); n > 0 {
			t.Errorf("%s: %d requests for what is in the cache: %v", name, n, driver.Counts())
		}
		if n := m.srv.s.stats.ops[opRead].Durations().Count - reads; n > 0 && m.srv.s.passthrough.enabled.Load() {
			t.Errorf("%s: %d reads came to us", name, n)
		}
		if i == 1 {
			first.bash(t, 0, script, env...) // both share the cache
		}
		t.Cleanup(func() { cache.Close() })
	}
}

// TestOpenBesideMapping opens a large blob while somebody has it mapped who
// opened it before it was in the cache. The kernel would refuse a passthrough.
func TestOpenBesideMapping(t *testing.T) {
	t.Parallel()
	cache, err := blobcache.Open(t.TempDir(), 1<<30, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cache.Close() })
	m := newMount(t, func(c *mountConfig) {
		c.driver, c.layout.BlobCache = drivertest.Remote(inmemory.New()), cache
	})
	content := layer("mapped", directSize+100_000)
	path := m.path("repositories/app/_blobs/sha256/" + hexOf(content))
	m.putBlob(t, "app", content)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mapped, err := unix.Mmap(int(f.Fd()), 0, len(content), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mapped)
	env := []string{"file=" + file(t, "content", content), "path=" + path}
	for range 2 {
		m.bash(t, 0, `cmp $file $path`, env...)
		if !eventually(func() bool {
			b := cache.Blob(digest.FromBytes(content), -1)
			defer b.Close()
			return b.File() != nil
		}) {
			t.Fatalf("the blob did not get into the cache: %+v", cache.Stats())
		}
	}
	if got := m.out(t, `cmp $file $path && echo same`, env...); got != "same" {
		t.Errorf("cmp says %q", got)
	}
}
