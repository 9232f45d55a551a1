package ahead

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"time"

	"registryfs/drivers"
)

// answer is what the streams know of a path.
type answer struct {
	state  state
	info   drivers.FileInfo // if it is found
	stream *stream          // that it comes from
	page   *page            // of a file
	i      int
}

type state uint8

const (
	unknown state = iota
	stale         // known, but too old for whoever asks
	absent
	found
)

// asker is who looks a path up.
type asker struct {
	mark
	named bool // by StatNamed
}

// find looks a path up. A file may be older than the mark allows if its content
// follows from its path. The lock is held.
func (d *Driver) find(path string, who asker, now time.Time) answer {
	low, high := bounds(path)
	if d.changes.holds(low, high, now.Add(-d.opts.TTL)) {
		return answer{state: found, info: dirInfo(path)}
	}
	var best answer
	for _, s := range d.streams {
		if now.Sub(s.hit) > d.live() {
			continue
		}
		who := who
		if s.passed { // a walk has listings of its own
			who.mark = min(who.mark, reading)
		}
		a := d.findIn(s, path, low, high, who, now)
		if a.state > best.state {
			best = a
		}
		if best.state > stale {
			return best
		}
	}
	if best.state == unknown && d.listedDir(path, now) {
		best = answer{state: found, info: dirInfo(path)}
	}
	return best
}

func (d *Driver) findIn(s *stream, path, low, high string, who asker, now time.Time) answer {
	if len(s.pages) > 0 && path < s.front && high > s.start {
		if a := d.fileIn(s, path, who.mark, now); a.state != unknown {
			return a
		}
		if a := d.dirIn(s, path, low, now); a.state != unknown {
			return a
		}
	}
	if s.start >= path && s.noFile != path || high > s.front || d.scattered(path) && !who.named {
		// What scattered files are looked up for may be newer than they seem.
		return answer{}
	}
	asked := s.oldest(path, high)
	if d.changes.in(path, asked) {
		return answer{}
	}
	a := answer{state: absent, stream: s}
	if !d.young(asked, who.mark, now) {
		a.state = stale
	}
	return a
}

func (d *Driver) fileIn(s *stream, path string, m mark, now time.Time) answer {
	n := s.pageOf(path)
	if n == len(s.pages) {
		return answer{}
	}
	p := s.pages[n]
	i := p.search(path)
	if i == p.len() || p.path(i) != path || d.changes.at(path, p.asked) {
		return answer{}
	}
	a := answer{state: found, info: p.info(i), stream: s, page: p, i: i}
	if !d.young(p.asked, m, now) {
		a.state = stale
	}
	return a
}

// dirIn finds a directory by any file in it: that is as good at any age that a
// walk has.
func (d *Driver) dirIn(s *stream, path, low string, now time.Time) answer {
	const tries = 8
	key := low
	for range tries {
		n := s.pageOf(key)
		if n == len(s.pages) {
			break
		}
		p := s.pages[n]
		file := p.path(p.search(key))
		if !strings.HasPrefix(file, low) || now.Sub(p.asked) > oldest {
			break
		}
		if !d.changes.at(file, p.asked) {
			return answer{state: found, info: dirInfo(path), stream: s}
		}
		key = file + "\x00"
	}
	return answer{}
}

func (d *Driver) young(asked time.Time, m mark, now time.Time) bool {
	age := now.Sub(asked)
	return age <= d.opts.TTL || m >= listing && age <= oldest
}

// lookUp finds a path, waiting for the stream of scattered files that will tell,
// and for one page if there are others in a row that need it.
func (d *Driver) lookUp(ctx context.Context, path string, who asker) answer {
	for waited := 0; ; waited++ {
		d.mu.Lock()
		now := time.Now()
		a := d.find(path, who, now)
		var wait chan struct{}
		switch {
		case a.state > stale:
			d.used(a.stream, path, now)
		case who.mark >= listing && d.coming(path) != nil:
			wait = d.coming(path)
		case who.named && who.mark < listing:
			if waited == 0 {
				wait = d.passing(path, now)
			}
		case a.state == stale && who.mark == reading && waited < 2:
			d.used(a.stream, path, now)
			wait = d.refresh(a, path, now)
		}
		d.mu.Unlock()
		if wait == nil {
			return a
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return answer{}
		}
	}
}

// used tells the stream that it was.
func (d *Driver) used(s *stream, key string, now time.Time) {
	switch {
	case s == nil:
		return
	case s.passed:
		d.passage.at = now
		d.passage.earn()
		s.hits++
		fallthrough
	case !s.bulk:
		s.use(key, now)
		return
	}
	for _, s := range d.streams {
		if s.bulk {
			s.hit = now
		}
	}
}

// coming is closed when the stream of scattered files that will know the path
// has read on.
func (d *Driver) coming(path string) chan struct{} {
	for _, s := range d.streams {
		if s.bulk && !s.ended && s.front <= path && s.start < path && path < s.until {
			return s.changed
		}
	}
	return nil
}

// staleRun counts the accesses in sequence whose answers were too old.
type staleRun struct {
	n     int
	at    time.Time
	last  *page // of those read again
	ahead int   // how many more were read again with it
}

const (
	// refreshAfter is how many of them are asked one by one.
	refreshAfter = 3

	// mostRefreshed is how many pages are read again ahead of a reader.
	mostRefreshed = 4
)

// refresh reads the one page that path is in again, if others were asked for
// just before: a reader of link after link needs one request for a thousand. The
// next pages are read with it, at once since it is known where they begin, for a
// reader who has come from page to page.
func (d *Driver) refresh(a answer, path string, now time.Time) chan struct{} {
	if d.scattered(path) {
		return nil
	}
	if wait := d.onePage(path); wait != nil {
		return wait
	}
	run, s := &d.stale, a.stream
	if now.Sub(run.at) > patience {
		*run = staleRun{}
	}
	run.n++
	run.at = now
	if run.n < refreshAfter {
		return nil
	}
	i := s.pageOf(path)
	again := &stream{from: s.from, start: s.before(path), until: s.until, most: 1}
	if i == len(s.pages) {
		return d.start(again).changed
	}
	if i > 0 && s.pages[i-1] == run.last {
		run.ahead = min(max(1, 2*run.ahead), mostRefreshed)
	} else {
		run.ahead = 0
	}
	run.last = s.pages[i]
	pages := s.pages[i+1:]
	for _, next := range pages[:min(run.ahead, len(pages))] {
		end := run.last.path(run.last.len() - 1)
		if known := d.find(next.path(0), asker{mark: listing}, now); known.page == nil || now.Sub(known.page.asked) < d.opts.TTL/2 {
			break // it was read again already
		}
		// Each until the next begins, or one would be waited for in vain.
		again.until = end + "\x00"
		d.start(again)
		again, run.last = &stream{from: s.from, start: end, until: s.until, most: 1}, next
	}
	d.start(again)
	return d.onePage(path)
}

// onePage is closed when the stream of one page that may know the path has read
// it; nil if there is none on its way.
func (d *Driver) onePage(path string) chan struct{} {
	for _, s := range d.streams {
		if s.most == 1 && !s.ended && s.start < path && path < s.until {
			return s.changed
		}
	}
	return nil
}

// Stat implements drivers.StorageDriver.
func (d *Driver) Stat(ctx context.Context, path string) (drivers.FileInfo, error) {
	return d.stat(ctx, path, asker{mark: markOf(ctx)})
}

// StatNamed is Stat of a path that a user has named. Others may have it of a file
// that is newer than what was read ahead: of Options.Scattered they are not told
// that it is not there.
func (d *Driver) StatNamed(ctx context.Context, path string) (drivers.FileInfo, error) {
	return d.stat(ctx, path, asker{mark: markOf(ctx), named: true})
}

func (d *Driver) stat(ctx context.Context, path string, who asker) (drivers.FileInfo, error) {
	if who.mark == exact || ctx.Err() != nil {
		return d.statInner(ctx, path, who)
	}
	if path == "/" {
		return dirInfo(path), nil // every driver has one
	}
	a := d.ask(ctx, path, who)
	switch {
	case a.state == absent:
		return nil, d.notFound(path)
	case a.state == found && who.mark != adding:
		return a.info, nil
	}
	return d.statInner(ctx, path, who)
}

// statInner asks the driver inside. It keeps that a file written here is there, and
// so the directories it is in; and that there is nothing: who is about to make a
// directory will ask for what is in it.
func (d *Driver) statInner(ctx context.Context, path string, who asker) (drivers.FileInfo, error) {
	asked, forgot := d.beginAsking()
	info, err := d.inner.Stat(ctx, path)
	d.endAsking(func() {
		switch {
		case err == nil:
			d.changes.seen(path, asked)
			if first := drivers.First(info); first != nil && who.mark != exact && d.forgot == forgot {
				d.passedTo(path, first, asked)
			}
		case errors.Is(err, fs.ErrNotExist) && who.mark != exact && who.named && d.forgot == forgot:
			d.passedBy(path, asked)
		}
	})
	return info, err
}

// beginAsking begins a request whose answer may be kept: so no change is forgotten
// before endAsking, or forgot tells that one may have been.
func (d *Driver) beginAsking() (asked time.Time, forgot int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listers++
	return time.Now(), d.forgot
}

// endAsking keeps the answer, with the lock held.
func (d *Driver) endAsking(keep func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listers--
	keep()
}

// Serves reports whether the context has a mark, without which every call goes
// to the driver inside.
func (d *Driver) Serves(ctx context.Context) bool { return markOf(ctx) >= reading }

// Known is Stat as far as it takes no request for this path alone.
func (d *Driver) Known(ctx context.Context, path string) (drivers.FileInfo, bool) {
	m := markOf(ctx)
	if m < reading {
		return nil, false
	}
	a := d.ask(ctx, path, asker{mark: m})
	return a.info, a.state == found
}

// ask is lookUp, and for scattered files lists them all if that is worth it.
func (d *Driver) ask(ctx context.Context, path string, who asker) answer {
	a := d.lookUp(ctx, path, who)
	if a.state < absent && who.mark >= listing && d.scattered(path) && d.gather(ctx, path) {
		a = d.lookUp(ctx, path, who)
	}
	return a
}

func (d *Driver) notFound(path string) error {
	return drivers.PathNotFoundError{Path: path, DriverName: d.Name()}
}

// After returns the files that follow path in the order of bytes, as far as the
// listing of a live walk tells them, and n at most: what a reader that goes
// through the tree in that order will open next. The walk lives on by it.
func (d *Driver) After(path string, n int) []drivers.FileInfo {
	d.mu.Lock()
	defer d.mu.Unlock()
	var infos []drivers.FileInfo
	for _, s := range d.streams {
		if s.start > path || path >= s.front || time.Since(s.hit) > d.live() {
			continue
		}
		s.hit = time.Now()
		for _, p := range s.pages[s.pageOf(path+"\x00"):] {
			for i := p.search(path + "\x00"); i < p.len(); i++ {
				if len(infos) == n {
					return infos
				}
				infos = append(infos, p.info(i))
			}
		}
		break
	}
	return infos
}
