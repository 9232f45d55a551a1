package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"registryfs/scripts/compat/internal/images"
)

// putter writes one manifest after the other to tags of a mount and, for
// comparison, to files of a native directory.
type putter struct {
	dir     string // native; "" for none
	layout  bool   // natively, write all that a registry does
	tags    string
	content *images.Content
	count   int // of manifests and tags so far
}

// next is a manifest that is not stored yet.
func (p *putter) next() ([]byte, error) {
	p.count++
	var m map[string]any
	if err := json.Unmarshal(p.content.Manifest, &m); err != nil {
		return nil, err
	}
	m["annotations"] = map[string]string{"bench": fmt.Sprint(p.count)}
	return json.MarshalIndent(m, "", "  ")
}

func (p *putter) writeNew(context.Context) (native, mount time.Duration, err error) {
	data, err := p.next()
	if err != nil {
		return 0, 0, err
	}
	return p.write(data)
}

func (p *putter) writeStored(context.Context) (native, mount time.Duration, err error) {
	p.count++
	return p.write(p.content.Manifest)
}

// write writes both, now the one first and now the other.
func (p *putter) write(data []byte) (native, mount time.Duration, err error) {
	name := fmt.Sprintf("t%d", p.count)
	sides := []func() error{
		func() (err error) { mount, err = timedWrite(filepath.Join(p.tags, name), data, false); return err },
		func() (err error) {
			switch {
			case p.dir == "":
			case p.layout:
				native, err = timedLayout(p.dir, p.count, data)
			default:
				native, err = timedWrite(filepath.Join(p.dir, name), data, true)
			}
			return err
		},
	}
	i := p.count % 2
	err = errors.Join(sides[i](), sides[1-i]())
	return native, mount, err
}

// timedWrite creates a file as cp does.
func timedWrite(name string, data []byte, sync bool) (time.Duration, error) {
	start := time.Now()
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return 0, err
	}
	_, err = f.Write(data)
	if err == nil && sync {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	return time.Since(start), err
}

// copyNew is what a user types: cp, and natively sync(1) after it.
func (p *putter) copyNew(ctx context.Context) (native, mount time.Duration, err error) {
	source := filepath.Join(p.dir, "m.json")
	if err := p.writeSource(source); err != nil {
		return 0, 0, err
	}
	name := fmt.Sprintf("t%d", p.count)
	sides := []func() error{
		func() (err error) {
			mount, err = measure(ctx, self, "cp", source, filepath.Join(p.tags, name))
			return err
		},
		func() error {
			copied, err := measure(ctx, self, "cp", source, filepath.Join(p.dir, name))
			if err != nil {
				return err
			}
			synced, err := measure(ctx, self, "sync", filepath.Join(p.dir, name))
			native = copied + synced
			return err
		},
	}
	i := p.count % 2
	err = errors.Join(sides[i](), sides[1-i]())
	return native, mount, err
}

// writeSource makes the file that is copied.
func (p *putter) writeSource(name string) error {
	data, err := p.next()
	if err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o644)
}
