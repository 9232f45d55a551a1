package layout

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"registryfs/drivers"
	"registryfs/drivers/filesystem"
	"registryfs/drivers/inmemory"
)

// BenchmarkPutManifest tags a new manifest each time. The floor on a disk is
// four files of the same sizes, each written, synced and renamed by itself.
func BenchmarkPutManifest(b *testing.B) {
	bench := func(b *testing.B, d drivers.StorageDriver) {
		r := New(d, Options{})
		p := r.Repository("app")
		img := newImage("bench", 3)
		for _, content := range img.blobs {
			if err := putBlob(b.Context(), p, content); err != nil {
				b.Fatal(err)
			}
		}
		n := 0
		for b.Loop() {
			n++
			content := fmt.Sprintf("%s%*s", img.manifest, n, "\n") // another digest, the same image
			u := r.NewUpload("")
			if _, err := u.WriteAt(b.Context(), []byte(content), 0); err != nil {
				b.Fatal(err)
			}
			if _, err := p.Manifests().Put(b.Context(), u, PutOptions{Tag: "latest"}); err != nil {
				b.Fatal(err)
			}
			if err := u.Close(); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("inmemory", func(b *testing.B) { bench(b, inmemory.New()) })
	b.Run("filesystem", func(b *testing.B) { bench(b, newFilesystem(b)) })
	b.Run("floor", func(b *testing.B) {
		dir := b.TempDir()
		manifest := []byte(newImage("bench", 3).manifest)
		link := []byte(hexOf("a"))
		n := 0
		for b.Loop() {
			n++
			for i, content := range [][]byte{manifest, link, link, link} {
				if err := writeSynced(filepath.Join(dir, fmt.Sprint(n), fmt.Sprint(i)), content); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

func putBlob(ctx context.Context, p Repository, content string) error {
	u := p.r.NewUpload("")
	defer u.Close()
	if _, err := u.WriteAt(ctx, []byte(content), 0); err != nil {
		return err
	}
	_, err := p.Blobs().Put(ctx, u, "")
	return err
}

func writeSynced(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	f, err := os.Create(path + ".tmp")
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

// BenchmarkTagList lists 10,000 tags, by name only and as ls -l does. The floor
// is reading the directory.
func BenchmarkTagList(b *testing.B) {
	const tags, manifests = 10_000, 1000
	root := b.TempDir()
	d := filesystem.New(filesystem.Parameters{RootDirectory: root})
	p := New(d, Options{}).Repository("app")
	var g errgroup.Group
	g.SetLimit(32)
	for i := range tags {
		dgst := digest.FromString(fmt.Sprint(i % manifests))
		g.Go(func() error {
			return drivers.PutContents(b.Context(), d, []drivers.Content{
				{Path: blobDataPath(dgst), Bytes: []byte("{}")},
				{Path: tagCurrentLinkPath("app", TagName(fmt.Sprintf("v1.0.%d", i))), Bytes: []byte(dgst)},
			})
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	list := func(b *testing.B, each func(TagName)) {
		n := 0
		for tag, err := range p.Tags().All(b.Context()) {
			if err != nil {
				b.Fatal(err)
			}
			each(tag)
			n++
		}
		if n != tags {
			b.Fatalf("%d tags", n)
		}
	}
	b.Run("names", func(b *testing.B) {
		for b.Loop() {
			list(b, func(TagName) {})
		}
	})
	b.Run("attributes", func(b *testing.B) {
		for b.Loop() {
			list(b, func(tag TagName) {
				if _, err := p.Tags().Get(b.Context(), tag); err != nil {
					b.Fatal(err)
				}
			})
		}
	})
	b.Run("floor", func(b *testing.B) {
		for b.Loop() {
			if _, err := os.ReadDir(root + tagsPath("app")); err != nil {
				b.Fatal(err)
			}
		}
	})
}
