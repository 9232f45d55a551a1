package filesystem

import (
	"fmt"
	"os"
	"testing"

	"registryfs/drivers"
)

func BenchmarkPutContent(b *testing.B) {
	for _, size := range []int{71, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			d := New(Parameters{RootDirectory: b.TempDir()})
			content := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if err := d.PutContent(b.Context(), "/a/b/link", content); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPutContents puts what a manifest under a new tag needs.
func BenchmarkPutContents(b *testing.B) {
	d := New(Parameters{RootDirectory: b.TempDir()})
	content := make([]byte, 71)
	for i := 0; b.Loop(); i++ {
		files := []drivers.Content{
			{Path: fmt.Sprintf("/blobs/%d/data", i), Bytes: content},
			{Path: fmt.Sprintf("/revisions/%d/link", i), Bytes: content},
			{Path: fmt.Sprintf("/tags/%d/index/link", i), Bytes: content},
			{Path: fmt.Sprintf("/tags/%d/current/link", i), Bytes: content},
		}
		if err := drivers.PutContents(b.Context(), d, files); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGetContent(b *testing.B) {
	for _, size := range []int{71, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			d := New(Parameters{RootDirectory: b.TempDir()})
			if err := d.PutContent(b.Context(), "/a/b/link", make([]byte, size)); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.GetContent(b.Context(), "/a/b/link"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkListInfo(b *testing.B) {
	const entries = 10_000
	root := b.TempDir()
	for i := range entries {
		if err := os.WriteFile(fmt.Sprintf("%s/%064d", root, i), nil, 0o666); err != nil {
			b.Fatal(err)
		}
	}
	d := New(Parameters{RootDirectory: root})
	for _, sizes := range []bool{false, true} {
		b.Run(fmt.Sprintf("sizes=%v", sizes), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				for info, err := range drivers.ListInfo(b.Context(), d, "/") {
					if err != nil {
						b.Fatal(err)
					}
					if n++; sizes {
						_ = info.Size()
					}
				}
				if n != entries {
					b.Fatalf("listed %d entries, want %d", n, entries)
				}
			}
		})
	}
}
