package ahead

import (
	"time"

	"registryfs/drivers"
)

// passage is a reader who looks up name after name and lists nothing, as rsync
// does where it writes. Most of the names may not be there yet. One page tells of
// all that is near.
type passage struct {
	last   string // the path that was asked for last
	at     time.Time
	credit int // look-ups in favour of another page
	wasted int // pages in sequence that were of little use
	own    int // files written here that were asked for since the last write
}

const (
	pageWorth  = 4 // look-ups
	mostWasted = 5
)

func (p *passage) cost() int { return pageWorth << p.wasted }

func (p *passage) earn() { p.credit = min(p.credit+1, pageWorth<<mostWasted) }

// judge tells a page that goes from one that was of use.
func (p *passage) judge(s *stream) {
	if s.hits >= pageWorth {
		p.wasted = 0
	} else {
		p.wasted = min(p.wasted+1, mostWasted)
	}
}

// passing reads the page that begins at path, if others were asked for just
// before. The way down to one path is a single look-up. Who writes file after file
// and looks at each asks for those one by one: no page knows the next one.
func (d *Driver) passing(path string, now time.Time) chan struct{} {
	if wait := d.onePage(path); wait != nil {
		return wait
	}
	p := &d.passage
	if now.Sub(p.at) > patience {
		*p = passage{}
	}
	p.at = now
	isNext := path > p.last && !isIn(path, p.last)
	if isNext {
		p.earn()
	}
	p.last = path
	if d.changes.of[path] != nil {
		if isNext {
			p.own++
		}
		if p.own < pageWorth {
			return nil
		}
	}
	if p.credit < p.cost() {
		return nil
	}
	p.credit -= p.cost()
	return d.start(&stream{from: "/", start: justBefore(path), most: 1, passed: true}).changed
}

// passedBy keeps that there was nothing at path, nor below it.
func (d *Driver) passedBy(path string, asked time.Time) {
	low, high := bounds(path)
	s := &stream{from: path, noFile: path, start: justBefore(low), until: high, most: 1, passed: true}
	d.add(s)
	s.front, s.asked, s.ended = high, asked, true
}

// passedTo keeps that path is a directory and the first file in it that one: who
// goes on down that way needs no other request.
func (d *Driver) passedTo(path string, first drivers.FileInfo, asked time.Time) {
	low, _ := bounds(path)
	s := &stream{from: path, noFile: path, start: justBefore(low), most: 1, passed: true}
	d.add(s)
	s.pages = []*page{pack(asked, []drivers.FileInfo{first})}
	s.front, s.asked, s.ended = first.Path()+"\x00", asked, true
	d.held++
}

// justBefore is a key that is less than path, and greater than that of any file
// before it.
func justBefore(path string) string {
	i := len(path) - 1
	return path[:i] + string(path[i]-1) + "~"
}
