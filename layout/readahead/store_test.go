package readahead

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"registryfs/drivers"
	"registryfs/drivers/inmemory"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// store is a remote store with one file, that counts what is asked of it and
// fails as it is told.
type store struct {
	drivers.StorageDriver
	content []byte

	delay   time.Duration // before each answer
	failing func(request int, off int64) error
	// cut is after how many bytes a body breaks, with what error; less than 0
	// is never.
	cut func(request int, off int64) (int64, error)

	mu       sync.Mutex // guards the following
	requests int
	bytes    int64 // sent
	running  int
	ranges   []span
}

const path = "/blob"

// random is made once: with the race detector that takes seconds.
var random = sync.OnceValue(func() []byte {
	p := make([]byte, 256*mib)
	rand.NewChaCha8([32]byte{1}).Read(p)
	return p
})

func newStore(t testing.TB, size int) *store {
	content := random()[:size]
	s := &store{StorageDriver: inmemory.New(), content: content}
	if err := s.PutContent(t.Context(), path, content); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *store) ReadRange(ctx context.Context, path string, off, n int64) (io.ReadCloser, error) {
	s.mu.Lock()
	s.requests++
	request := s.requests
	s.ranges = append(s.ranges, span{off, off + n})
	s.running++
	s.mu.Unlock()
	end := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.running--
	}
	select {
	case <-time.After(s.delay):
	case <-ctx.Done():
		end()
		return nil, ctx.Err()
	}
	if s.failing != nil {
		if err := s.failing(request, off); err != nil {
			end()
			return nil, err
		}
	}
	r, err := drivers.ReadRange(ctx, s.StorageDriver, path, off, n)
	if err != nil {
		end()
		return nil, err
	}
	b := &body{s: s, ctx: ctx, ReadCloser: r, left: -1, end: end}
	if s.cut != nil {
		b.left, b.err = s.cut(request, off)
	}
	return b, nil
}

// body sends at most 64 KiB at once, as a connection does.
type body struct {
	io.ReadCloser
	s    *store
	ctx  context.Context
	left int64
	err  error
	end  func()
}

func (b *body) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	p = p[:min(len(p), 64*kib)]
	if b.left >= 0 {
		p = p[:min(int64(len(p)), b.left)]
		if len(p) == 0 && b.err == nil { // stalls
			<-b.ctx.Done()
			return 0, b.ctx.Err()
		}
		if len(p) == 0 {
			return 0, b.err
		}
		b.left -= int64(len(p))
	}
	n, err := b.ReadCloser.Read(p)
	b.s.mu.Lock()
	b.s.bytes += int64(n)
	b.s.mu.Unlock()
	return n, err
}

func (b *body) Close() error {
	b.end()
	return b.ReadCloser.Close()
}

func (s *store) counts() (requests int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests, s.bytes
}

func (s *store) isQuiet() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running == 0
}

// open opens the file with so much memory, and checks at the end that all of
// the memory has been given back and that nothing is under way.
func open(t testing.TB, s *store, memory int64) *File {
	t.Helper()
	f, _ := openPool(t, s, memory)
	return f
}

func openPool(t testing.TB, s *store, memory int64) (*File, *Pool) {
	t.Helper()
	budget := drivers.NewBudget(memory)
	pool := NewPool(s, budget)
	f := pool.Open(path, int64(len(s.content)))
	t.Cleanup(func() {
		f.Close()
		pool.Close()
		eventually(t, "no request is under way", s.isQuiet)
		eventually(t, "all memory is given back", func() bool { return budget.Snapshot().Used == 0 })
	})
	return f, pool
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for range 6000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("not so after 30 s: %s", what)
}

// read reads n bytes at off and compares them.
func read(t testing.TB, s *store, f *File, off, n int64) {
	t.Helper()
	p := make([]byte, n)
	got, err := f.ReadAt(t.Context(), p, off)
	want := s.content[min(off, int64(len(s.content))):min(off+n, int64(len(s.content)))]
	if err != nil && err != io.EOF {
		t.Fatalf("ReadAt(%d, %d) = %v", off, n, err)
	}
	if !bytes.Equal(p[:got], want) {
		t.Fatalf("ReadAt(%d, %d) gives %d other bytes, %v", off, n, got, err)
	}
	if atEnd := off+n >= int64(len(s.content)); atEnd != errors.Is(err, io.EOF) {
		t.Fatalf("ReadAt(%d, %d) = %v, at the end: %v", off, n, err, atEnd)
	}
}

// readAll reads the file as the kernel does: little at first.
func readAll(t testing.TB, s *store, f *File) {
	t.Helper()
	n := int64(256 * kib)
	for off := int64(0); off < f.Size(); {
		read(t, s, f, off, n)
		off += n
		n = min(2*n, mib)
	}
}
