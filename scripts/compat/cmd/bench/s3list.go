package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"registryfs/scripts/compat/internal/raw"
)

// distances are those of the server that are asked for.
func (e *s3Env) distances() (out []bool) {
	if e.near {
		out = append(out, false)
	}
	if e.distant {
		out = append(out, true)
	}
	return out
}

func where(far bool) string {
	if far {
		return "far"
	}
	return "near"
}

// s3List lists the whole tree, as every backup does.
func (e *s3Env) s3List(ctx context.Context) error {
	for _, far := range e.distances() {
		s, err := e.medium(ctx)
		if far {
			s, err = e.small(ctx)
		}
		if err != nil {
			return err
		}
		if err := e.compare(ctx, e.listing(s, far)); err != nil {
			return err
		}
	}
	return nil
}

func (e *s3Env) listing(s *s3Store, far bool) *comparison {
	var floor listings
	list := func(ctx context.Context, m *s3Mount) (float64, error) { return ran(ctx, "ls", "-lR", m.path("")) }
	cold := &phase{
		task: fmt.Sprintf("`ls -lR` of %v, %s, cold", s, where(far)), format: "%.2f s",
		raw: inSeconds(raw.Job{Work: "list"}),
		floor: func(ctx context.Context) (float64, error) {
			err := e.listFloor(ctx, s.tree, &floor)
			return last(floor.cold), err
		},
		mount: list,
		wants: []want{mostOf(1.5, "floor", floorsOf), fewRequests(40)},
	}
	if far {
		cold.wants = []want{most(2, "s")}
	}
	again := &phase{
		task: "the same again", format: "%.2f s",
		floor: func(context.Context) (float64, error) { return last(floor.repeated), nil },
		mount: list,
	}
	return &comparison{store: s, far: far, phases: []*phase{cold, again}}
}

// rsyncFloor takes a backup of a tree in memory twice, by a fresh mount each time.
func (e *s3Env) rsyncFloor(ctx context.Context, tree string, to *backups) error {
	dir, err := e.newDir("floor-backup")
	if err != nil {
		return err
	}
	for _, times := range []*samples{&to.first, &to.second} {
		m, err := e.mountFloor(ctx, tree)
		if err != nil {
			return err
		}
		took, err := ran(ctx, "rsync", "-a", m.path("")+"/", dir+"/")
		if err = errors.Join(err, m.stop(), e.sync(ctx)); err != nil {
			return err
		}
		*times = append(*times, took)
	}
	return os.RemoveAll(dir)
}

func last(s samples) float64 {
	if len(s) == 0 {
		return 0
	}
	return s[len(s)-1]
}

// s3Digests lists every tag with its digest.
func (e *s3Env) s3Digests(ctx context.Context, s *s3Store) error {
	for _, far := range e.distances() {
		limit := 1.0
		if far {
			limit = 1.5
		}
		err := e.compare(ctx, &comparison{store: s, far: far, own: true, phases: []*phase{{
			task: fmt.Sprintf("`ls -l` of every `info/<name>/_digests`: %d repositories, %d tags, %s", e.sizes.medium.Repositories,
				e.sizes.medium.Repositories*e.sizes.medium.Tags, where(far)),
			format: "%.2f s",
			raw:    inSeconds(raw.Job{Work: "tags", Prefix: "docker/registry/v2/repositories/"}),
			mount: func(ctx context.Context, m *s3Mount) (float64, error) {
				// Names have one to three parts, and no shell's glob says "any number".
				return ran(ctx, "find", filepath.Join(m.mountpoint, "info"), "-name", "_[!d]*", "-prune", "-o", "-name", "_descriptors", "-prune", "-o",
					"-name", "_digests", "-prune", "-exec", "ls", "-l", "{}", "+")
			},
			wants: []want{most(limit, "s"), fewRequests(150)},
		}}})
		if err != nil {
			return err
		}
	}
	return nil
}

// s3Rsync takes a backup and, by a fresh mount, another one to the same place.
func (e *s3Env) s3Rsync(ctx context.Context, s *s3Store) error {
	for _, far := range e.distances() {
		if err := e.compare(ctx, e.backingUp(s, far)); err != nil {
			return err
		}
	}
	return nil
}

func (e *s3Env) backingUp(s *s3Store, far bool) *comparison {
	firstLimit, secondLimit := 4.0, 1.5
	if far {
		firstLimit, secondLimit = 15, 2.5
	}
	rsync := func(ctx context.Context, m *s3Mount) (float64, error) {
		return ran(ctx, "rsync", "-a", m.path("")+"/", m.scratch+"/")
	}
	var floor backups
	return &comparison{store: s, far: far, phases: []*phase{
		{
			task: fmt.Sprintf("`rsync -a` of %v, %s", s, where(far)), format: "%.2f s",
			raw: func(ctx context.Context, p rawProgram) (float64, error) {
				dir, err := e.newDir("raw")
				if err != nil {
					return 0, err
				}
				took, err := p.do(ctx, raw.Job{Work: "backup", Dir: dir})
				return took, errors.Join(err, os.RemoveAll(dir))
			},
			floor: func(ctx context.Context) (float64, error) {
				err := e.rsyncFloor(ctx, s.tree, &floor)
				return last(floor.first), err
			},
			mount: func(ctx context.Context, m *s3Mount) (float64, error) {
				took, err := rsync(ctx, m)
				if err != nil {
					return 0, err
				}
				if err := e.sync(ctx); err != nil {
					return 0, err
				}
				if _, err := ran(ctx, "diff", "-r", s.tree, m.scratch); err != nil {
					return 0, fmt.Errorf("the backup is not the store: %w", err)
				}
				return took, nil
			},
			wants: []want{most(firstLimit, "s")},
		},
		{
			task: "the same again, no change", format: "%.2f s", remount: true,
			raw:   inSeconds(raw.Job{Work: "list"}),
			floor: func(context.Context) (float64, error) { return last(floor.second), nil },
			mount: rsync,
			wants: []want{most(secondLimit, "s"), fewRequests(10)},
		},
	}}
}
