package filesystem

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// dirs makes directories that outlast a crash. All its paths are local.
type dirs struct {
	sync func(dir string) error

	mu     sync.Mutex // guards the following
	making map[string]int
}

func newDirs() *dirs {
	return &dirs{sync: syncDir, making: make(map[string]int)}
}

// make makes dir and what is missing above it, each synced into its parent.
func (d *dirs) make(dir string) error {
	d.begin(dir)
	defer d.end(dir)
	parent := filepath.Dir(dir)
	err := os.Mkdir(dir, 0o777)
	if errors.Is(err, fs.ErrNotExist) && parent != dir {
		if err := d.make(parent); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o777)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil // or a file; whoever wants to put something into it will see
	}
	if err != nil {
		return err
	}
	return d.sync(parent)
}

// settle syncs dir, whose entries the caller has changed. It also syncs those
// directories above it that somebody else is making and has perhaps not synced
// yet: what was put into them must not be lost with them.
func (d *dirs) settle(dir string) error {
	if err := d.sync(dir); err != nil {
		return err
	}
	for _, made := range d.makingAbove(dir) {
		if err := d.sync(filepath.Dir(made)); err != nil {
			return err
		}
	}
	return nil
}

func (d *dirs) begin(dir string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.making[dir]++
}

func (d *dirs) end(dir string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.making[dir]--; d.making[dir] == 0 {
		delete(d.making, dir)
	}
}

// makingAbove returns which of dir and the directories above it are being made.
func (d *dirs) makingAbove(dir string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.making) == 0 {
		return nil
	}
	var found []string
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if d.making[dir] > 0 {
			found = append(found, dir)
		}
	}
	return found
}

// syncDir makes the entries of a directory durable. File systems that know no
// such thing say so, and have done what they can.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return errors.Join(err, f.Close())
}
