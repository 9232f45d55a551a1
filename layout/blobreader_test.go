package layout

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

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

// blobPath is where a blob would be; its digest is not looked at.
var blobPath = blobDataPath(hexOf("b"))

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
		put(t, d, blobPath, string(content))
		b := open(t, d, blobPath)
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
		put(t, d, blobPath, string(content))
		b := open(t, d, blobPath)
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

// What is known of a file is not asked for.
func TestOpenRequests(t *testing.T) {
	blob, link, other := randomBytes(100_000), "sha256:"+hexOf("a").Encoded(), "2024-05-06T07:08:09Z"
	d := digest.FromBytes(blob)
	linkPath, otherPath := RawPath(repositoriesPath+"/app/_layers/sha256/"+d.Encoded()+"/link"), RawPath(repositoriesPath+"/app/_uploads/1/startedat")
	newStore := func(t *testing.T) (*Registry, *drivertest.Counting) {
		counting := drivertest.NewCounting(drivertest.Remote(inmemory.New()))
		put(t, counting, blobDataPath(d), string(blob))
		put(t, counting, string(linkPath), link)
		put(t, counting, string(otherPath), other)
		counting.Reset()
		return New(counting, Options{}), counting
	}
	size := int64(len(blob))
	tests := []struct {
		name string
		open func(ctx context.Context, r *Registry) (*BlobReader, error)
		want map[string]int
	}{
		{"blob", func(ctx context.Context, r *Registry) (*BlobReader, error) { return r.Blobs().Open(ctx, d) },
			map[string]int{"OpenFile": 1, "Stat": 1, "Reader": 1}},
		{"blob of known size", func(ctx context.Context, r *Registry) (*BlobReader, error) { return r.Blobs().OpenSized(ctx, d, size) },
			map[string]int{"OpenFile": 1, "Reader": 1}},
		{"raw blob of known size", func(ctx context.Context, r *Registry) (*BlobReader, error) {
			return r.Raw().OpenSized(ctx, RawPath(blobDataPath(d)), size)
		}, map[string]int{"OpenFile": 1, "Reader": 1}},
		{"raw link", func(ctx context.Context, r *Registry) (*BlobReader, error) {
			return r.Raw().OpenSized(ctx, linkPath, int64(len(link)))
		}, map[string]int{"OpenFile": 1, "GetContent": 1}},
		{"raw file with its time", func(ctx context.Context, r *Registry) (*BlobReader, error) {
			b, e, err := r.Raw().OpenInfo(ctx, otherPath, int64(len(other)))
			if err == nil && (e.Size != int64(len(other)) || e.ModTime.IsZero()) {
				t.Errorf("OpenInfo = %+v", e)
			}
			return b, err
		}, map[string]int{"OpenFile": 1, "GetContent": 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, counting := newStore(t)
			b, err := tt.open(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			p := make([]byte, b.Size())
			if n, err := b.ReadAt(t.Context(), p, 0); int64(n) != b.Size() || err != nil && err != io.EOF {
				t.Errorf("ReadAt = %d, %v", n, err)
			}
			if got := counting.Counts(); !maps.Equal(got, tt.want) {
				t.Errorf("calls %v, want %v", got, tt.want)
			}
		})
	}
}

// A file that has gone since its size was seen is absent at the first read.
func TestOpenSizedGone(t *testing.T) {
	r := New(drivertest.Remote(inmemory.New()), Options{})
	d := hexOf("a")
	for _, path := range []RawPath{RawPath(blobDataPath(d)), "/some/file"} {
		b, err := r.Raw().OpenSized(t.Context(), path, 10)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.ReadAt(t.Context(), make([]byte, 10), 0); !isAbsent(err) {
			t.Errorf("ReadAt of %s: %v, want fs.ErrNotExist", path, err)
		}
		b.Close()
	}
}

func TestReadAtShrunk(t *testing.T) {
	d := inmemory.New()
	path := blobDataPath(hexOf("a"))
	put(t, d, path, strings.Repeat("x", 100))
	b := open(t, d, path)
	put(t, d, path, "xx")
	if _, err := b.ReadAt(t.Context(), make([]byte, 50), 0); !errors.Is(err, ErrCorrupt) {
		t.Errorf("ReadAt of a blob that has shrunk: %v, want ErrCorrupt", err)
	}
}
