package fusefs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"registryfs/drivers/inmemory"
)

// Benchmarks call the system directly and not by way of programs, whose start
// would be most of what is measured. Nothing here makes the process stop while
// it waits for itself.

// BenchmarkReadTag opens, reads and closes a tag that the kernel has in its
// cache.
func BenchmarkReadTag(b *testing.B) {
	m := newMount(b, inMemory, func(c *mountConfig) { c.TagTTL = time.Hour })
	m.put(b, "app", newImage("one", layer("a", 10)), "v1")
	link := "raw/" + tagLink("app", "v1")
	for _, path := range []string{"repositories/app/_tags/v1", link} {
		b.Run(filepath.Base(path), func(b *testing.B) {
			path := m.path(path)
			for b.Loop() {
				if _, err := os.ReadFile(path); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCopyManifest creates, writes and closes a manifest, each time with
// other content and under another tag: through the mount, and as a file of the
// same disk that is synced.
func BenchmarkCopyManifest(b *testing.B) {
	base := newImage("base", layer("a", 10))
	manifest := func(i int) []byte {
		return append(append([]byte{}, base.manifest...), fmt.Sprintf("%*s\n", 1+i%1000, strings.Repeat("\n", i/1000))...)
	}
	write := func(b *testing.B, path string, content []byte, sync bool) {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			b.Fatal(err)
		}
		_, err = f.Write(content)
		if err == nil && sync {
			err = f.Sync()
		}
		if err != nil {
			b.Fatal(err)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
	for _, c := range []struct {
		name    string
		options []mountOption
	}{{"inmemory", []mountOption{inMemory}}, {"filesystem", nil}} {
		b.Run(c.name, func(b *testing.B) {
			m := newMount(b, c.options...)
			m.put(b, "app", base)
			for i := 0; b.Loop(); i++ {
				write(b, m.path("repositories/app/_tags", fmt.Sprint("v", i)), manifest(i), false)
			}
		})
	}
	b.Run("native with fsync", func(b *testing.B) {
		dir := b.TempDir()
		for i := 0; b.Loop(); i++ {
			write(b, filepath.Join(dir, fmt.Sprint("v", i)), manifest(i), true)
		}
	})
}

// BenchmarkReadBlob reads 256 MiB in pieces of 1 MiB: through the mount, by
// passthrough and not, and from the file behind it.
func BenchmarkReadBlob(b *testing.B) {
	const size = 256 << 20
	store := b.TempDir()
	content := layer("a large blob", size)
	m := newMount(b, over(store))
	d := m.putBlob(b, "app", content)
	slow := newMount(b, over(store))
	slow.srv.s.passthrough.enabled.Store(false)
	blob := filepath.Join("repositories/app/_blobs/sha256", d.Encoded())
	for _, c := range []struct{ name, path string }{
		{"passthrough", m.path(blob)},
		{"page cache", slow.path(blob)},
		{"native", filepath.Join(store, blobFile(d))},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(size)
			buf := make([]byte, 1<<20)
			for b.Loop() {
				f, err := os.Open(c.path)
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				for {
					got, err := f.Read(buf)
					if n += got; err != nil {
						break
					}
				}
				f.Close()
				if n != size {
					b.Fatalf("%d bytes, want %d", n, size)
				}
			}
		})
	}
}

// BenchmarkWalk lists a tree with the attributes of every entry, as ls -lR
// does: 100 repositories of 100 tags.
func BenchmarkWalk(b *testing.B) {
	d := inmemory.New()
	for i := range 100 {
		seedTags(b, d, fmt.Sprint("team/app", i), newImage("one"), 100)
	}
	for _, top := range []string{"repositories", "raw"} {
		for _, c := range []struct {
			name string
			ttl  time.Duration
			cold bool
		}{{"cold", time.Second, true}, {"repeated", time.Second, false}, {"repeated, long tag-ttl", time.Hour, false}} {
			b.Run(top+"/"+c.name, func(b *testing.B) {
				m := newMount(b, func(o *mountConfig) { o.driver, o.TagTTL = d, c.ttl })
				entries := 0
				for b.Loop() {
					if c.cold {
						b.StopTimer()
						m.unmount(b)
						m = newMount(b, func(o *mountConfig) { o.driver, o.TagTTL = d, c.ttl })
						b.StartTimer()
					}
					err := filepath.WalkDir(m.path(top), func(path string, e fs.DirEntry, err error) error {
						if err == nil {
							_, err = e.Info()
						}
						entries++
						return err
					})
					if err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(entries)/b.Elapsed().Seconds(), "entries/s")
			})
		}
	}
}
