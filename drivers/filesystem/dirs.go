package filesystem

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
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

// madeDirs are the directories made for one write, to be synced with it or, if
// it fails, removed again: the registry takes any directory among the tags for a
// tag.
type madeDirs struct {
	d      *dirs
	dirs   []string
	synced bool
}

func (d *dirs) later() *madeDirs { return &madeDirs{d: d} }

// make makes dir and what is missing above it, and syncs nothing: until end,
// whoever else puts something below them syncs them too.
func (m *madeDirs) make(dir string) error {
	m.d.begin(dir)
	parent := filepath.Dir(dir)
	err := os.Mkdir(dir, 0o777)
	if errors.Is(err, fs.ErrNotExist) && parent != dir {
		if err = m.make(parent); err == nil {
			err = os.Mkdir(dir, 0o777)
		}
	}
	if err == nil {
		m.dirs = append(m.dirs, dir)
		return nil
	}
	m.d.end(dir)
	if errors.Is(err, fs.ErrExist) {
		return nil // or a file; whoever wants to put something into it will see
	}
	return err
}

// settle is that of dirs, for all of the batch.
func (m *madeDirs) settle(dirs ...string) error {
	err := m.d.settle(dirs...)
	m.synced = err == nil
	return err
}

// end is called last, and may be called again. The directories of a write that has failed are removed,
// but for those that somebody else uses by now. Who finds such a one there takes
// it for durable: so it is synced even then.
func (m *madeDirs) end() {
	if !m.synced {
		m.remove()
	}
	for _, dir := range m.dirs {
		m.d.end(dir)
	}
	m.dirs = nil
}

// remove takes the directories away, the lowest first.
func (m *madeDirs) remove() {
	for _, dir := range slices.Backward(m.dirs) {
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			_ = m.d.sync(filepath.Dir(dir)) // the write's own error is out already
		}
	}
}

// settle syncs each of dirs, whose entries the caller has changed. It also syncs
// what is above directories that are being made, by the caller's batch or by
// somebody else who has perhaps not synced yet: what was put into them must not
// be lost with them. All of it goes to the disk side by side.
func (d *dirs) settle(dirs ...string) error {
	all := make(map[string]bool, 2*len(dirs))
	for _, dir := range dirs {
		all[dir] = true
		for _, made := range d.makingAbove(dir) {
			all[filepath.Dir(made)] = true
		}
	}
	var g errgroup.Group
	g.SetLimit(maxSyncs)
	for dir := range all {
		g.Go(func() error { return d.sync(dir) })
	}
	return g.Wait()
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
// such thing say so, and have done what they can. The descriptor is not an
// os.File, which is made for more than this and costs as much as the sync.
func syncDir(dir string) error {
	fd, err := retry(func() (int, error) {
		return unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	_, err = retry(func() (int, error) { return 0, unix.Fsync(fd) })
	if err == unix.EINVAL || errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	if err != nil {
		err = &fs.PathError{Op: "fsync", Path: dir, Err: err}
	}
	return errors.Join(err, unix.Close(fd))
}
