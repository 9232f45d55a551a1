package fusefs

import (
	"fmt"
	"maps"
	"runtime"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"registryfs/layout"
)

// Stats is what a mount has done since it began, and what it holds.
type Stats struct {
	Uptime                  time.Duration
	Operations              []Operation // always all, in the same order
	Errors                  map[syscall.Errno]int64
	EntriesListed           int64
	BytesRead, BytesWritten int64 // past us, by passthrough, nothing is seen
	PassthroughOpens        int64
	Passthrough             bool // whether the kernel may read blobs past us
	Nodes, OpenFiles        int
	OpenUploads             int
	TimesKept               int
}

// Operation is a kind of request of the kernel.
type Operation struct {
	Name      string
	Durations layout.Durations
}

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
	opSymlink
	opMknod
	opReadlink
	opXattr
	opStatfs
	opRelease
	opOther // fallocate, ioctl, tmpfile
	opCount
)

var opNames = [opCount]string{
	"lookup", "getattr", "setattr", "opendir", "readdir", "open", "create", "read", "write",
	"copy_file_range", "flush", "fsync", "mkdir", "unlink", "rmdir", "rename", "link",
	"symlink", "mknod", "readlink", "xattr", "statfs", "release", "other",
}

// stats counts what the mount has done since it began.
type stats struct {
	start       time.Time
	ops         [opCount]layout.Histogram
	entries     atomic.Int64
	in, out     atomic.Int64 // bytes written by and read to users
	passthrough atomic.Int64 // opens
	last        atomic.Int64 // when the newest request came, Unix nanoseconds

	mu     sync.Mutex // guards the following
	errnos map[syscall.Errno]int64
}

// begin is called when a request comes, and its result given to done.
func (s *stats) begin() time.Time {
	now := time.Now()
	s.last.Store(now.UnixNano())
	return now
}

func (s *stats) done(o op, began time.Time) { s.ops[o].Observe(time.Since(began)) }

func (s *stats) read(n int)   { s.out.Add(int64(n)) }
func (s *stats) wrote(n int)  { s.in.Add(int64(n)) }
func (s *stats) listed(n int) { s.entries.Add(int64(n)) }

// refuse counts a request that is refused without a word.
func (s *stats) refuse(o op, errno syscall.Errno) fuse.Status {
	s.done(o, s.begin())
	s.failed(errno)
	return fuse.Status(errno)
}

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

// Stats tells what the mount has done.
func (s *Server) Stats() Stats { return s.s.snapshot() }

func (s *fsys) snapshot() Stats {
	out := Stats{
		Uptime:           time.Since(s.stats.start),
		EntriesListed:    s.stats.entries.Load(),
		BytesRead:        s.stats.out.Load(),
		BytesWritten:     s.stats.in.Load(),
		PassthroughOpens: s.stats.passthrough.Load(),
		Passthrough:      s.passthrough.enabled.Load(),
		Nodes:            int(s.nodes.count.Load()),
		OpenFiles:        s.handles.count(),
		OpenUploads:      len(s.handles.uploading(s)),
		TimesKept:        s.kept.size(),
	}
	for o, name := range opNames {
		out.Operations = append(out.Operations, Operation{name, s.stats.ops[o].Durations()})
	}
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	out.Errors = maps.Clone(s.stats.errnos)
	return out
}

// statsText is the content of .registryfs/stats: one "name value" a line.
func (s *fsys) statsText() string {
	var b strings.Builder
	line := func(name string, value any) { fmt.Fprintf(&b, "%s %v\n", name, value) }
	now := s.snapshot()
	line("uptime_seconds", int64(now.Uptime.Seconds()))
	line("nodes", now.Nodes)
	line("open_handles", now.OpenFiles)
	line("open_uploads", now.OpenUploads)
	line("entries_listed", now.EntriesListed)
	line("bytes_read", now.BytesRead)
	line("bytes_written", now.BytesWritten)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	line("heap_bytes", m.HeapAlloc)
	line("goroutines", runtime.NumGoroutine())
	line("passthrough", now.Passthrough)
	line("passthrough_opens", now.PassthroughOpens)
	line("times_kept", now.TimesKept)
	if s.opts.Stats != nil {
		s.opts.Stats(line)
	}
	for _, o := range now.Operations {
		line("op_"+o.Name, o.Durations.Count)
	}
	var errnos []string
	for e, n := range now.Errors {
		errnos = append(errnos, fmt.Sprintf("error_%d %d (%s)\n", int(e), n, e.Error()))
	}
	sort.Strings(errnos)
	b.WriteString(strings.Join(errnos, ""))
	return b.String()
}
