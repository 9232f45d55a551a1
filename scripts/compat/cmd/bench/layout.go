package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// writeLayout compares with the least that a tagged manifest takes in a
// registry's layout: four files in seven new directories, each of them synced.
func (p *putter) writeLayout(context.Context) (native, mount time.Duration, err error) {
	data, err := p.next()
	if err != nil {
		return 0, 0, err
	}
	l := *p
	l.layout = true
	return l.write(data)
}

// timedLayout writes them as a registry names them, one after the other.
func timedLayout(dir string, n int, data []byte) (time.Duration, error) {
	link := data[:min(71, len(data))]
	digest := fmt.Sprintf("%064x", n)
	start := time.Now()
	for _, f := range []struct {
		parent string // is there
		dirs   []string
		name   string
		data   []byte
	}{
		{"blobs", []string{digest}, "data", data},
		{"revisions", []string{digest}, "link", link},
		{"tags", []string{digest, "index", "sha256", digest}, "link", link},
		{filepath.Join("tags", digest), []string{"current"}, "link", link},
	} {
		if err := writeDurably(filepath.Join(dir, f.parent), f.dirs, f.name, f.data); err != nil {
			return 0, err
		}
	}
	return time.Since(start), nil
}

// writeDurably makes the directories below dir, one in the other, and the file
// in the last of them.
func writeDurably(dir string, names []string, file string, data []byte) error {
	changed := []string{dir}
	for _, name := range names {
		dir = filepath.Join(dir, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		changed = append(changed, dir)
	}
	temp := filepath.Join(dir, "temp")
	if _, err := timedWrite(temp, data, true); err != nil {
		return err
	}
	if err := os.Rename(temp, filepath.Join(dir, file)); err != nil {
		return err
	}
	for _, dir := range changed {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
