package ahead

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// lookups counts the look-ups of scattered files that had to be asked.
type lookups struct {
	n     int
	at    time.Time
	probe *stream // the first page, which tells how many there are
	all   bool    // all of them are being read
}

const (
	probeAfter = 3 // look-ups
	shards     = "123456789abcdef"
)

// gather reports whether the streams will know what they know of scattered
// files: it lists them all as soon as that is cheaper than to go on asking.
func (d *Driver) gather(ctx context.Context, path string) bool {
	d.mu.Lock()
	l := &d.lookups
	now := time.Now()
	if now.Sub(l.at) > patience || l.probe != nil && l.probe.gone {
		*l = lookups{}
	}
	l.n++
	l.at = now
	if l.n < probeAfter {
		d.mu.Unlock()
		return false
	}
	if l.probe == nil {
		low, _ := bounds(d.opts.Scattered)
		l.probe = d.start(&stream{from: d.opts.Scattered, start: low, most: 1, bulk: true})
	}
	probe := l.probe
	for !probe.ended {
		changed := probe.changed
		d.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
		d.mu.Lock()
	}
	defer d.mu.Unlock()
	if d.lookups.probe != probe || probe.gone {
		return false
	}
	if l.all {
		return true
	}
	pages := d.pagesAfter(probe)
	switch {
	case pages == 0:
		l.all = true
	case pages > l.n || pages*pageSize > d.opts.MaxEntries/2:
		return probe.start < path && path < probe.front
	default:
		l.all = true
		d.readAll(probe, pages)
	}
	return true
}

// pagesAfter is about how many pages follow the first one: names that are
// digests are spread evenly.
func (d *Driver) pagesAfter(probe *stream) int {
	if probe.front >= probe.until || len(probe.pages) == 0 {
		return 0
	}
	p := probe.pages[0]
	low, _ := bounds(d.opts.Scattered)
	name := strings.TrimPrefix(p.path(p.len()-1), low)
	for part := range strings.SplitSeq(name, "/") {
		if len(part) < 4 {
			continue
		}
		if n, err := strconv.ParseUint(part[:4], 16, 32); err == nil {
			return int(0x10000/(n+1)) + 1
		}
	}
	return d.opts.MaxEntries
}

// readAll reads all that follows the first page: a few pages one after the
// other, many in parallel.
func (d *Driver) readAll(probe *stream, pages int) {
	const few = 4
	start := probe.pages[0].path(probe.pages[0].len() - 1)
	if pages <= few {
		d.start(&stream{from: probe.from, start: start, bulk: true})
		return
	}
	low, _ := bounds(probe.from)
	for _, shard := range shards {
		if until := low + string(shard); until > start {
			d.start(&stream{from: probe.from, start: start, until: until, bulk: true})
			start = until
		}
	}
	d.start(&stream{from: probe.from, start: start, bulk: true})
}

func (d *Driver) scattered(path string) bool {
	return d.opts.Scattered != "" && isIn(path, d.opts.Scattered)
}
