package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"registryfs/scripts/compat/internal/store"
)

// open opens, reads and closes small files that everybody has cached. The
// floor is a copy of the whole mount.
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
	f, err := b.mountFloor(ctx, s.path())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.stop()) }()

	for _, v := range []struct{ task, pattern string }{
		{"open, read and close of a tag", "repositories/*/_tags/*"},
		{"open, read and close of a link in raw/", "raw/docker/registry/v2/repositories/*/_manifests/tags/*/current/link"},
	} {
		names, err := filepath.Glob(s.path(v.pattern))
		if err != nil || len(names) == 0 {
			return errors.Join(err, fmt.Errorf("no %s", s.path(v.pattern)))
		}
		var floor []string
		for _, name := range names {
			floor = append(floor, f.mountpoint+strings.TrimPrefix(name, s.mountpoint))
		}
		if err := b.openAll(ctx, v.task, floor, names); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) openAll(ctx context.Context, task string, floor, mount []string) error {
	one := func(names []string) func(context.Context) (float64, error) {
		return func(ctx context.Context) (float64, error) {
			if _, err := openEach(ctx, names, len(names)); err != nil { // into the cache
				return 0, err
			}
			return openEach(ctx, names, b.opens)
		}
	}
	base, m, err := inTurn(ctx, b.runs, one(floor), one(mount))
	if err != nil {
		return err
	}
	took := cell{m, "%.1f µs"}
	b.report(row{task: task, base: cell{base, "%.1f µs"}, mount: took, result: took, goal: atMost(60)})
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
