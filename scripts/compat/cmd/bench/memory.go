package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// memory lists more than a small machine could hold and looks at what the
// server has resident.
func (b *bench) memory(ctx context.Context) error {
	limits := map[int]float64{100_000: 150, 1_000_000: 300}
	for _, n := range b.files {
		source, err := b.newFlatStore(n)
		if err != nil {
			return err
		}
		task := fmt.Sprintf("memory, %d files of one directory", n)
		err = b.memoryOf(ctx, task, source, "raw/strays", atMost(limits[n]), "find", "-printf", "%p %s\n")
		if err := errors.Join(err, os.RemoveAll(source)); err != nil {
			return err
		}
	}
	source, err := b.newStore(ctx, "tags", b.manyTags)
	if err != nil {
		return err
	}
	n := b.manyTags.Repositories * b.manyTags.Tags
	return b.memoryOf(ctx, fmt.Sprintf("memory, %d tags", n), source, "repositories", atMost(limits[n]), "ls", "-lR")
}

// newFlatStore makes n empty files in one directory.
func (b *bench) newFlatStore(n int) (string, error) {
	source, err := b.newDir("flat")
	if err != nil {
		return "", err
	}
	dir := filepath.Join(source, "strays")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	for i := range n {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("stray-%07d", i)), nil, 0o644); err != nil {
			return "", err
		}
	}
	return source, nil
}

// memoryOf lists a directory and reports the largest resident size, which is
// the one that counts, beside those right after the listing and a minute later.
func (b *bench) memoryOf(ctx context.Context, task, source, dir string, g goal, lister string, args ...string) (err error) {
	s, err := b.mount(ctx, self, source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if lister == "find" {
		args = append([]string{s.path(dir)}, args...)
	} else {
		args = append(args, s.path(dir))
	}
	took, err := seconds(ctx, lister, args...)
	if err != nil {
		return err
	}
	after, err := s.resident("VmRSS")
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(b.settle):
	}
	later, err := s.resident("VmRSS")
	if err != nil {
		return err
	}
	peak, err := s.resident("VmHWM")
	if err != nil {
		return err
	}
	b.line(fmt.Sprintf("%s, %s in %.1f s", task, lister, took), "–",
		fmt.Sprintf("%.0f MB after it, %.0f MB %.0f s later", after, later, b.settle.Seconds()),
		fmt.Sprintf("%.0f MB", peak), b.verdict(g, cell{samples{peak}, "%.0f MB"}))
	return nil
}

// resident reads a line of the server's status, in MB.
func (s *server) resident(name string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	return statusMB(string(text), name)
}

// statusMB finds a size in the text of /proc/<pid>/status.
func statusMB(text, name string) (float64, error) {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		if key != name {
			continue
		}
		var kb float64
		if _, err := fmt.Sscanf(strings.TrimSpace(value), "%f kB", &kb); err != nil {
			return 0, fmt.Errorf("%s: %w", line, err)
		}
		return kb * 1024 / 1e6, nil
	}
	return 0, fmt.Errorf("no %s in the status of the process", name)
}
