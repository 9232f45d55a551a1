package main

import (
	"context"
	"errors"
	"os"
)

// rsync takes a backup, and then one in which nothing has changed.
func (b *bench) rsync(ctx context.Context) error {
	source, err := b.newStore(ctx, "rsync", b.medium)
	if err != nil {
		return err
	}
	var native, mount backups
	for i := range b.runs {
		sides := []func() error{
			func() error { return b.backup(ctx, source, &native) },
			func() error { return b.backupMount(ctx, source, &mount) },
		}
		if err := errors.Join(sides[i%2](), sides[1-i%2]()); err != nil {
			return err
		}
	}
	line := func(task string, base, mount samples, g goal) row {
		return row{task, cell{base, "%.2f s"}, cell{mount, "%.2f s"}, cell{mount.over(base), "%.2f"}, g}
	}
	b.report(
		line("rsync -a raw/, first run", native.first, mount.first, atMost(1.5)),
		line("rsync -a raw/, no change", native.second, mount.second, atMost(2)),
	)
	return nil
}

// backups are the times of a first and a second rsync to the same place.
type backups struct{ first, second samples }

func (b *bench) backupMount(ctx context.Context, source string, to *backups) error {
	s, err := b.mount(ctx, self, source)
	if err != nil {
		return err
	}
	return errors.Join(b.backup(ctx, s.path("raw"), to), s.stop())
}

func (b *bench) backup(ctx context.Context, from string, to *backups) (err error) {
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
	return nil
}
