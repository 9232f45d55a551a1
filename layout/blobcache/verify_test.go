package blobcache

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestHashAfterReading shows that hashing leaves the processor to who reads, and
// not for ever.
func TestHashAfterReading(t *testing.T) {
	p, d := content(20, 24<<20)
	for _, test := range []struct {
		name   string
		every  time.Duration
		hashed bool // some of it, before all has come
	}{
		{"at once", 0, false},
		{"steadily", quiet / 4, false},
		{"with pauses", 2 * quiet, true},
		{"steadily and for long", quiet * 9 / 10, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := open(t, t.TempDir(), 64<<20)
				b := c.Blob(d, int64(len(p)))
				defer b.Close()
				const step = 256 << 10
				for off := 0; off < len(p); off += step {
					if got := b.e.hashed.Load(); off == len(p)-step && got > 0 != test.hashed {
						t.Errorf("%d bytes are hashed when the last come", got)
					}
					b.Fill(p[off:off+step], int64(off))
					time.Sleep(test.every)
					synctest.Wait()
				}
				eventually(t, "a whole blob", func() bool { return b.File() != nil })
			})
		})
	}
}
