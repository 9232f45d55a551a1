package ahead

import (
	"context"
	"hash/maphash"
	"iter"
	"strings"
	"time"

	"registryfs/drivers"
)

// large is how many pages of a subtree a listing of its top waits for.
const large = 3

var seed = maphash.MakeSeed()

// ListInfo implements drivers.InfoLister.
func (d *Driver) ListInfo(ctx context.Context, dir string) iter.Seq2[drivers.FileInfo, error] {
	m := markOf(ctx)
	if m < listing || !validDir(dir) {
		return drivers.ListInfo(ctx, d.inner, dir)
	}
	return func(yield func(drivers.FileInfo, error) bool) {
		if ctx.Err() != nil {
			drivers.ListInfo(ctx, d.inner, dir)(yield)
			return
		}
		c := childScan{dir: dir, yield: yield}
		c.low, _ = bounds(dir)
		if d.list(ctx, dir, m, c.scan, yield) && !c.some && dir != "/" {
			yield(nil, d.notFound(dir))
		}
	}
}

// WalkInfo implements drivers.InfoWalker.
func (d *Driver) WalkInfo(ctx context.Context, from, startAfter string) iter.Seq2[drivers.FileInfo, error] {
	if markOf(ctx) < listing || startAfter != "" || !validDir(from) {
		return drivers.WalkInfo(ctx, d.inner, from, startAfter)
	}
	return func(yield func(drivers.FileInfo, error) bool) {
		if ctx.Err() != nil {
			drivers.WalkInfo(ctx, d.inner, from, startAfter)(yield)
			return
		}
		some := false
		flow := func(p *page, i, j int) error {
			for ; i < j; i++ {
				some = true
				if !yield(p.info(i), nil) {
					return errStop
				}
			}
			return nil
		}
		if d.list(ctx, from, whole, flow, yield) && !some && from != "/" {
			yield(nil, d.notFound(from))
		}
	}
}

func validDir(dir string) bool { return dir == "/" || drivers.ValidPath(dir) }

type stopError struct{}

func (stopError) Error() string { return "the caller wants no more" }

var errStop error = stopError{}

// childScan makes the children of a directory of the files below it.
type childScan struct {
	dir   string
	low   string
	last  string // the directory yielded last
	some  bool
	yield func(drivers.FileInfo, error) bool
}

func (c *childScan) scan(p *page, i, j int) error {
	for i < j {
		c.some = true
		path := p.path(i)
		slash := strings.IndexByte(path[len(c.low):], '/')
		if slash < 0 {
			if !c.yield(p.info(i), nil) {
				return errStop
			}
			i++
			continue
		}
		child := path[:len(c.low)+slash]
		if child != c.last {
			c.last = child
			if !c.yield(dirInfo(child), nil) {
				return errStop
			}
		}
		if i++; i < j && strings.HasPrefix(p.path(i), path[:len(child)+1]) {
			i = p.search(child + "0")
		}
	}
	return nil
}

// list hands the files below dir to flow, page by page, from a stream or, if the
// mark wants all of them, from the store. Otherwise, and when there is an error, it
// yields the answer of the driver inside. It reports whether flow has had all.
func (d *Driver) list(ctx context.Context, dir string, m mark, flow func(p *page, i, j int) error, yield func(drivers.FileInfo, error) bool) bool {
	s, direct := d.source(ctx, dir, m)
	if s == nil {
		if direct != nil {
			direct(yield)
		} else if found := d.listInner(ctx, dir, yield); m == names {
			d.foundNames(dir, found)
		}
		return false
	}
	err := d.flow(ctx, s, dir, flow)
	if err != nil && err != errStop {
		yield(nil, err)
	}
	return err == nil
}

// source finds or makes what can answer a listing of dir: a stream that knows it
// or, if all is wanted, will know it; or the listing itself, read ahead.
func (d *Driver) source(ctx context.Context, dir string, m mark) (*stream, iter.Seq2[drivers.FileInfo, error]) {
	all := m == whole
	low, high := bounds(dir)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.walks.advance(d, dir, m)
	if s := d.knows(dir, low, high, all); s != nil {
		return d.serve(s, dir, low), nil
	}
	if !all {
		if l := d.lists[dir]; l != nil {
			if m == names {
				d.walks.nameWalk.step(d, dir)
			}
			return nil, d.take(ctx, l)
		}
	}
	s := d.missed(dir, m)
	waited := 0
	for s != nil && !s.gone {
		now := time.Now()
		within := low >= s.start && s.front > low
		switch {
		case within && (s.front >= high || all) && d.mayServe(s, dir, low, high, now):
			return d.serve(s, dir, low), nil
		case within && (s.front >= high || s.pagesFrom(low) >= large || all):
			s = nil // too old, or too large
			continue
		case !within && (waited > 0 || s.idle() && s.read > 0), s.ended:
			s = d.jump(s, dir, m, now)
			waited = 0
			continue
		}
		waited++
		s.want(now)
		changed := s.changed
		d.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		d.mu.Lock()
		if ctx.Err() != nil {
			return nil, nil
		}
	}
	if all {
		return d.serve(d.start(&stream{from: dir, start: low}), dir, low), nil
	}
	return nil, nil
}

// knows is a stream that can answer a listing of dir: it has all of it or, if
// all is wanted, was begun for that.
func (d *Driver) knows(dir, low, high string, all bool) *stream {
	now := time.Now()
	for _, s := range d.streams {
		if (s.covers(low, high) || all && s.from == dir && s.start == low) && d.mayServe(s, dir, low, high, now) {
			return s
		}
	}
	return nil
}

// mayServe reports whether what s knows is new enough. What is older than the
// TTL serves each directory once: a second listing is another walk.
func (d *Driver) mayServe(s *stream, dir, low, high string, now time.Time) bool {
	asked := s.oldest(low, high)
	if now.Sub(s.hit) > d.live() || now.Sub(asked) > oldest || s.passed && now.Sub(asked) > d.opts.TTL || d.changes.in(dir, asked) {
		return false
	}
	_, again := s.seen[maphash.String(seed, dir)]
	return !again || now.Sub(asked) <= d.opts.TTL
}

func (d *Driver) serve(s *stream, dir, low string) *stream {
	s.seen[maphash.String(seed, dir)] = struct{}{}
	d.used(s, low, time.Now())
	return s
}

// pagesFrom is how many pages s has of what follows key.
func (s *stream) pagesFrom(key string) int { return len(s.pages) - s.pageOf(key) }

// flow hands all files below dir to fn, as s reads them. If s ends before that,
// the rest is read without it.
func (d *Driver) flow(ctx context.Context, s *stream, dir string, fn func(p *page, i, j int) error) error {
	at, high := bounds(dir)
	for {
		p, done, changed := d.next(s, at, high)
		switch {
		case done:
			return nil
		case p != nil:
			i, j := p.search(at+"\x00"), p.search(high)
			if err := fn(p, i, j); err != nil {
				return err
			}
			at = p.path(j - 1)
		case changed != nil:
			select {
			case <-changed:
			case <-ctx.Done():
				return ctx.Err()
			}
		default:
			return d.flowDirect(ctx, dir, at, fn)
		}
	}
}

// next is the page with the file that follows at, or done if there is none
// before high, or what to wait for. If it is nothing of these s is of no use.
func (d *Driver) next(s *stream, at, high string) (p *page, done bool, changed chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.start > at {
		return nil, false, nil
	}
	if n := s.pageOf(at + "\x00"); n < len(s.pages) {
		p := s.pages[n]
		if p.path(p.search(at+"\x00")) >= high {
			return nil, true, nil
		}
		s.use(at+"\x00", time.Now())
		return p, false, nil
	}
	if s.front >= high {
		return nil, true, nil
	}
	if s.ended {
		return nil, false, nil
	}
	s.want(time.Now())
	return nil, false, s.changed
}

func (d *Driver) flowDirect(ctx context.Context, dir, at string, fn func(p *page, i, j int) error) error {
	_, high := bounds(dir)
	for {
		files, next, err := d.readPage(ctx, dir, at, high)
		if err != nil {
			return err
		}
		if len(files) > 0 {
			if err := fn(pack(time.Now(), files), 0, len(files)); err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		at = next
	}
}

// listInner lists one directory of the driver inside, and notes what a walk's
// next steps can be: the directories in it, unless not all were wanted.
func (d *Driver) listInner(ctx context.Context, dir string, yield func(drivers.FileInfo, error) bool) (names []string) {
	asked, forgot := d.beginAsking()
	defer d.endAsking(func() {})
	for info, err := range drivers.ListInfo(ctx, d.inner, dir) {
		if err == nil && info.IsDir() && len(names) <= maxNames {
			if len(names) == 0 {
				d.hasDirs(dir)
			}
			names = append(names, baseName(info.Path()))
		}
		if !yield(info, err) || err != nil {
			return nil
		}
	}
	d.named(dir, names, asked, forgot)
	return names
}
