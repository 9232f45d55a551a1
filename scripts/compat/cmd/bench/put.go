package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"registryfs/scripts/compat/internal/images"
	"registryfs/scripts/compat/internal/store"
)

const putRepository = "bench/app"

// put copies manifests in.
func (b *bench) put(ctx context.Context) error {
	content, err := putImage()
	if err != nil {
		return err
	}
	if err := b.putFiles(ctx, content); err != nil {
		return err
	}
	return b.putMemory(ctx, content)
}

// putImage has layers enough for a manifest of about 2 KiB.
func putImage() (*images.Content, error) {
	var i images.Image
	for n := range 9 {
		layer, err := images.NewLayer(images.File{Name: fmt.Sprintf("data/%d", n), Mode: 0o644, Data: []byte("layer")})
		if err != nil {
			return nil, err
		}
		i.Layers = append(i.Layers, layer)
	}
	i.Platform.OS, i.Platform.Architecture = "linux", "amd64"
	return i.Build()
}

// putFiles measures on the filesystem driver.
func (b *bench) putFiles(ctx context.Context, content *images.Content) (err error) {
	source, err := b.newDir("put")
	if err != nil {
		return err
	}
	if err := store.New(source).Push(putRepository, "base", content); err != nil {
		return err
	}
	dir, err := b.newNativeDir()
	if err != nil {
		return err
	}
	s, err := b.mount(ctx, self, source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	p := putter{dir: dir, tags: s.path("repositories", putRepository, "_tags"), content: content}
	for _, v := range []struct {
		task string
		ops  int
		op   func(context.Context) (native, mount time.Duration, err error)
		goal goal
	}{
		{"put, a new manifest, write and close", b.puts, p.writeNew, atMost(1.5)},
		{"put, a stored manifest to a new tag", b.puts, p.writeStored, atMost(1.5)},
		{"put, a new manifest, cp", b.copies, p.copyNew, atMost(1.5)},
		{"put, a new manifest, against its four files", b.puts, p.writeLayout, goal{}},
	} {
		var native, mount samples
		for range b.runs {
			if err := b.sync(ctx); err != nil {
				return err
			}
			n, m, err := repeat(ctx, v.ops, v.op)
			if err != nil {
				return err
			}
			native, mount = append(native, n), append(mount, m)
		}
		b.report(row{
			task:   fmt.Sprintf("%s, %d bytes", v.task, len(content.Manifest)),
			base:   cell{native, "%.2f ms"},
			mount:  cell{mount, "%.2f ms"},
			result: cell{mount.over(native), "%.2f"},
			goal:   v.goal,
		})
	}
	return nil
}

// newNativeDir makes what the native side of a putter writes to.
func (b *bench) newNativeDir() (string, error) {
	dir, err := b.newDir("native")
	for _, name := range []string{"blobs", "revisions", "tags"} {
		err = errors.Join(err, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	return dir, err
}

// repeat returns the median times of an operation, in milliseconds.
func repeat(ctx context.Context, ops int, op func(context.Context) (native, mount time.Duration, err error)) (native, mount float64, err error) {
	var ns, ms samples
	for range ops {
		n, m, err := op(ctx)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return 0, 0, err
		}
		ns, ms = append(ns, n.Seconds()*1e3), append(ms, m.Seconds()*1e3)
	}
	return ns.median(), ms.median(), nil
}

// putMemory measures on the inmemory driver: our own time and the kernel's.
func (b *bench) putMemory(ctx context.Context, content *images.Content) (err error) {
	s, err := b.mount(ctx, self, "inmemory:")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	repository := s.path("repositories", putRepository)
	if err := os.MkdirAll(repository, 0o755); err != nil {
		return err
	}
	for _, blob := range content.Blobs {
		if err := os.WriteFile(filepath.Join(repository, "_blobs", "sha256", blob.Digest.Hex), blob.Data, 0o644); err != nil {
			return err
		}
	}
	p := putter{tags: filepath.Join(repository, "_tags"), content: content}
	var mount samples
	for range b.runs {
		_, m, err := repeat(ctx, b.puts, p.writeNew)
		if err != nil {
			return err
		}
		mount = append(mount, m)
	}
	took := cell{mount, "%.2f ms"}
	b.report(row{task: "put, a new manifest, write and close, inmemory", mount: took, result: took, goal: atMost(3)})
	return nil
}
