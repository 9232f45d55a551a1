package fusefs

import (
	"fmt"
	"runtime"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// op is a kind of request, for counting.
type op int

const (
	opLookup op = iota
	opGetattr
	opSetattr
	opOpendir
	opReaddir
	opOpen
	opCreate
	opRead
	opWrite
	opCopy
	opFlush
	opFsync
	opMkdir
	opUnlink
	opRmdir
	opRename
	opLink
	opXattr
	opCount
)

var opNames = [opCount]string{
	"lookup", "getattr", "setattr", "opendir", "readdir", "open", "create", "read", "write",
	"copy_file_range", "flush", "fsync", "mkdir", "unlink", "rmdir", "rename", "link", "xattr",
}

// stats counts what the mount has done since it began.
type stats struct {
	start   time.Time
	ops     [opCount]atomic.Int64
	entries atomic.Int64
	in, out atomic.Int64 // bytes written by and read to users
	last    atomic.Int64 // when the newest request came, Unix nanoseconds

	mu     sync.Mutex // guards the following
	errnos map[syscall.Errno]int64
}

func (s *stats) count(o op) {
	s.ops[o].Add(1)
	s.last.Store(time.Now().UnixNano())
}

func (s *stats) read(n int)   { s.out.Add(int64(n)) }
func (s *stats) wrote(n int)  { s.in.Add(int64(n)) }
func (s *stats) listed(n int) { s.entries.Add(int64(n)) }

func (s *stats) failed(errno syscall.Errno) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.errnos == nil {
		s.errnos = map[syscall.Errno]int64{}
	}
	s.errnos[errno]++
}

// idleFor tells whether no request has come for d.
func (s *stats) idleFor(d time.Duration) bool {
	return time.Since(time.Unix(0, s.last.Load())) > d
}

// text is the content of .registryfs/stats: one "name value" a line.
func (s *fsys) statsText() string {
	var b strings.Builder
	line := func(name string, value any) { fmt.Fprintf(&b, "%s %v\n", name, value) }
	line("uptime_seconds", int64(time.Since(s.stats.start).Seconds()))
	line("nodes", s.nodes.count.Load())
	line("open_handles", s.handles.count())
	line("entries_listed", s.stats.entries.Load())
	line("bytes_read", s.stats.out.Load())
	line("bytes_written", s.stats.in.Load())
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	line("heap_bytes", m.HeapAlloc)
	line("goroutines", runtime.NumGoroutine())
	line("passthrough", s.passthrough.enabled.Load())
	line("times_kept", s.kept.size())
	if s.opts.Stats != nil {
		s.opts.Stats(line)
	}
	for o, name := range opNames {
		line("op_"+name, s.stats.ops[o].Load())
	}
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	var errnos []string
	for e, n := range s.stats.errnos {
		errnos = append(errnos, fmt.Sprintf("error_%d %d (%s)\n", int(e), n, e.Error()))
	}
	sort.Strings(errnos)
	b.WriteString(strings.Join(errnos, ""))
	return b.String()
}
