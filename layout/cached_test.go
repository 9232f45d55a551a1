package layout

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
	"registryfs/drivers/drivertest"
	"registryfs/drivers/inmemory"
	"registryfs/layout/blobcache"
)

// cachedStore is a remote store with a blob in it, and a cache.
type cachedStore struct {
	*drivertest.Counting
	dir     string
	content []byte
	digest  digest.Digest
}

func newCachedStore(t *testing.T, size int) *cachedStore {
	t.Helper()
	s := &cachedStore{drivertest.NewCounting(drivertest.Remote(inmemory.New())), t.TempDir(), make([]byte, size), ""}
	rand.NewChaCha8([32]byte{byte(size)}).Read(s.content)
	s.digest = digest.FromBytes(s.content)
	s.put(t, s.content)
	return s
}

// put stores bytes under the digest, right or wrong.
func (s *cachedStore) put(t *testing.T, content []byte) {
	t.Helper()
	if err := s.PutContent(t.Context(), blobDataPath(s.digest), content); err != nil {
		t.Fatal(err)
	}
	s.Reset()
}

// mount is a new process on that store and the same cache.
func (s *cachedStore) mount(t *testing.T) (r *Registry, restart func()) {
	t.Helper()
	c, err := blobcache.Open(s.dir, 1<<30, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return New(s, Options{BlobCache: c, Memory: drivers.NewBudget(64 << 20)}), func() { c.Close() }
}

// calls is how many requests there were.
func (s *cachedStore) calls() (n int) {
	for method, count := range s.Counts() {
		if method != "OpenFile" { // which a remote store refuses by itself
			n += count
		}
	}
	return n
}

// read reads the whole blob and reports whether it was handed out as a file.
func (s *cachedStore) read(t *testing.T, r *Registry) (file bool, err error) {
	t.Helper()
	b, err := r.Blobs().Open(t.Context(), s.digest)
	if err != nil {
		return false, err
	}
	defer b.Close()
	if b.Size() != int64(len(s.content)) {
		t.Errorf("Size = %d, want %d", b.Size(), len(s.content))
	}
	var got []byte
	p := make([]byte, 128<<10)
	for {
		n, err := b.ReadAt(t.Context(), p, int64(len(got)))
		got = append(got, p[:n]...)
		if err == io.EOF {
			break
		}
		if err != nil {
			return false, err
		}
	}
	if !bytes.Equal(got, s.content) {
		t.Errorf("read %d other bytes", len(got))
	}
	return b.File() != nil, nil
}

// readUntilFile reads until the blob comes from the cache's file.
func (s *cachedStore) readUntilFile(t *testing.T, r *Registry) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		file, err := s.read(t, r)
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		if file {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the blob is not handed out as a file")
		}
	}
}

// TestCachedBlob reads a blob again, in the same process and in the next.
func TestCachedBlob(t *testing.T) {
	for _, size := range []int{1000, 300_000, 9 << 20} {
		s := newCachedStore(t, size)
		r, restart := s.mount(t)
		s.readUntilFile(t, r)
		for range 2 {
			s.Reset()
			if file, err := s.read(t, r); err != nil || !file {
				t.Errorf("%d bytes, again: file %v, %v", size, file, err)
			}
			if s.calls() > 0 {
				t.Errorf("%d bytes: requests for what is in the cache: %v", size, s.Counts())
			}
			restart()
			r, restart = s.mount(t)
			if _, err := s.read(t, r); err != nil {
				t.Errorf("%d bytes, after a restart: %v", size, err)
			}
			if s.calls() > 0 {
				t.Errorf("%d bytes: requests after a restart: %v", size, s.Counts())
			}
			s.readUntilFile(t, r)
		}
	}
}

// TestCachedPart reads what was read of a blob by another process.
func TestCachedPart(t *testing.T) {
	s := newCachedStore(t, 8<<20)
	r, restart := s.mount(t)
	const off, n = 3 << 20, 256 << 10
	read := func() {
		t.Helper()
		b, err := r.Blobs().Open(t.Context(), s.digest)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		p := make([]byte, n)
		if _, err := b.ReadAt(t.Context(), p, off); err != nil || !bytes.Equal(p, s.content[off:off+n]) {
			t.Errorf("ReadAt = %v, or other bytes", err)
		}
	}
	read()
	restart() // writes what was read
	r, _ = s.mount(t)
	s.Reset()
	read()
	if s.calls() > 0 {
		t.Errorf("requests for what was read before: %v", s.Counts())
	}
	s.readUntilFile(t, r) // the rest comes to it
}

func TestCachedWrongBytes(t *testing.T) {
	s := newCachedStore(t, 300_000)
	right := s.content
	s.content = bytes.Clone(right)
	s.content[1000] ^= 1
	s.put(t, s.content)
	r, _ := s.mount(t)
	var err error
	for deadline := time.Now().Add(10 * time.Second); err == nil && time.Now().Before(deadline); {
		_, err = s.read(t, r)
	}
	if !errors.Is(err, ErrCorrupt) {
		t.Errorf("read of wrong bytes = %v, want ErrCorrupt", err)
	}
	// A check still sees what there is.
	b, err := r.Blobs().Open(PastCaches(t.Context()), s.digest)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	p := make([]byte, 2000)
	if _, err := b.ReadAt(t.Context(), p, 0); err != nil || !bytes.Equal(p, s.content[:2000]) {
		t.Errorf("past the cache: %v, or other bytes", err)
	}
}

// TestPastCaches sees damage in the store of a blob that the cache has.
func TestPastCaches(t *testing.T) {
	s := newCachedStore(t, 1000)
	r, _ := s.mount(t)
	s.readUntilFile(t, r)
	damaged := bytes.Clone(s.content)
	damaged[0] ^= 1
	s.put(t, damaged)
	b, err := r.Blobs().Open(PastCaches(t.Context()), s.digest)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	p := make([]byte, 1000)
	if _, err := b.ReadAt(t.Context(), p, 0); err != nil && err != io.EOF || !bytes.Equal(p, damaged) {
		t.Errorf("past the cache: %v, or the cache's bytes", err)
	}
	if _, err := s.read(t, r); err != nil {
		t.Errorf("from the cache: %v", err)
	}
}

// TestCachedManifest gets what a tag or a closure needs without its content.
func TestCachedManifest(t *testing.T) {
	s := newCachedStore(t, 700)
	for i := range 3 {
		r, restart := s.mount(t)
		s.Reset()
		if got, err := r.readBlob(t.Context(), s.digest); err != nil || !bytes.Equal(got, s.content) {
			t.Fatalf("readBlob = %v, or other bytes", err)
		}
		want := 0
		if i == 0 {
			want = 1
		}
		if got := s.Count("GetContent") + s.Count("GetContentInfo"); got != want {
			t.Errorf("process %d: %d requests for the content, want %d", i, got, want)
		}
		restart()
	}
}

// TestCachedGaps reads in order what the cache has with holes.
func TestCachedGaps(t *testing.T) {
	const mib = 1 << 20
	s := newCachedStore(t, 24*mib)
	r, restart := s.mount(t)
	b := r.opts.BlobCache.Blob(s.digest, int64(len(s.content)))
	for off := int64(0); off < int64(len(s.content)); off += 6 * mib {
		b.Fill(s.content[off:off+4*mib], off)
		time.Sleep(20 * time.Millisecond) // for the queue
	}
	b.Close()
	restart()
	r, _ = s.mount(t)
	before := r.opts.BlobCache.Blob(s.digest, -1)
	var missing int64
	for off := int64(0); off < before.Size(); off += 64 << 10 {
		missing += before.Missing(off, 64<<10)
	}
	before.Close()
	if missing < 8*mib || missing > 12*mib {
		t.Skipf("%d bytes are missing, of 8 MiB: the machine is too busy", missing)
	}
	s.Reset()
	if _, err := s.read(t, r); err != nil {
		t.Fatal(err)
	}
	// Each hole is begun by a part or two, and none is gone beyond.
	if n := s.calls(); n > 10 {
		t.Errorf("%d requests for 4 holes: %v", n, s.Counts())
	}
}
