package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
)

// tags lists all repositories. The floor is a copy of the very same tree.
func (b *bench) tags(ctx context.Context) error {
	source, err := b.newStore(ctx, "tags", b.tagged)
	if err != nil {
		return err
	}
	var entries float64
	var floor, short, long listings
	for range b.runs {
		if err := b.listMount(ctx, source, "repositories", &short); err != nil {
			return err
		}
		s, err := b.mount(ctx, self, source, "--tag-ttl", "1h")
		if err != nil {
			return err
		}
		err = s.list(ctx, "repositories", &long)
		if err == nil {
			err = b.listFloor(ctx, s.path("repositories"), &floor)
		}
		if err == nil {
			entries, err = countEntries(ctx, s.path("repositories"))
		}
		if err := errors.Join(err, s.stop()); err != nil {
			return err
		}
	}
	what := fmt.Sprintf("ls -lR repositories/, %.0f entries", entries)
	line := func(task string, base, mount samples, g goal) row {
		return row{task, cell{base, "%.2f s"}, cell{mount, "%.2f s"}, cell{mount.per(entries), "%.0f/s"}, g}
	}
	b.report(
		line(what+", cold", floor.cold, short.cold, atLeast(40_000)),
		line("same, --tag-ttl 1h", floor.cold, long.cold, atLeast(40_000)),
		line("same, repeated, --tag-ttl 1h", floor.repeated, long.repeated, atLeast(150_000)),
		line("same, repeated", floor.repeated, short.repeated, goal{}),
	)
	return nil
}

// countEntries is how many files and directories ls -lR shows.
func countEntries(ctx context.Context, dir string) (n float64, err error) {
	cmd := command(ctx, self, "ls", "-lR", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if line := lines.Text(); line != "" && strings.ContainsRune("-dl", rune(line[0])) {
			n++
		}
	}
	return n, errors.Join(lines.Err(), cmd.Wait())
}
