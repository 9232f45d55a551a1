package ahead

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"registryfs/drivers"
)

// walks is what tells a walk from single listings.
type walks struct {
	recent   []visit // listings that were asked of the store, the newest last
	siblings siblings
	nameWalk nameWalk
	names    []namedDir // the directories listed last, with their directories

	wasted int // streams in sequence that the walker left without use
	rest   int // listings to go without another one
}

// visit is one listing that nothing that was read could answer.
type visit struct {
	dir  string
	mark mark
	dirs bool // there were directories in it
	at   time.Time
}

// namedDir is a listed directory with the directories in it.
type namedDir struct {
	dir        string
	names      []string // sorted
	asked, hit time.Time
}

const (
	maxRecent = 8
	maxNames  = 20_000 // of all directories together

	wastedMost = 3
	restAfter  = 32
)

// missed notes a listing that has to be read, and returns the stream that
// follows the walk it is part of, if it is. The lock is held.
func (d *Driver) missed(dir string, m mark) *stream {
	now := time.Now()
	w := &d.walks
	w.recent = slices.DeleteFunc(w.recent, func(v visit) bool { return now.Sub(v.at) > patience })
	v := visit{dir: dir, mark: m, at: now}
	w.recent = append(w.recent, v)
	if len(w.recent) > maxRecent {
		w.recent = w.recent[1:]
	}
	if s := d.following(dir, m, now); s != nil {
		return s
	}
	if m == names && d.missedName(dir) || d.findSiblings(v) || m == names {
		return nil
	}
	w.nameWalk = nameWalk{}
	from, start, ok := w.sequence()
	if !ok {
		return nil
	}
	return d.startWalk(from, start)
}

// following is the stream of a walk that is or will soon be at dir.
func (d *Driver) following(dir string, m mark, now time.Time) *stream {
	low, high := bounds(dir)
	var before, any *stream
	for _, s := range d.streams {
		if !s.walk || !isIn(dir, s.from) || now.Sub(s.hit) > d.live() {
			continue
		}
		if s.start <= low && s.front > low && !d.mayServe(s, dir, low, high, now) {
			continue // another walk's, or of before a change
		}
		any = s
		if s.start <= low && (s.front > low || !s.ended) && (before == nil || s.start > before.start) {
			before = s
		}
	}
	if before != nil || any == nil {
		return before
	}
	return d.jump(any, dir, m, now)
}

// jump starts a stream where the walker of s has gone. One that leaves stream
// after stream unused is no walker of subtrees, and gets none for a while.
func (d *Driver) jump(s *stream, dir string, m mark, now time.Time) *stream {
	w := &d.walks
	if s.gone || !s.walk || m == names {
		return nil
	}
	if w.rest > 0 {
		w.rest--
		return nil
	}
	if len(s.seen) > 1 {
		w.wasted = 0
	} else if w.wasted++; w.wasted >= wastedMost {
		w.wasted, w.rest = 0, restAfter
		return nil
	}
	low, _ := bounds(dir)
	s.hit = now
	return d.start(&stream{from: s.from, start: low, walk: true})
}

func (d *Driver) startWalk(from, start string) *stream {
	if d.walks.rest > 0 {
		d.walks.rest--
		return nil
	}
	return d.start(&stream{from: from, start: start, walk: true})
}

// sequence reports whether the last three listings were steps of a walk, what
// directory it is of, and where it is. Of those under Names these count that the walk
// has come through.
func (w *walks) sequence() (from, start string, ok bool) {
	const steps = 3
	last := w.recent[len(w.recent)-1]
	from = last.dir
	at, n := last, 1
	parent := ""
	for i := len(w.recent) - 2; i >= 0; i-- {
		v := w.recent[i]
		if drivers.ComparePaths(v.dir, at.dir) >= 0 {
			continue
		}
		if v.mark == names && !isIn(last.dir, v.dir) {
			continue
		}
		if n >= steps && v.mark != names {
			break
		}
		if n == 1 && isIn(last.dir, v.dir) {
			parent = v.dir // all of it is going to be walked
		}
		from = commonDir(from, v.dir)
		at = v
		n++
	}
	start, _ = bounds(last.dir)
	if parent != "" {
		start, _ = bounds(parent)
	}
	return from, start, n >= steps
}

// commonDir is the deepest directory that both are in.
func commonDir(a, b string) string {
	for !isIn(b, a) {
		a = parentOf(a)
	}
	return a
}

// hasDirs notes that a listing has shown a directory.
func (d *Driver) hasDirs(dir string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.walks.recent {
		if d.walks.recent[i].dir == dir {
			d.walks.recent[i].dirs = true
		}
	}
}

// named remembers the directories of a directory, which was listed then.
func (d *Driver) named(dir string, names []string, asked time.Time, forgot int) {
	if len(names) == 0 || len(names) > maxNames {
		return
	}
	slices.Sort(names)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.forgot != forgot {
		return // a change may have been forgotten that would tell of them
	}
	w := &d.walks
	w.names = slices.DeleteFunc(w.names, func(n namedDir) bool { return n.dir == dir })
	w.names = append(w.names, namedDir{dir: dir, names: names, asked: asked, hit: time.Now()})
	total := 0
	for i := len(w.names) - 1; i >= 0; i-- {
		if total += len(w.names[i].names); total > maxNames {
			w.names = slices.Clone(w.names[i+1:])
			break
		}
	}
	d.arm()
}

func (w *walks) namesOf(dir string) []string {
	for i := range w.names {
		if w.names[i].dir == dir {
			w.names[i].hit = time.Now()
			return w.names[i].names
		}
	}
	return nil
}

// listedDir reports whether path is a directory of one that a live walk has
// listed.
func (d *Driver) listedDir(path string, now time.Time) bool {
	parent := parentOf(path)
	for i := range d.walks.names {
		n := &d.walks.names[i]
		if n.dir != parent || now.Sub(n.hit) > d.live() || now.Sub(n.asked) > oldest {
			continue
		}
		if _, ok := slices.BinarySearch(n.names, baseName(path)); ok && !d.changes.in(path, n.asked) {
			n.hit = now
			return true
		}
	}
	return false
}

// siblings is a walk of which each step is the same place in the next of a
// directory's directories: what else is in them is not wanted.
type siblings struct {
	parent string // "" is none
	rest   string // from the sibling on: "" or "/a/b"
	mark   mark
	names  []string
	step   int // 1 or, as a shell's globs go, -1
	next   int // the first that has not been asked for
	window int
	at     time.Time
}

const (
	firstSiblings = 4
	mostSiblings  = 16
	maxChildren   = pageSize
)

// findSiblings reports whether the listing may be a step of such a walk. It
// begins to read the next ones when it is.
func (d *Driver) findSiblings(v visit) bool {
	w := &d.walks
	n := len(w.recent)
	if g := &w.siblings; g.parent != "" && v.at.Sub(g.at) <= patience && g.mark == v.mark && strings.HasSuffix(v.dir, g.rest) {
		// The same, below another directory.
		parent := parentOf(strings.TrimSuffix(v.dir, g.rest))
		if names := w.namesOf(parent); names != nil && (g.rest != "" || parent != g.parent) {
			d.follow(v, parent, g.rest, names, g.step)
			return true
		}
	}
	if n < 2 {
		return false
	}
	b := w.recent[n-2]
	parent, rest, ok := alike(b, v)
	if !ok {
		return false
	}
	if n >= 3 {
		if p, r, ok := alike(w.recent[n-3], b); ok && p == parent && r == rest {
			if names := w.namesOf(parent); names != nil {
				step := 1
				if v.dir < b.dir {
					step = -1
				}
				d.follow(v, parent, rest, names, step)
			}
		}
	}
	return true
}

// alike reports whether two listings are of the same place in two siblings, and
// not of two leaves of a tree.
func alike(a, b visit) (parent, rest string, ok bool) {
	if a.mark != b.mark || a.dir == b.dir {
		return "", "", false
	}
	parent = commonDir(a.dir, b.dir)
	if parent == a.dir || parent == b.dir {
		return "", "", false
	}
	low, _ := bounds(parent)
	_, restA, deepA := strings.Cut(a.dir[len(low):], "/")
	_, restB, deepB := strings.Cut(b.dir[len(low):], "/")
	if restA != restB || deepA != deepB {
		return "", "", false
	}
	if !deepA {
		return parent, "", a.dirs
	}
	return parent, "/" + restA, true
}

func (d *Driver) follow(v visit, parent, rest string, names []string, step int) {
	next := 0
	if step < 0 {
		next = len(names) - 1
	}
	d.walks.siblings = siblings{parent: parent, rest: rest, mark: v.mark, names: names, step: step, next: next, window: firstSiblings, at: v.at}
	d.walks.advance(d, v.dir, v.mark)
}

// advance reads on when a walk of siblings has come to dir.
func (w *walks) advance(d *Driver, dir string, m mark) {
	g := &w.siblings
	if g.parent == "" || g.mark != m || !isIn(dir, g.parent) || !strings.HasSuffix(dir, g.rest) {
		return
	}
	low, _ := bounds(g.parent)
	if len(dir) <= len(low)+len(g.rest) {
		return
	}
	i, ok := slices.BinarySearch(g.names, dir[len(low):len(dir)-len(g.rest)])
	if !ok {
		return
	}
	g.at = time.Now()
	if (g.next-i)*g.step <= 0 {
		g.next = i + g.step
	}
	for ; g.next >= 0 && g.next < len(g.names) && (g.next-i)*g.step <= g.window; g.next += g.step {
		d.prefetch(low+g.names[g.next]+g.rest, m)
	}
	g.window = min(2*g.window, mostSiblings)
}

// prefetch begins to read a listing that is going to be asked for under the mark.
func (d *Driver) prefetch(dir string, m mark) {
	all := m == whole
	low, high := bounds(dir)
	if d.knows(dir, low, high, all) != nil || d.lists[dir] != nil {
		return
	}
	if all {
		d.start(&stream{from: dir, start: low})
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &childList{asked: time.Now(), hit: time.Now(), forgot: d.forgot, ready: make(chan struct{})}
	d.lists[dir] = l
	d.arm()
	go func() {
		defer cancel()
		defer close(l.ready)
		for info, err := range drivers.ListInfo(ctx, d.inner, dir) {
			if err != nil || len(l.infos) == maxChildren {
				l.failed = true
				return
			}
			l.infos = append(l.infos, info)
		}
		if m == names {
			d.foundNames(dir, l.names())
		}
	}()
}

// childList is the listing of one directory, read before it is asked for.
type childList struct {
	asked, hit time.Time
	forgot     int
	ready      chan struct{} // closed when the following are filled in
	infos      []drivers.FileInfo
	failed     bool
}

// names are those of the directories in it.
func (l *childList) names() (names []string) {
	for _, info := range l.infos {
		if info.IsDir() {
			names = append(names, baseName(info.Path()))
		}
	}
	return names
}

// take is the listing, which serves once.
func (d *Driver) take(ctx context.Context, l *childList) iter.Seq2[drivers.FileInfo, error] {
	for dir, other := range d.lists {
		if other != l {
			continue
		}
		delete(d.lists, dir)
		return func(yield func(drivers.FileInfo, error) bool) {
			select {
			case <-l.ready:
			case <-ctx.Done():
				yield(nil, ctx.Err())
				return
			}
			d.mu.Lock()
			bad := l.failed || time.Since(l.asked) > oldest || d.changes.in(dir, l.asked) || d.forgot != l.forgot
			d.mu.Unlock()
			if bad {
				d.listInner(ctx, dir, yield)
				return
			}
			for _, info := range l.infos {
				if !yield(info, nil) {
					return
				}
			}
			d.named(dir, l.names(), l.asked, l.forgot)
		}
	}
	return nil
}

func baseName(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
