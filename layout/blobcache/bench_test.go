package blobcache

import (
	"testing"

	"github.com/opencontainers/go-digest"
)

const benchSize = 256 << 20

// BenchmarkFill is what it costs to offer a large blob in the pieces of a
// download, until all of it is written and hashed.
func BenchmarkFill(b *testing.B) {
	p, _ := content(1, benchSize)
	b.SetBytes(benchSize)
	for b.Loop() {
		b.StopTimer()
		c := open(b, b.TempDir(), 4*benchSize)
		b.StartTimer()
		fill(b, c, p, 1<<20)
		b.StopTimer()
		b.ReportMetric(float64(c.Stats().DroppedBytes), "dropped")
		c.Close()
		b.StartTimer()
	}
}

// BenchmarkRead reads a blob that is not hashed yet, and one that is.
func BenchmarkRead(b *testing.B) {
	p, d := content(1, benchSize)
	dir := b.TempDir()
	c := open(b, dir, 4*benchSize)
	fill(b, c, p, 1<<20)
	for _, bench := range []struct {
		name     string
		verified bool
	}{{"hashed", true}, {"checked", false}} {
		b.Run(bench.name, func(b *testing.B) { benchRead(b, c, d, bench.verified) })
	}
}

func benchRead(b *testing.B, c *Cache, d digest.Digest, verified bool) {
	blob := c.Blob(d, -1)
	defer blob.Close()
	blob.e.verified.Store(verified)
	defer blob.e.verified.Store(true)
	if !verified {
		s, _, err := openSums(c.path(d)+sumsSuffix, 0)
		if err != nil {
			b.Fatal(err)
		}
		blob.e.files.Load().sums = s
	}
	buf := make([]byte, 1<<20)
	b.SetBytes(benchSize)
	for b.Loop() {
		for off := int64(0); off < benchSize; off += int64(len(buf)) {
			if !blob.ReadAt(buf, off) {
				b.Fatalf("ReadAt(%d) = false", off)
			}
		}
	}
}
