package blobcache

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// onDisk is what the blobs' files take.
func onDisk(t *testing.T, c *Cache) (bytes int64) {
	t.Helper()
	err := filepath.WalkDir(c.root, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && !e.IsDir() {
			bytes += room(info.Sys().(*syscall.Stat_t))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

// age makes a blob one that was used so long ago.
func age(t *testing.T, c *Cache, d digest.Digest, ago time.Duration) {
	t.Helper()
	at := time.Now().Add(-ago)
	if err := os.Chtimes(c.path(d), at, at); err != nil {
		t.Fatal(err)
	}
}

func TestEvict(t *testing.T) {
	const limit, size = 2 << 20, 200_000
	c := open(t, t.TempDir(), limit)
	var all []digest.Digest
	put := func(seed uint64) {
		p, d := content(seed, size)
		fill(t, c, p, size)
		all = append(all, d)
		if used := onDisk(t, c); used > limit {
			t.Errorf("%d bytes are used of %d", used, limit)
		}
	}
	for i := range uint64(8) {
		put(100 + i)
		age(t, c, all[i], time.Duration(20-i)*time.Hour)
	}
	// The oldest is used once more.
	c.Blob(all[0], -1).Close()
	for i := range uint64(3) {
		put(200 + i)
	}
	for i, want := range []bool{true, false} {
		b := c.Blob(all[i], -1)
		if got := b != nil; got != want {
			t.Errorf("blob %d is there: %v, want %v", i, got, want)
		}
		b.Close()
	}
	if s := c.Stats(); s.Evicted == 0 || s.Evicted > 4 {
		t.Errorf("%d blobs were evicted", s.Evicted)
	}
}

// TestEvictOpen evicts what somebody reads.
func TestEvictOpen(t *testing.T) {
	c := open(t, t.TempDir(), 1<<20)
	p, d := content(1, 200_000)
	fill(t, c, p, len(p))
	b := c.Blob(d, -1)
	defer b.Close()
	for i := range uint64(10) {
		q, _ := content(50+i, 200_000)
		fill(t, c, q, len(q))
		if _, err := os.Stat(c.path(d)); err != nil {
			break
		}
		age(t, c, d, time.Hour)
	}
	if _, err := os.Stat(c.path(d)); err == nil {
		t.Fatal("it was not evicted")
	}
	got := make([]byte, len(p))
	if !b.ReadAt(got, 0) || string(got) != string(p) {
		t.Errorf("an open blob cannot be read after it was evicted")
	}
}

// TestSmallerThanBefore opens a cache with less room than what is in it.
func TestSmallerThanBefore(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, 8<<20)
	for i := range uint64(10) {
		p, d := content(i, 200_000)
		fill(t, c, p, len(p))
		age(t, c, d, time.Duration(20-i)*time.Hour)
	}
	c.Close()
	c = open(t, dir, 1<<20)
	eventually(t, "the count", func() bool { return c.Stats().UsedBytes > 0 })
	if used := onDisk(t, c); used > 1<<20 {
		t.Errorf("%d bytes are used of %d", used, 1<<20)
	}
	if _, d := content(9, 200_000); !c.Has(d) {
		t.Error("the newest blob was evicted")
	}
}

// TestEvictOfMany evicts the oldest of more blobs than it looks at together.
func TestEvictOfMany(t *testing.T) {
	old := mostListed
	mostListed = 4
	t.Cleanup(func() { mostListed = old })
	const limit = 1 << 20
	c := open(t, t.TempDir(), limit)
	var all []digest.Digest
	for i := range uint64(100) {
		p, d := content(i, 16_000)
		fill(t, c, p, len(p))
		if i < 60 {
			age(t, c, d, time.Duration(100-i)*time.Hour)
		}
		all = append(all, d)
		if used := onDisk(t, c); used > limit {
			t.Fatalf("%d bytes are used of %d", used, limit)
		}
	}
	c.usage.mu.Lock()
	if n := len(c.list()); n != mostListed {
		t.Errorf("%d blobs are listed, want %d", n, mostListed)
	}
	c.usage.mu.Unlock()
	for i, d := range all {
		if got, want := c.Has(d), i >= 60; got != want && (i < 20 || want) {
			t.Errorf("blob %d is there: %v, want %v", i, got, want)
		}
	}
}

// TestTooLarge keeps nothing of a blob that would push out all others.
func TestTooLarge(t *testing.T) {
	c := open(t, t.TempDir(), 1<<20)
	p, d := content(1, 600_000)
	b := c.Blob(d, int64(len(p)))
	b.Fill(p, 0)
	eventually(t, "that nothing waits", func() bool { return len(c.free) == queueBuffers })
	b.Close()
	if c.Blob(d, -1) != nil {
		t.Errorf("it was kept")
	}
}

func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, 1<<20)
	p, d := content(1, 100)
	fill(t, c, p, 100)
	c.Close()
	shard := filepath.Dir(c.path(d))
	hex := digest.FromString("x").Encoded()
	long := time.Now().Add(-time.Hour)
	for _, suffix := range []string{partSuffix, sumsSuffix} {
		for _, name := range []string{hex[:63] + "0" + suffix, hex[:63] + "1" + suffix} {
			if suffix == partSuffix && name[63] == '1' {
				continue
			}
			path := filepath.Join(shard, name)
			if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, long, long); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Remove(filepath.Join(shard, hex[:63]+"0"+sumsSuffix)); err != nil {
		t.Fatal(err)
	}
	c = open(t, dir, 1<<20)
	eventually(t, "a clean directory", func() bool {
		names, err := os.ReadDir(shard)
		if err != nil {
			t.Fatal(err)
		}
		return len(names) == 1
	})
	if used := c.Stats().UsedBytes; used != 4096 {
		t.Errorf("%d bytes are counted, want 4096", used)
	}
}
