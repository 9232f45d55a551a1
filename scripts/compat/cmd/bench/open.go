package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"registryfs/scripts/compat/internal/store"
)

// open opens, reads and closes small files that everybody has cached.
func (b *bench) open(ctx context.Context) (err error) {
	source, err := b.newStore(ctx, "open", store.Sizes{Repositories: 1, Tags: 50, Images: 9, Layers: 3, LayerBytes: 1 << 10, Seed: 4})
	if err != nil {
		return err
	}
	s, err := b.mount(ctx, self, source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()

	links, err := filepath.Glob(filepath.Join(source, "docker/registry/v2/repositories/*/_manifests/tags/*/current/link"))
	if err != nil || len(links) == 0 {
		return errors.Join(err, fmt.Errorf("no tags in %s", source))
	}
	var blobs, tags, rawLinks []string
	for _, link := range links {
		digest, err := os.ReadFile(link)
		if err != nil {
			return err
		}
		hex := strings.TrimPrefix(string(digest), "sha256:")
		blobs = append(blobs, filepath.Join(source, "docker/registry/v2/blobs/sha256", hex[:2], hex, "data"))
		rawLinks = append(rawLinks, s.path("raw")+strings.TrimPrefix(link, source))
		_, name, _ := strings.Cut(filepath.Dir(filepath.Dir(link)), "/repositories/")
		tags = append(tags, s.path("repositories", strings.Replace(name, "/_manifests/tags/", "/_tags/", 1)))
	}
	if err := b.openAll(ctx, "open, read and close of a tag", blobs, tags); err != nil {
		return err
	}
	return b.openAll(ctx, "open, read and close of a link in raw/", links, rawLinks)
}

func (b *bench) openAll(ctx context.Context, task string, native, mount []string) error {
	one := func(names []string) func(context.Context) (float64, error) {
		return func(ctx context.Context) (float64, error) {
			if _, err := openEach(ctx, names, len(names)); err != nil { // into the cache
				return 0, err
			}
			return openEach(ctx, names, b.opens)
		}
	}
	n, m, err := inTurn(ctx, b.runs, one(native), one(mount))
	if err != nil {
		return err
	}
	took := cell{m, "%.1f µs"}
	b.report(row{task: task, base: cell{n, "%.1f µs"}, mount: took, result: took, goal: atMost(60)})
	return nil
}

// openEach returns the median time of count opens, in microseconds.
func openEach(ctx context.Context, names []string, count int) (float64, error) {
	buf := make([]byte, 64<<10)
	times := make(samples, 0, count)
	for i := range count {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		start := time.Now()
		if err := openOne(names[i%len(names)], buf); err != nil {
			return 0, err
		}
		times = append(times, float64(time.Since(start).Nanoseconds())/1e3)
	}
	return times.median(), nil
}

// openOne makes three system calls and no more; os.File makes others.
func openOne(name string, buf []byte) error {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	for errors.Is(err, unix.EINTR) { // by a signal of Go's scheduler
		fd, err = unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	n, err := unix.Read(fd, buf)
	if err == nil && n == 0 {
		err = errors.New("it is empty")
	}
	if err = errors.Join(err, unix.Close(fd)); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}
