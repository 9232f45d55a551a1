package main

import (
	"context"
	"errors"
	"os"
)

// rsync takes a backup, and then one in which nothing has changed. That one
// only lists, so the floor can stand in for the mount.
func (b *bench) rsync(ctx context.Context) error {
	source, err := b.newStore(ctx, "rsync", b.medium)
	if err != nil {
		return err
	}
	var native, mount, long backups
	for i := range b.runs {
		sides := []func() error{
			func() error { return b.backupNative(ctx, source, &native) },
			func() error { return b.backupMount(ctx, source, &mount) },
		}
		if err := errors.Join(sides[i%2](), sides[1-i%2]()); err != nil {
			return err
		}
		if err := b.backupMount(ctx, source, &long, "--tag-ttl", "1h"); err != nil {
			return err
		}
	}
	line := func(task string, base, mount samples, g goal) row {
		return row{task, cell{base, "%.2f s"}, cell{mount, "%.2f s"}, cell{mount.over(base), "%.2f"}, g}
	}
	b.report(
		line("rsync -a raw/, first run", native.first, mount.first, atMost(1.5)),
		line("rsync -a raw/, no change", native.second, mount.second, atMost(2)),
		line("same, --tag-ttl 1h", native.second, long.second, atMost(2)),
		line("same, of the floor instead of the mount", native.second, native.floor, goal{}),
	)
	return nil
}

// backups are the times of a first and a second rsync to the same place, and
// of one from the floor after them.
type backups struct{ first, second, floor samples }

func (b *bench) backupMount(ctx context.Context, source string, to *backups, options ...string) error {
	s, err := b.mount(ctx, self, source, options...)
	if err != nil {
		return err
	}
	return errors.Join(b.backup(ctx, s.path("raw"), to, nil), s.stop())
}

func (b *bench) backupNative(ctx context.Context, source string, to *backups) error {
	return b.backup(ctx, source, to, func(dir string) error {
		s, err := b.mountFloor(ctx, source)
		if err != nil {
			return err
		}
		took, err := seconds(ctx, "rsync", "-a", s.path(), dir+"/")
		to.floor = append(to.floor, took)
		return errors.Join(err, s.stop())
	})
}

// backup measures, and calls then with the backup that it has made.
func (b *bench) backup(ctx context.Context, from string, to *backups, then func(dir string) error) (err error) {
	dir, err := b.newDir("backup")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir), b.sync(context.WithoutCancel(ctx))) }()
	for _, times := range []*samples{&to.first, &to.second} {
		took, err := seconds(ctx, "rsync", "-a", from+"/", dir+"/")
		if err != nil {
			return err
		}
		*times = append(*times, took)
		if err := b.sync(ctx); err != nil {
			return err
		}
	}
	if then == nil {
		return nil
	}
	return then(dir)
}
