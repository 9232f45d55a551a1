package blobcache

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// content is size bytes that seed decides, and their digest.
func content(seed uint64, size int) ([]byte, digest.Digest) {
	p := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(p)
	return p, digest.FromBytes(p)
}

func open(t testing.TB, dir string, size int64) *Cache {
	t.Helper()
	c, err := Open(dir, size, nil)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come about", what)
		}
	}
}

// fill offers a blob in pieces of n bytes and waits until it is whole.
func fill(t testing.TB, c *Cache, p []byte, n int) {
	t.Helper()
	d := digest.FromBytes(p)
	b := c.Blob(d, int64(len(p)))
	defer b.Close()
	if b == nil {
		t.Fatalf("Blob(%s, %d) = nil", d, len(p))
	}
	w := b.Filler(0)
	for rest := p; len(rest) > 0; {
		k := min(n, len(rest))
		w.Write(rest[:k])
		rest = rest[k:]
		eventually(t, "free buffers", func() bool { return len(c.free) > 1+n/queueBuffer || len(c.free) == queueBuffers })
	}
	w.Close()
	eventually(t, "a whole blob", func() bool { return b.File() != nil })
}

// read reads the blob as a reader does who knows nothing of its size.
func read(t testing.TB, c *Cache, d digest.Digest, size int) (p []byte, ok bool) {
	t.Helper()
	b := c.Blob(d, -1)
	if b == nil {
		return nil, false
	}
	defer b.Close()
	if b.Size() != int64(size) {
		t.Fatalf("the size of %s is %d, want %d", d, b.Size(), size)
	}
	p = make([]byte, size)
	return p, b.ReadAt(p, 0)
}

func TestFill(t *testing.T) {
	for _, size := range []int{1, block - 1, block, block + 1, 3*block + 7, 5 << 20} {
		for _, n := range []int{size, 1000, block, 300_000} {
			if size/n > 2000 {
				continue
			}
			dir := t.TempDir()
			c := open(t, dir, 64<<20)
			p, d := content(uint64(size), size)
			fill(t, c, p, n)
			if got, ok := read(t, c, d, size); !ok || !c.Has(d) || !bytes.Equal(got, p) {
				t.Errorf("%d bytes in pieces of %d: read %v, and other bytes", size, n, ok)
			}
			c.Close()
			again := open(t, dir, 64<<20)
			if got, ok := read(t, again, d, size); !ok || !bytes.Equal(got, p) {
				t.Errorf("%d bytes in pieces of %d, opened again: read %v, and other bytes", size, n, ok)
			}
			b := again.Blob(d, int64(size))
			eventually(t, "the file of a blob of an earlier run", func() bool { return b.File() != nil })
			b.Close()
			again.Close()
		}
	}
}

// TestOutOfOrder fills a blob as parallel requests do, in pieces that do not end
// where blocks do.
func TestOutOfOrder(t *testing.T) {
	c := open(t, t.TempDir(), 64<<20)
	p, d := content(1, 2<<20+12345)
	b := c.Blob(d, int64(len(p)))
	defer b.Close()
	const part = 150_001
	n := (len(p) + part - 1) / part
	for _, i := range rand.Perm(n) {
		lo, hi := i*part, min(len(p), (i+1)*part)
		b.Fill(p[lo:hi], int64(lo))
	}
	// The edges that were forgotten come again.
	eventually(t, "a whole blob", func() bool {
		b.Fill(p, 0)
		return b.File() != nil
	})
	if got, ok := read(t, c, d, len(p)); !ok || !bytes.Equal(got, p) {
		t.Errorf("read %v, and other bytes", ok)
	}
	if s := c.Stats(); s.FilledBytes != int64(len(p)) {
		t.Errorf("%d bytes were written for a blob of %d", s.FilledBytes, len(p))
	}
}

// TestPart keeps what was read of a blob, over a restart too.
func TestPart(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, 64<<20)
	p, d := content(2, 10*block+100)
	b := c.Blob(d, int64(len(p)))
	b.Fill(p[2*block-5:5*block+9], 2*block-5)
	b.Fill(p[10*block:], 10*block)
	eventually(t, "four blocks", func() bool { return c.Stats().FilledBytes == 3*block+100 })
	check := func(b *Blob) {
		t.Helper()
		for _, test := range []struct {
			off, n int64
			want   bool
		}{
			{2 * block, 3 * block, true}, {2*block + 1, 10, true}, {3*block - 5, 10, true}, {2*block - 1, 2, false},
			{5*block - 1, 2, false}, {10 * block, 100, true}, {10*block + 99, 1, true}, {0, 1, false}, {10 * block, 101, false},
		} {
			got := make([]byte, test.n)
			if ok := b.ReadAt(got, test.off); ok != test.want {
				t.Errorf("ReadAt(%d bytes, %d) = %v, want %v", test.n, test.off, ok, test.want)
			} else if ok && !bytes.Equal(got, p[test.off:test.off+test.n]) {
				t.Errorf("ReadAt(%d bytes, %d) read other bytes", test.n, test.off)
			}
		}
		if got := b.Cached(2*block+5, 1<<20); got != 3*block-5 {
			t.Errorf("Cached = %d, want %d", got, 3*block-5)
		}
		for _, test := range []struct{ off, n, want int64 }{
			{0, 1 << 20, 2 * block}, {10, 100, 100}, {2 * block, 5, 0}, {3*block + 7, 1 << 20, 0},
			{5*block + 1, 1 << 20, 5*block - 1}, {6 * block, block, block}, {10*block + 50, 10, 0},
		} {
			if got := b.Missing(test.off, test.n); got != test.want {
				t.Errorf("Missing(%d, %d) = %d, want %d", test.off, test.n, got, test.want)
			}
		}
		if b.File() != nil {
			t.Errorf("there is a file of a part")
		}
	}
	check(b)
	b.Close()
	c.Close()
	c = open(t, dir, 64<<20)
	b = c.Blob(d, -1)
	check(b)
	b.Close()
	fill(t, c, p, len(p))
	if s := c.Stats(); s.FilledBytes != int64(len(p))-3*block-100 {
		t.Errorf("%d bytes were written, want those that were missing", s.FilledBytes)
	}
}

func TestWrongBytes(t *testing.T) {
	for _, size := range []int{100, 3 * block} {
		c := open(t, t.TempDir(), 64<<20)
		p, d := content(3, size)
		b := c.Blob(d, int64(size))
		wrong := bytes.Clone(p)
		wrong[size/2] ^= 1
		b.Fill(wrong, 0)
		eventually(t, "the verdict", b.Bad)
		if b.ReadAt(make([]byte, 1), 0) {
			t.Errorf("%d bytes: ReadAt succeeds after the verdict", size)
		}
		b.Close()
		if c.Blob(d, -1) != nil {
			t.Errorf("%d bytes: something is kept of wrong bytes", size)
		}
		fill(t, c, p, size) // the store was repaired
	}
}

// damage flips a bit of a file of the cache.
func damage(t *testing.T, path string, off int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 4
	if _, err := f.WriteAt(b[:], off); err != nil {
		t.Fatal(err)
	}
}

func TestBitRot(t *testing.T) {
	for _, size := range []int{100, 3 << 20, 9 << 20} {
		dir := t.TempDir()
		c := open(t, dir, 64<<20)
		p, d := content(4, size)
		fill(t, c, p, size)
		c.Close()
		damage(t, c.path(d), int64(size/2))
		c = open(t, dir, 64<<20)
		if _, ok := read(t, c, d, size); ok {
			t.Errorf("%d bytes: a damaged blob was read", size)
		}
		eventually(t, "that it is dropped", func() bool {
			b := c.Blob(d, -1)
			b.Close()
			return b == nil
		})
		if c.Bad(d) {
			t.Errorf("%d bytes: damage on this disk is blamed on the store", size)
		}
		fill(t, c, p, size)
	}
}

// TestVouched: what one process has hashed the next one hands out at once, unless
// it is another file by then.
func TestVouched(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, 64<<20)
	p, d := content(6, 9<<20)
	fill(t, c, p, len(p))
	c.Close()
	handedOut := func() bool {
		c := open(t, dir, 64<<20)
		defer c.Close()
		close(c.stop) // nothing is hashed
		c.done.Wait()
		c.stop = make(chan struct{})
		b := c.Blob(d, -1)
		defer b.Close()
		return b.File() != nil
	}
	if !handedOut() {
		t.Error("a blob that was hashed is hashed again")
	}
	damage(t, c.path(d), 5)
	if handedOut() {
		t.Error("a damaged blob is handed out")
	}
}

func TestBitRotOfPart(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, 64<<20)
	p, d := content(5, 8*block)
	b := c.Blob(d, int64(len(p)))
	b.Fill(p[:4*block], 0)
	eventually(t, "four blocks", func() bool { return c.Stats().FilledBytes == 4*block })
	b.Close()
	c.Close()
	damage(t, c.path(d)+partSuffix, 2*block+17)        // a block
	damage(t, c.path(d)+sumsSuffix, int64(sumsHeader)) // a checksum
	c = open(t, dir, 64<<20)
	b = c.Blob(d, int64(len(p)))
	defer b.Close()
	for i, want := range []bool{false, true, false, true, false} {
		if got := b.ReadAt(make([]byte, block), int64(i)*block); got != want {
			t.Errorf("block %d: ReadAt = %v, want %v", i, got, want)
		}
	}
	fill(t, c, p, len(p))
}

// TestRotBeforeTheEnd damages a block between its writing and the hashing.
func TestRotBeforeTheEnd(t *testing.T) {
	c := open(t, t.TempDir(), 64<<20)
	p, d := content(6, 8*block)
	b := c.Blob(d, int64(len(p)))
	defer b.Close()
	b.Fill(p[:7*block], 0)
	eventually(t, "seven blocks", func() bool { return c.Stats().FilledBytes == 7*block })
	damage(t, c.path(d)+partSuffix, 3*block)
	b.Fill(p[7*block:], 7*block)
	eventually(t, "that it is noticed", func() bool { return c.Stats().Damaged == 1 })
	if b.Bad() {
		t.Errorf("damage on this disk is blamed on the store")
	}
	fill(t, c, p, len(p))
}

// TestEmptyAfterCrash: a crash right after the renaming can leave a file without its
// bytes, which is no reason never to keep the blob again.
func TestEmptyAfterCrash(t *testing.T) {
	for _, size := range []int{1000, 5 * block} {
		c := open(t, t.TempDir(), 8<<20)
		p, d := content(21, size)
		if err := os.MkdirAll(filepath.Dir(c.path(d)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(c.path(d), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		fill(t, c, p, len(p))
		if got, ok := read(t, c, d, size); !ok || !bytes.Equal(got, p) {
			t.Errorf("a blob of %d bytes is not read", size)
		}
	}
}

func TestOtherSize(t *testing.T) {
	c := open(t, t.TempDir(), 64<<20)
	p, d := content(7, 4*block)
	b := c.Blob(d, int64(len(p)))
	b.Fill(p[:block], 0)
	b.Close()
	eventually(t, "a block", func() bool { return c.Stats().FilledBytes == block && len(c.free) == queueBuffers })
	if b := c.Blob(d, 3*block); b != nil {
		t.Errorf("a part of a blob of another size is there")
	}
	if b := c.Blob(d, -1); b != nil {
		t.Errorf("a part of a blob of another size is kept")
	}
	fill(t, c, p, len(p))
	if b := c.Blob(d, 3*block); b != nil {
		t.Errorf("a blob has a size that its digest does not have")
	}
}

func TestNil(t *testing.T) {
	var c *Cache
	p, d := content(8, 100)
	b := c.Blob(d, 100)
	b.Fill(p, 0)
	if b.ReadAt(p, 0) || b.File() != nil || b.Bad() || b.Cached(0, 1) != 0 || c.Bad(d) || c.Has(d) || c.Stats() != (Stats{}) {
		t.Errorf("no cache has something")
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// overfill fills while nothing can be written: as much as there are buffers for. The
// rest must not wait.
func overfill(t *testing.T, b *Blob, p []byte) {
	t.Helper()
	mu := &b.e.c.usage.mu
	eventually(t, "the first count", mu.TryLock)
	defer mu.Unlock()
	b.Fill(p, 0)
}

// TestQueueFull reads while nothing can be written.
func TestQueueFull(t *testing.T) {
	c := open(t, t.TempDir(), 1<<30)
	p, d := content(9, 2*queueBuffer*queueBuffers)
	b := c.Blob(d, int64(len(p)))
	defer b.Close()
	overfill(t, b, p)
	if s := c.Stats(); s.DroppedBytes < queueBuffer*(queueBuffers-2) {
		t.Errorf("%d bytes were left out of %d", s.DroppedBytes, len(p))
	}
	fill(t, c, p, len(p)/8)
}

func TestRefusedDirectories(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give a directory away")
	}
	for _, test := range []struct {
		name string
		make func(dir string) error
		want string
	}{
		{"foreign", func(dir string) error { return os.Chown(dir, 1234, 1234) }, "belongs to user 1234"},
		{"writable", func(dir string) error { return os.Chmod(dir, 0o770) }, "chmod 700"},
		{"link", func(dir string) error { return os.Rename(dir, dir+"2") }, "symbolic link"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "cache")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := test.make(dir); err != nil {
				t.Fatal(err)
			}
			if test.name == "link" {
				os.Symlink(dir+"2", dir)
			}
			c, err := Open(dir, 1<<20, nil)
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				c.Close()
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Open = %v, want %q", err, test.want)
			}
		})
	}
	dir := filepath.Join(t.TempDir(), "a", "b")
	open(t, dir, 1<<20)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("a new directory is %v, %v, want mode 0700", info.Mode(), err)
	}
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("test", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("cannot mount a small tmpfs: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	c := open(t, filepath.Join(dir, "cache"), 1<<30)
	p, _ := content(10, 3<<20)
	fill(t, c, p, len(p))
	// Somebody else takes what is left.
	f, err := os.Create(filepath.Join(dir, "other"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for n := 0; n < 64; n++ {
		if _, err := f.Write(make([]byte, 128<<10)); err != nil {
			break
		}
	}
	q, d := content(11, 3<<20)
	b := c.Blob(d, int64(len(q)))
	b.Fill(q, 0)
	b.ReadAt(make([]byte, 100), 0)
	b.Close()
	eventually(t, "that nothing waits", func() bool { return len(c.free) == queueBuffers })
	if s := c.Stats(); s.DroppedBytes == 0 && s.Failures == 0 {
		t.Errorf("all fitted: %+v", s)
	}
	if got, ok := read(t, c, digest.FromBytes(p), len(p)); ok && !bytes.Equal(got, p) {
		t.Errorf("other bytes are read")
	}
	if got, ok := read(t, c, d, len(q)); ok && !bytes.Equal(got, q) {
		t.Errorf("other bytes are read of what did not fit")
	}
}

// TestFillAfterClose offers what was under way when the blob was closed.
func TestFillAfterClose(t *testing.T) {
	c := open(t, t.TempDir(), 64<<20)
	p, d := content(12, 4*block)
	b := c.Blob(d, int64(len(p)))
	b.Fill(p[:block], 0)
	b.Close()
	b.Close()
	eventually(t, "a block", func() bool { return c.Stats().FilledBytes == block && len(c.free) == queueBuffers })
	b.Fill(p, 0)
	eventually(t, "that nothing waits", func() bool { return len(c.free) == queueBuffers })
	if s := c.Stats(); s.FilledBytes != block || s.Failures > 0 {
		t.Errorf("after Close: %+v", s)
	}
	fill(t, c, p, len(p))
}

// TestFetchAgain completes a blob that was read for the most part, however much of
// it was left out.
func TestFetchAgain(t *testing.T) {
	const queue = queueBuffer * queueBuffers
	for _, test := range []struct {
		size, read int
		want       bool
	}{
		{3 * queue / 2, 3 * queue / 2, true},
		{4 * queue, 4 * queue, true},
		{4 * queue, 4*queue/2 + block, true},
		{4 * queue, 4*queue/2 - 2*block, false},
	} {
		t.Run(fmt.Sprintf("%d of %d", test.read, test.size), func(t *testing.T) {
			c := open(t, t.TempDir(), 1<<30)
			p, d := content(13, test.size)
			b := c.Blob(d, int64(len(p)))
			var fetched atomic.Int64
			b.FetchWith(func(_ context.Context, off, n int64) (io.ReadCloser, error) {
				fetched.Add(n)
				return io.NopCloser(bytes.NewReader(p[off : off+n])), nil
			})
			overfill(t, b, p[:test.read])
			b.Close()
			if !test.want {
				eventually(t, "that nothing waits", func() bool { return len(c.free) == queueBuffers })
				if n := fetched.Load(); n > 0 || c.Has(d) {
					t.Errorf("%d bytes were fetched of a blob that was read in part", n)
				}
				return
			}
			eventually(t, "a whole blob", func() bool {
				b := c.Blob(d, -1)
				defer b.Close()
				return b.File() != nil
			})
			unread := int64(test.size - test.read)
			if got, want := fetched.Load(), c.Stats().DroppedBytes+unread; got <= unread || got > want+2*block {
				t.Errorf("%d bytes were fetched again, %d left out and %d not read", got, want-unread, unread)
			}
		})
	}
}

// TestFetchAgainFull fetches nothing that there is no room for.
func TestFetchAgainFull(t *testing.T) {
	c := open(t, t.TempDir(), 1<<30)
	p, d := content(16, 2*queueBuffer*queueBuffers)
	b := c.Blob(d, int64(len(p)))
	var fetched atomic.Int64
	b.FetchWith(func(_ context.Context, off, n int64) (io.ReadCloser, error) {
		return io.NopCloser(io.TeeReader(bytes.NewReader(p[off:off+n]), counter{&fetched})), nil
	})
	overfill(t, b, p)
	eventually(t, "that nothing waits", func() bool { return len(c.free) == queueBuffers })
	c.usage.mu.Lock()
	c.usage.fullUntil = time.Now().Add(time.Hour)
	c.usage.mu.Unlock()
	b.Close()
	eventually(t, "that the blob is used no more", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return b.e.refs == 0
	})
	if n := fetched.Load(); n > 0 || c.Stats().DroppedBytes == 0 {
		t.Errorf("%d bytes were fetched, %d left out", n, c.Stats().DroppedBytes)
	}
}

type counter struct{ n *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

// TestKeep lends pieces, all of which must be given back once.
func TestKeep(t *testing.T) {
	c := open(t, t.TempDir(), 1<<30)
	c.Borrow(4 << 20)
	p, d := content(14, 16<<20+block/2)
	b := c.Blob(d, int64(len(p)))
	var lent, back atomic.Int64
	keep := func() {
		for off := 0; off < len(p); off += 1 << 20 {
			lent.Add(1)
			b.Keep(p[off:min(len(p), off+1<<20)], int64(off), func() { back.Add(1) })
		}
	}
	eventually(t, "the first count", func() bool { return c.usage.mu.TryLock() })
	keep()
	if n := back.Load(); n < 12 || n > 14 {
		t.Errorf("%d pieces were given back at once, want all but 4 MiB", n)
	}
	c.usage.mu.Unlock()
	for off := 0; off < len(p); off += 1 << 20 {
		eventually(t, "a piece", func() bool {
			n := min(1<<20, len(p)-off)
			lent.Add(1)
			b.Keep(p[off:off+n], int64(off), func() { back.Add(1) })
			return b.Cached(int64(off), int64(n)) == int64(n)
		})
	}
	eventually(t, "a whole blob", func() bool { return b.File() != nil })
	keep()
	b.Close()
	keep()
	eventually(t, "that all is given back", func() bool { return back.Load() == lent.Load() && c.borrowed.Load() == 0 })
	c.Close()
	keep()
	if back.Load() != lent.Load() {
		t.Errorf("%d pieces were given back of %d", back.Load(), lent.Load())
	}
}

// TestKeepCopies keeps of reads here and there the blocks that are whole, and fetches
// the rest when most of the blob was read so.
func TestKeepCopies(t *testing.T) {
	c := open(t, t.TempDir(), 64<<20)
	p, d := content(15, 7*block+100)
	b := c.Blob(d, int64(len(p)))
	b.FetchWith(func(_ context.Context, off, n int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(p[off : off+n])), nil
	})
	for _, r := range []struct{ off, end int }{
		{5, 9}, {block - 1, block + 1}, {block + 1, 2 * block}, {2*block - 7, 6*block + 7}, {6 * block, 7*block - 1}, {7*block - 1, len(p)},
	} {
		b.Keep(bytes.Clone(p[r.off:r.end]), int64(r.off), nil)
	}
	eventually(t, "four blocks and the last one", func() bool { return c.Stats().FilledBytes >= 4*block+100 })
	for i, want := range []bool{false, false, true, true, true, true, false, true} {
		if got := b.Cached(int64(i*block), 1) > 0; got != want {
			t.Errorf("block %d is there: %v, want %v", i, got, want)
		}
	}
	b.Close()
	eventually(t, "a whole blob", func() bool { return c.Has(d) })
	if got, ok := read(t, c, d, len(p)); !ok || !bytes.Equal(got, p) {
		t.Errorf("read %v, and other bytes", ok)
	}
}
