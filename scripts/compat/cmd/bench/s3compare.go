package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"registryfs/scripts/compat/internal/proxy"
)

// comparison is the same work done by the raw program and through the mounts of
// all contenders, each of them fresh and with empty caches.
type comparison struct {
	store   *s3Store
	far     bool
	own     bool     // no other program can do it
	options []string // of registryfs
	rclone  []string // and of rclone
	phases  []*phase // one after the other
}

// phase is a row of the table.
type phase struct {
	task    string
	format  string // of a value and its unit
	rate    bool   // more is better
	remount bool   // do it by a fresh mount with the caches of the last one

	raw   func(context.Context, rawProgram) (float64, error) // or nil
	floor func(context.Context) (float64, error)             // or nil
	mount func(context.Context, *s3Mount) (float64, error)   // measures
	wants []want

	// What came out.
	raws, floors, values samples
	requests             proxy.Counts // in the run that had most of them
	peers                map[string]peerValues
}

// peerValues are those of another program.
type peerValues struct {
	samples
	over time.Duration // it took longer than that, once
}

const (
	// peerPatience is how long a task of another program may take.
	peerPatience = 2 * time.Minute

	// peerSlow is what is measured only once.
	peerSlow = 20 * time.Second
)

// compare measures and prints.
func (e *s3Env) compare(ctx context.Context, c *comparison) error {
	raw := e.raw(c.store, c.far)
	for range e.runs {
		for _, p := range c.phases {
			if err := p.measureBase(ctx, raw); err != nil {
				return fmt.Errorf("%s: %w", p.task, err)
			}
		}
		if err := e.visit(ctx, c, nil); err != nil {
			return err
		}
	}
	if !c.own {
		for _, p := range e.peers {
			if err := e.visitPeer(ctx, c, p); err != nil {
				return err
			}
		}
	}
	for _, p := range c.phases {
		e.report(p)
	}
	return nil
}

func (p *phase) measureBase(ctx context.Context, raw rawProgram) error {
	if p.raw != nil {
		v, err := p.raw(ctx, raw)
		if err != nil {
			return err
		}
		p.raws = append(p.raws, v)
	}
	if p.floor != nil {
		v, err := p.floor(ctx)
		if err != nil {
			return err
		}
		p.floors = append(p.floors, v)
	}
	return nil
}

// visitPeer measures another program, whose failure is no error of ours.
func (e *s3Env) visitPeer(ctx context.Context, c *comparison, p *peer) error {
	for range e.runs {
		start := time.Now()
		limited, cancel := context.WithTimeout(ctx, time.Duration(len(c.phases))*peerPatience)
		err := e.visit(limited, c, p)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			e.log("%s: %v", p.name, err)
			return nil
		}
		if time.Since(start) > peerSlow {
			return nil
		}
	}
	return nil
}

// visit does the phases by one contender; p is nil for registryfs.
func (e *s3Env) visit(ctx context.Context, c *comparison, p *peer) (err error) {
	m := &s3Mount{bucket: c.store.bucket, endpoint: e.endpoint(c.far), rclone: c.rclone}
	if m.dir, err = e.newDir("s3"); err != nil {
		return err
	}
	if m.scratch, err = mkdir(m.dir, "scratch"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(m.dir)) }()
	for i, ph := range c.phases {
		if i == 0 || ph.remount {
			if i > 0 {
				if err := e.unmount(m); err != nil {
					return err
				}
			}
			if _, err := e.requests(c.far); err != nil {
				return err
			}
			if err := e.mountS3(ctx, c, p, m); err != nil {
				return err
			}
		}
		v, err := e.timed(ctx, ph, p, m)
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", ph.task, err), e.unmount(m))
		}
		counts, err := e.requests(c.far)
		if err != nil {
			return errors.Join(err, e.unmount(m))
		}
		if p != nil {
			if ph.peers[p.name].over > 0 {
				break // what comes after it builds on it
			}
			continue
		}
		ph.values = append(ph.values, v)
		if counts.Total() >= ph.requests.Total() {
			ph.requests = counts
		}
	}
	return e.unmount(m)
}

// timed measures, another program only for as long as can be borne.
func (e *s3Env) timed(ctx context.Context, ph *phase, p *peer, m *s3Mount) (float64, error) {
	m.task = ph.task
	if p == nil {
		return ph.mount(ctx, m)
	}
	if ph.peers == nil {
		ph.peers = map[string]peerValues{}
	}
	limited, cancel := context.WithTimeout(ctx, peerPatience)
	defer cancel()
	v, err := ph.mount(limited, m)
	values := ph.peers[p.name]
	switch {
	case err == nil:
		values.samples = append(values.samples, v)
	case limited.Err() != nil && ctx.Err() == nil:
		values.over, err = peerPatience, nil
	}
	ph.peers[p.name] = values
	return v, err
}

func (e *s3Env) mountS3(ctx context.Context, c *comparison, p *peer, m *s3Mount) (err error) {
	if p != nil {
		return e.mountPeer(ctx, p, m)
	}
	m.mountpoint = filepath.Join(m.dir, "mnt")
	if err := os.MkdirAll(m.mountpoint, 0o755); err != nil {
		return err
	}
	args := []string{
		"mount", "--foreground", "--state-dir", filepath.Join(m.dir, "state"), "--cache-dir", filepath.Join(m.dir, "cache"),
	}
	args = append(args, c.options...)
	m.server, err = start(ctx, self, m.mountpoint, e.registryfs, append(args, m.bucket.URLAt(m.endpoint), m.mountpoint)...)
	return err
}

// unmount ends a mount and looks at what it had resident.
func (e *s3Env) unmount(m *s3Mount) error {
	if m.server == nil {
		return nil
	}
	peak, err := m.resident("VmHWM")
	if err == nil && peak > e.highest[m.contender].mb {
		e.highest[m.contender] = resident{peak, m.task}
	}
	stopped := m.stop()
	m.server = nil
	if m.contender != "" {
		return err // with what status others end is theirs
	}
	return errors.Join(err, stopped)
}

func mkdir(parts ...string) (string, error) {
	dir := filepath.Join(parts...)
	return dir, os.Mkdir(dir, 0o755)
}

// ran measures a program in seconds.
func ran(ctx context.Context, name string, args ...string) (float64, error) {
	v, err := seconds(ctx, name, args...)
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	return v, err
}
