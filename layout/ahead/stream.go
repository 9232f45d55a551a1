package ahead

import (
	"context"
	"math"
	"slices"
	"sort"
	"time"

	"registryfs/drivers"
)

const (
	pageSize   = 1000 // about what an object store gives at once
	firstAhead = 2    // pages a new stream reads before it is used
	mostAhead  = 8    // pages it reads ahead of its use in the end
	maxStreams = 48
	maxPassed  = 16 // of them
)

// stream is a flat listing under way, and what is kept of it: all files whose
// paths are greater than start and less than front. The Driver's lock guards it.
type stream struct {
	from   string // the directory that is listed
	until  string // files from here on are not wanted
	start  string
	front  string
	noFile string  // this path, which may be before start, is none either
	pages  []*page // of those files, in order
	most   int     // pages it may read in all; 0 is any number

	ended bool // there is no more, or no more is wanted
	gone  bool // nobody is to use it
	read  int  // pages read so far
	used  int  // of them up to the farthest use
	due   int  // of them that somebody waits for
	asked time.Time
	hit   time.Time           // the last use
	seen  map[uint64]struct{} // the directories of which it has answered a listing

	walk bool // it follows a walk, and a walker that jumps gets another one
	bulk bool // of Options.Scattered: it is read to its end at once

	passed bool // it is of a passage
	hits   int  // what it has answered there

	changed chan struct{} // closed, and made anew, when the fields above change
	more    chan struct{} // has room for one: the producer may go on
	cancel  context.CancelFunc
}

// start begins to list s.from after s.start. The lock is held.
func (d *Driver) start(s *stream) *stream {
	ctx := d.add(s)
	go d.produce(ctx, s)
	return s
}

// add adds a stream that has read nothing. The context ends with it.
func (d *Driver) add(s *stream) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	if s.until == "" {
		_, s.until = bounds(s.from)
	}
	s.front = s.start
	s.asked = time.Now()
	s.hit = s.asked
	s.seen = map[uint64]struct{}{}
	s.changed = make(chan struct{})
	s.more = make(chan struct{}, 1)
	s.cancel = cancel
	if len(d.streams) >= maxStreams {
		d.dropOldest(d.streams)
	}
	if s.passed {
		passed := slices.DeleteFunc(slices.Clone(d.streams), func(s *stream) bool { return !s.passed })
		if len(passed) >= maxPassed {
			d.dropOldest(passed)
		}
	}
	d.streams = append([]*stream{s}, d.streams...)
	d.arm()
	return ctx
}

// ahead is how many pages s may have read beyond those used.
func (s *stream) ahead() int {
	switch {
	case s.bulk:
		return math.MaxInt
	case s.walk:
		return min(firstAhead+2*s.used, mostAhead)
	}
	return min(1+2*s.used, mostAhead)
}

// idle reports whether s has read as far ahead as it may.
func (s *stream) idle() bool { return s.read >= s.due && s.read-s.used >= s.ahead() }

// produce reads page after page until the end, an error, or nobody wants more.
func (d *Driver) produce(ctx context.Context, s *stream) {
	defer s.cancel()
	after := s.start
	for {
		asked := time.Now()
		files, next, err := d.readPage(ctx, s.from, after, s.until)
		d.mu.Lock()
		if ctx.Err() != nil || err != nil {
			// Who waits asks the store for themselves, and sees its error.
			d.drop(s)
			d.mu.Unlock()
			return
		}
		s.read++
		after = next
		if next != "" {
			s.front = next + "\x00"
		} else {
			s.front = s.until
		}
		if len(files) > 0 {
			s.pages = append(s.pages, pack(asked, files))
			d.held += len(files)
		}
		s.ended = next == "" || s.most > 0 && s.read >= s.most
		s.notify()
		d.trim(s)
		for !s.ended && s.idle() {
			d.mu.Unlock()
			select {
			case <-s.more:
			case <-ctx.Done():
			}
			d.mu.Lock()
			if ctx.Err() != nil {
				d.mu.Unlock()
				return
			}
		}
		ended := s.ended
		d.mu.Unlock()
		if ended {
			return
		}
	}
}

// readPage reads the files after a key and before another, as many as one
// request gives. next is where the rest begins, or "" if there is none.
func (d *Driver) readPage(ctx context.Context, from, after, until string) (files []drivers.FileInfo, next string, err error) {
	files, next, err = drivers.WalkPage(ctx, d.inner, from, after)
	if err != nil {
		return nil, "", err
	}
	if n := len(files); n > 0 && files[n-1].Path() >= until {
		n = sort.Search(n, func(i int) bool { return files[i].Path() >= until })
		files, next = files[:n], ""
	}
	files = slices.DeleteFunc(files, func(f drivers.FileInfo) bool { return !drivers.ValidPath(f.Path()) })
	return files, next, nil
}

func (s *stream) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// use says that what lies before key is being used, and lets the producer go on.
func (s *stream) use(key string, now time.Time) {
	s.hit = now
	n := s.read - len(s.pages) // of pages dropped
	if key >= s.front {
		n = s.read
	} else {
		n += s.pageOf(key) + 1
	}
	if n <= s.used {
		return
	}
	s.used = n
	s.goOn()
}

// want says that somebody waits for the next page.
func (s *stream) want(now time.Time) {
	s.hit = now
	s.due = s.read + 1
	s.goOn()
}

func (s *stream) goOn() {
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// pageOf is the first page that has a file not less than key, or len(s.pages).
func (s *stream) pageOf(key string) int {
	return sort.Search(len(s.pages), func(i int) bool {
		p := s.pages[i]
		return p.path(p.len()-1) >= key
	})
}

// before is the last path that is less than key, of a file that is there or not.
func (s *stream) before(key string) string {
	n := s.pageOf(key)
	if n < len(s.pages) {
		if i := s.pages[n].search(key); i > 0 {
			return s.pages[n].path(i - 1)
		}
	}
	if n > 0 {
		return s.pages[n-1].path(s.pages[n-1].len() - 1)
	}
	return s.start
}

// oldest is when the oldest of the pages was asked for that tell of the keys
// between low and high.
func (s *stream) oldest(low, high string) time.Time {
	i := s.pageOf(low)
	if i == len(s.pages) {
		if i == 0 {
			return s.asked // nothing was there
		}
		i--
	}
	// Pages are asked for one after the other.
	return s.pages[i].asked
}

// covers reports whether all keys between low and high are known.
func (s *stream) covers(low, high string) bool { return s.start <= low && high <= s.front }

// dropOldest drops the stream of which there was no use for the longest time.
func (d *Driver) dropOldest(streams []*stream) {
	d.drop(slices.MinFunc(streams, func(a, b *stream) int { return a.hit.Compare(b.hit) }))
}

// drop ends a stream and lets go of what it has read.
func (d *Driver) drop(s *stream) {
	for i, other := range d.streams {
		if other != s {
			continue
		}
		d.streams = append(d.streams[:i:i], d.streams[i+1:]...)
		for _, p := range s.pages {
			d.held -= p.len()
		}
		if s.passed && s.read > 0 {
			d.passage.judge(s)
		}
		s.cancel()
		s.ended, s.gone = true, true
		s.notify()
		return
	}
}

// trim keeps what is held within its bounds. The stream that grows loses its
// first page, which its walker has passed, only when there is no other.
func (d *Driver) trim(growing *stream) {
	for d.held > d.opts.MaxEntries {
		victim := growing
		for _, s := range d.streams {
			if s != growing && (victim == growing || s.hit.Before(victim.hit)) {
				victim = s
			}
		}
		if len(victim.pages) < 2 {
			if victim == growing {
				return
			}
			d.drop(victim)
			continue
		}
		first := victim.pages[0]
		victim.start = first.path(first.len() - 1)
		victim.pages = victim.pages[1:]
		d.held -= first.len()
	}
}
