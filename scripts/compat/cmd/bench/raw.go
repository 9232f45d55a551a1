package main

import (
	"context"
	"errors"
)

// listings are the times of a listing by one server: of a fresh mount, and
// again at once.
type listings struct{ cold, repeated samples }

// raw lists the store's own tree.
func (b *bench) raw(ctx context.Context) error {
	source, err := b.newStore(ctx, "raw", b.medium)
	if err != nil {
		return err
	}
	var native samples
	var floor, short, long listings
	for range b.runs {
		took, err := seconds(ctx, "ls", "-lR", source)
		if err != nil {
			return err
		}
		native = append(native, took)
		if err := b.listFloor(ctx, source, &floor); err != nil {
			return err
		}
		if err := b.listMount(ctx, source, "raw", &short); err != nil {
			return err
		}
		if err := b.listMount(ctx, source, "raw", &long, "--tag-ttl", "1h"); err != nil {
			return err
		}
	}
	line := func(task string, base, mount samples, g goal) row {
		return row{task, cell{base, "%.2f s"}, cell{mount, "%.2f s"}, cell{mount.over(base), "%.2f"}, g}
	}
	b.report(
		line("ls -lR raw/, against the native directory", native, short.cold, goal{}),
		line("ls -lR raw/, cold, against the floor", floor.cold, short.cold, atMost(1.2)),
		line("same, --tag-ttl 1h", floor.cold, long.cold, atMost(1.2)),
		line("ls -lR raw/, repeated, --tag-ttl 1h, against the floor", floor.repeated, long.repeated, atMost(1.2)),
		line("ls -lR raw/, repeated, against cold", short.cold, short.repeated, atMost(1)),
	)
	return nil
}

func (b *bench) listFloor(ctx context.Context, tree string, to *listings) error {
	s, err := b.mountFloor(ctx, tree)
	if err != nil {
		return err
	}
	return errors.Join(s.list(ctx, "", to), s.stop())
}

func (b *bench) listMount(ctx context.Context, source, dir string, to *listings, options ...string) error {
	s, err := b.mount(ctx, self, source, options...)
	if err != nil {
		return err
	}
	return errors.Join(s.list(ctx, dir, to), s.stop())
}

func (s *server) list(ctx context.Context, dir string, to *listings) error {
	for _, times := range []*samples{&to.cold, &to.repeated} {
		took, err := seconds(ctx, "ls", "-lR", s.path(dir))
		if err != nil {
			return err
		}
		*times = append(*times, took)
	}
	return nil
}
