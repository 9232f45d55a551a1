package proxy

import (
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Counts are what a proxy has seen.
type Counts struct {
	// Requests are counted by kind: the method, or LIST for a GET of a bucket.
	Requests map[string]int64

	Up, Down int64 // bytes of bodies, to the target and back

	Failed, Cut, Stalled int64 // by the proxy
}

// Total is the number of requests.
func (c Counts) Total() (n int64) {
	for _, of := range c.Requests {
		n += of
	}
	return n
}

// String is the number of requests with the kinds: "42 (40 GET, 2 LIST)".
func (c Counts) String() string {
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(c.Requests)) {
		kinds = append(kinds, fmt.Sprintf("%d %s", c.Requests[kind], kind))
	}
	if len(kinds) == 0 {
		return "0"
	}
	return fmt.Sprintf("%d (%s)", c.Total(), strings.Join(kinds, ", "))
}

// kindOf is the kind of a request: LIST is a GET of a bucket in path style, or
// of the parts of an upload.
func kindOf(method, target string) string {
	if method != "GET" {
		return method
	}
	path, query, _ := strings.Cut(target, "?")
	if _, key, _ := strings.Cut(strings.Trim(path, "/"), "/"); key != "" && !strings.Contains(query, "uploadId=") {
		return method
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return method
	}
	for _, about := range []string{"location", "versioning", "policy", "acl", "tagging", "lifecycle", "object-lock"} {
		if values.Has(about) {
			return method
		}
	}
	return "LIST"
}

// counter counts, and writes the log.
type counter struct {
	up, down             atomic.Int64
	failed, cut, stalled atomic.Int64

	mu       sync.Mutex // guards the following
	requests map[string]int64
	log      io.Writer
}

func (c *counter) request(kind string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.requests == nil {
		c.requests = make(map[string]int64)
	}
	c.requests[kind]++
}

func (c *counter) counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Counts{
		Requests: maps.Clone(c.requests),
		Up:       c.up.Load(), Down: c.down.Load(),
		Failed: c.failed.Load(), Cut: c.cut.Load(), Stalled: c.stalled.Load(),
	}
}

func (c *counter) reset() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := Counts{
		Requests: c.requests,
		Up:       c.up.Swap(0), Down: c.down.Swap(0),
		Failed: c.failed.Swap(0), Cut: c.cut.Swap(0), Stalled: c.stalled.Swap(0),
	}
	c.requests = nil
	return was
}

// line logs a request that has ended: when it began, what it took in all, kind,
// status, bytes of the answer, range, target, and how it ended.
func (c *counter) line(began time.Time, kind string, status int, bytes int64, span, target, end string) {
	if c.log == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// A log that cannot be written must not disturb what is measured.
	_, _ = fmt.Fprintf(c.log, "%s %7.1fms %-6s %3d %9d %-25s %s %s\n", began.Format("15:04:05.000"),
		float64(time.Since(began).Microseconds())/1e3, kind, status, bytes, span, target, end)
}
