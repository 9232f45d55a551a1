package layout

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"registryfs/drivers"
	"registryfs/drivers/drivertest"
	"registryfs/drivers/inmemory"
)

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rnd := rand.New(rand.NewPCG(3, 4))
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

func open(t *testing.T, d drivers.StorageDriver, path string) *BlobReader {
	t.Helper()
	b, err := New(d, Options{}).openFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func TestReadAt(t *testing.T) {
	content := randomBytes(10 << 20)
	onBoth(t, func(t *testing.T, d drivers.StorageDriver) {
		put(t, d, "/blob", string(content))
		b := open(t, d, "/blob")
		if b.Size() != int64(len(content)) {
			t.Errorf("Size = %d", b.Size())
		}
		rnd := rand.New(rand.NewPCG(5, 6))
		off := 0
		for range 300 {
			n := rnd.IntN(256 << 10)
			switch rnd.IntN(4) {
			case 0:
				off = rnd.IntN(len(content) + 1000)
			case 1:
				off += rnd.IntN(1 << 20)
			case 2:
				off = max(0, off-rnd.IntN(1<<20))
			}
			p := make([]byte, n)
			got, err := b.ReadAt(t.Context(), p, int64(off))
			want := content[min(off, len(content)):min(off+n, len(content))]
			if !bytes.Equal(p[:got], want) {
				t.Fatalf("ReadAt(%d, %d) = %d other bytes, %v", n, off, got, err)
			}
			if short := got < n; short != errors.Is(err, io.EOF) || !short && err != nil && err != io.EOF {
				t.Fatalf("ReadAt(%d, %d) = %d, %v", n, off, got, err)
			}
			off += n
		}
		if n, err := b.ReadAt(t.Context(), make([]byte, 1), b.Size()); n != 0 || err != io.EOF {
			t.Errorf("ReadAt at the end = %d, %v, want io.EOF", n, err)
		}
		if _, err := b.ReadAt(t.Context(), make([]byte, 1), -1); err == nil {
			t.Error("ReadAt(-1) succeeds")
		}
	})
}

func TestReadAtParallel(t *testing.T) {
	content := randomBytes(8 << 20)
	onBoth(t, func(t *testing.T, d drivers.StorageDriver) {
		put(t, d, "/blob", string(content))
		b := open(t, d, "/blob")
		const chunk = 64 << 10
		var next atomic.Int64
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				p := make([]byte, chunk)
				for {
					off := next.Add(chunk) - chunk
					if off >= b.Size() {
						return
					}
					if n, err := b.ReadAt(t.Context(), p, off); n != chunk || err != nil && err != io.EOF || !bytes.Equal(p, content[off:off+chunk]) {
						t.Errorf("ReadAt(%d) = %d, %v", off, n, err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}

// A file read in about its order is one request.
func TestReadAtRequests(t *testing.T) {
	content := string(randomBytes(8 << 20))
	const m = 1 << 20
	tests := []struct {
		name string
		offs []int64
		want int
	}{
		{"in order", []int64{0, m, 2 * m, 3 * m, 4 * m}, 1},
		{"pairs swapped", []int64{m, 0, 3 * m, 2 * m, 5 * m, 4 * m}, 1},
		{"one skipped", []int64{0, 2 * m, 3 * m}, 1},
		{"three turned round", []int64{2 * m, m, 0, 3 * m}, 1},
		{"from the middle", []int64{5 * m, 6 * m, 7 * m}, 2},
		{"back to the beginning", []int64{0, m, 5 * m, 0, m, 2 * m, 3 * m}, 4},
		{"only the end", []int64{7 * m}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			counting := drivertest.NewCounting(inmemory.New())
			put(t, counting, "/blob", content)
			b := open(t, counting, "/blob")
			counting.Reset()
			p := make([]byte, m)
			for _, off := range tt.offs {
				if _, err := b.ReadAt(t.Context(), p, off); err != nil && err != io.EOF || string(p) != content[off:off+m] {
					t.Errorf("ReadAt(%d): %v", off, err)
				}
			}
			if got := counting.Count("Reader"); got != tt.want {
				t.Errorf("%d requests, want %d", got, tt.want)
			}
		})
	}
}

// flaky hands out streams that stall or break.
type flaky struct {
	drivers.StorageDriver
	breakAfter int // bytes, of the first stream; 0 is never
	stall      bool
	opened     int
}

func (f *flaky) Reader(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	f.opened++
	r, err := f.StorageDriver.Reader(ctx, path, offset)
	if err != nil {
		return nil, err
	}
	if f.stall {
		return stalled{ctx}, r.Close()
	}
	if f.opened == 1 && f.breakAfter > 0 {
		return &broken{r, f.breakAfter}, nil
	}
	return r, nil
}

type broken struct {
	io.ReadCloser
	left int
}

func (b *broken) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, errors.New("connection reset")
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

type stalled struct{ ctx context.Context }

func (s stalled) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}
func (s stalled) Close() error { return nil }

func TestReadAtReopens(t *testing.T) {
	d := &flaky{StorageDriver: inmemory.New(), breakAfter: 150}
	put(t, d, "/blob", strings.Repeat("0123456789", 100))
	b := open(t, d, "/blob")
	p := make([]byte, 100)
	for off := int64(0); off < 1000; off += 100 {
		if _, err := b.ReadAt(t.Context(), p, off); err != nil && err != io.EOF || string(p) != strings.Repeat("0123456789", 10) {
			t.Errorf("ReadAt(%d) = %q, %v", off, p, err)
		}
	}
	if d.opened != 2 {
		t.Errorf("opened %d times, want 2", d.opened)
	}
}

func TestReadAtInterrupted(t *testing.T) {
	d := &flaky{StorageDriver: inmemory.New(), stall: true}
	put(t, d, "/blob", "0123456789")
	b := open(t, d, "/blob")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := b.ReadAt(ctx, make([]byte, 5), 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ReadAt: %v, want context.DeadlineExceeded", err)
	}
	d.stall = false
	p := make([]byte, 5)
	if _, err := b.ReadAt(t.Context(), p, 0); err != nil || string(p) != "01234" {
		t.Errorf("ReadAt after that = %q, %v", p, err)
	}
}

func TestReadAtShrunk(t *testing.T) {
	d := inmemory.New()
	put(t, d, "/blob", strings.Repeat("x", 100))
	b := open(t, d, "/blob")
	put(t, d, "/blob", "xx")
	if _, err := b.ReadAt(t.Context(), make([]byte, 50), 0); !errors.Is(err, ErrCorrupt) {
		t.Errorf("ReadAt of a file that has shrunk: %v, want ErrCorrupt", err)
	}
}
