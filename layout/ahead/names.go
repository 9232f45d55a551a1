package ahead

import (
	"slices"
	"time"

	"registryfs/drivers"
)

// nameWalk is a walk whose steps are listings under Names. Only the directories
// are read, and not all that is below them: each is listed before it is asked for,
// several at once. The zero value is none.
type nameWalk struct {
	from   string    // the directory that is walked
	due    []string  // those that are there and were not listed yet, in the walk's order
	window int       // how many may be listed and not asked for
	dir    string    // the last step
	at     time.Time // its time
}

// missedName notes a listing under Names that is going to be read, and reports
// whether it is a step of such a walk. The lock is held.
func (d *Driver) missedName(dir string) bool {
	w := &d.walks.nameWalk
	if !w.live(dir) {
		from, ok := d.walks.nameSequence()
		if !ok {
			return false
		}
		d.walks.siblings = siblings{}
		*w = nameWalk{from: from, window: firstSiblings}
	}
	w.step(d, dir)
	if len(w.due) == 0 {
		w.due = d.namesAfter(dir, w.from)
		w.fill(d)
	}
	return true
}

// nameSequence reports whether the last three listings were steps of a walk of names,
// and what directory it is of: all were under Names, and one was left for another that
// is not in it.
func (w *walks) nameSequence() (from string, ok bool) {
	const steps = 3
	if len(w.recent) < steps {
		return "", false
	}
	last := w.recent[len(w.recent)-steps:]
	from = last[0].dir
	for i, v := range last {
		if v.mark != names {
			return "", false
		}
		if i == 0 {
			continue
		}
		if drivers.ComparePaths(last[i-1].dir, v.dir) >= 0 {
			return "", false
		}
		ok = ok || !isIn(v.dir, last[i-1].dir)
		from = commonDir(from, v.dir)
	}
	return from, ok
}

// live reports whether dir can be a step of w.
func (w *nameWalk) live(dir string) bool {
	return w.from != "" && isIn(dir, w.from) && time.Since(w.at) <= patience
}

// step says that dir is asked for, and what lies before it will not be any more.
func (w *nameWalk) step(d *Driver, dir string) {
	if w.from == "" || !isIn(dir, w.from) {
		return
	}
	w.dir, w.at = dir, time.Now()
	i, found := slices.BinarySearchFunc(w.due, dir, drivers.ComparePaths)
	if found {
		i++
	}
	w.due = w.due[i:]
	w.window = min(2*w.window, mostSiblings)
	w.fill(d)
}

func (w *nameWalk) fill(d *Driver) {
	for len(w.due) > 0 && len(d.lists) < w.window {
		dir := w.due[0]
		w.due = w.due[1:]
		d.prefetch(dir, names)
	}
}

// foundNames notes what directories are in one that was listed under Names.
func (d *Driver) foundNames(dir string, names []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := &d.walks.nameWalk
	if !w.live(dir) {
		return
	}
	found := d.nestedAfter(w.dir, dir, names)
	i, _ := slices.BinarySearchFunc(w.due, dir, drivers.ComparePaths)
	w.due = slices.Insert(w.due, i, found...)
	w.due = w.due[:min(len(w.due), maxNames)]
	w.fill(d)
}

// namesAfter are the known directories of a walk of from that follow dir and what is
// in it.
func (d *Driver) namesAfter(dir, from string) (after []string) {
	for at := dir; at != from; at = parentOf(at) {
		parent := parentOf(at)
		after = append(after, d.nestedAfter(dir, parent, d.walks.namesOf(parent))...)
	}
	slices.SortFunc(after, drivers.ComparePaths)
	return after
}

// nestedAfter are the directories in dir of these names that a walk of names comes to
// after it was at a path, in its order.
func (d *Driver) nestedAfter(at, dir string, names []string) (paths []string) {
	low, _ := bounds(dir)
	for _, name := range names {
		if path := low + name; d.nested(name) && drivers.ComparePaths(path, at) > 0 {
			paths = append(paths, path)
		}
	}
	slices.SortFunc(paths, drivers.ComparePaths)
	return paths
}

func (d *Driver) nested(name string) bool { return d.opts.Nested == nil || d.opts.Nested(name) }
