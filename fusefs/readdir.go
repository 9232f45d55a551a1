package fusefs

import (
	"context"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"registryfs/layout"
)

// dirHandle is one pass over a directory. It streams: it holds the entries of
// a few answers, however large the directory is, and while the kernel works on
// one answer it looks up the attributes of the next.
type dirHandle struct {
	s   *fsys
	n   *node
	dir directory

	ctx    context.Context // ends at RELEASEDIR: look-ahead outlives a request
	cancel context.CancelFunc

	mu     sync.Mutex // guards the following; held while waiting for entries
	source *puller
	clock  uint64    // of the turnover, when source was made
	window []*listed // entries from offset first on
	first  uint64
	ended  bool
	err    error
}

// listed is an entry whose attributes may still be on their way.
type listed struct {
	entry
	clock uint64        // of the turnover, before it was found
	ready chan struct{} // closed when found is filled in; nil if it was at hand
	err   error
}

const (
	lookAhead   = 512 // entries looked up ahead of the kernel
	lookWorkers = 4   // at once; a local disk has no use for more
	farWorkers  = 16  // at once, where each look is a request over a network
	keptBehind  = 512 // entries kept for a reader that steps back
)

// cacheDirTTL is the least lifetime of names with which the kernel may keep a
// listing: one that outlives its names is looked up name by name.
const cacheDirTTL = time.Minute

func (s *fsys) keepsListings() bool { return s.opts.TagTTL >= cacheDirTTL }

// OpenDir implements fuse.RawFileSystem.
func (s *fsys) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	defer s.stats.done(opOpendir, s.stats.begin())
	n, obj := s.nodes.get(in.NodeId)
	dir, ok := obj.(directory)
	if !ok {
		return fuse.ENOTDIR
	}
	h := &dirHandle{s: s, n: n, dir: dir}
	h.ctx, h.cancel = context.WithCancel(layout.Listing(context.Background()))
	out.Fh = s.handles.add(&handle{n: n, listing: h})
	if s.keepsListings() {
		out.OpenFlags = fuse.FOPEN_CACHE_DIR | fuse.FOPEN_KEEP_CACHE
	}
	return fuse.OK
}

// ReleaseDir implements fuse.RawFileSystem.
func (s *fsys) ReleaseDir(in *fuse.ReleaseIn) {
	defer s.stats.done(opRelease, s.stats.begin())
	h := s.handles.remove(in.Fh)
	if h == nil || h.listing == nil {
		return
	}
	h.listing.cancel()
	h.listing.mu.Lock()
	defer h.listing.mu.Unlock()
	if h.listing.source != nil {
		h.listing.source.stop()
	}
}

// ReadDir implements fuse.RawFileSystem.
func (s *fsys) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return s.readDir(in, out, false)
}

// ReadDirPlus implements fuse.RawFileSystem.
func (s *fsys) ReadDirPlus(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return s.readDir(in, out, true)
}

func (s *fsys) readDir(in *fuse.ReadIn, out *fuse.DirEntryList, plus bool) fuse.Status {
	defer s.stats.done(opReaddir, s.stats.begin())
	s.busy.enter(in.NodeId)
	defer s.busy.leave(in.NodeId)
	hh := s.handles.get(in.Fh)
	if hh == nil || hh.listing == nil {
		return fuse.EBADF
	}
	h := hh.listing
	h.mu.Lock()
	defer h.mu.Unlock()
	off := in.Offset
	if err := h.seek(off); err != nil {
		return s.fail("list", h.n, "", err)
	}
	var added []*listed
	for ; ; off++ {
		e, err := h.at(off)
		if err != nil {
			if len(added) > 0 {
				break // the error is reported when the kernel asks on
			}
			return s.fail("list", h.n, "", err)
		}
		if e == nil {
			break
		}
		if e.name == "" {
			continue // it had gone when it was looked up
		}
		de := fuse.DirEntry{Name: e.name, Mode: e.attr.mode, Ino: e.key.ino(), Off: off + 1}
		if !plus {
			if !out.AddDirEntry(de) {
				break
			}
			added = append(added, e)
			continue
		}
		eo := out.AddDirLookupEntry(de)
		if eo == nil {
			break
		}
		added = append(added, e)
		if e.obj == nil { // "." and "..", and what was not or could not be looked up: no attributes
			continue
		}
		if n := s.tell(h.n, e.name, &e.found, e.clock); n != nil {
			s.fillEntry(eo, n, &e.attr)
		}
	}
	s.stats.listed(len(added))
	if s.nodes.count.Load() > int64(s.maxNodes()) {
		s.notify.kick()
	}
	h.drop(off)
	return fuse.OK
}

// seek makes sure that the window reaches back to off; rewinding starts anew.
func (h *dirHandle) seek(off uint64) error {
	if h.source == nil || off < h.first || (off == 0 && h.first+uint64(len(h.window)) > 0) {
		if h.source != nil {
			h.source.stop()
		}
		h.clock = h.s.turnover.clock.Load()
		h.source = pull(h.dir.list(h.ctx), h.panicked)
		h.window, h.first, h.ended, h.err = nil, 0, false, nil
		h.window = append(h.window,
			&listed{entry: entry{name: ".", found: found{key: h.n.key, attr: attr{mode: syscall.S_IFDIR}}}},
			&listed{entry: entry{name: "..", found: found{key: h.n.key, attr: attr{mode: syscall.S_IFDIR}}}})
		for _, d := range h.s.drafts.in(h.n.key) {
			h.window = append(h.window, &listed{entry: entry{name: d.shownAs(), found: d.found()}})
		}
	}
	return nil
}

// at returns the entry at off, or nil behind the last one.
func (h *dirHandle) at(off uint64) (*listed, error) {
	i := off - h.first
	if ahead := i + lookAhead; uint64(len(h.window)) <= ahead-lookAhead/2 && !h.ended {
		h.fetch(int(ahead) - len(h.window))
	}
	if i >= uint64(len(h.window)) {
		return nil, h.err
	}
	e := h.window[i]
	if e.ready != nil {
		<-e.ready
		switch {
		case e.err == nil:
		case toErrno(e.err) == syscall.ENOENT:
			e.name = "" // gone, or no name at all: a stray file among the tags
		default:
			// Listed without attributes: whoever asks for them sees the error.
			e.obj, e.attr.mode = nil, syscall.S_IFREG
		}
	}
	return e, nil
}

// fetch pulls up to n more entries and starts to look up those that need it.
func (h *dirHandle) fetch(n int) {
	var todo []*listed
	some := h.source.next(n)
	h.ended, h.err = some.ended, some.err
	for _, e := range some.entries {
		l := &listed{entry: e, clock: h.clock}
		if h.s.drafts.get(h.n.key, e.name) != nil {
			continue // shown already
		}
		if e.obj == nil {
			l.ready = make(chan struct{})
			l.clock = h.s.turnover.clock.Load()
			todo = append(todo, l)
		}
		h.window = append(h.window, l)
	}
	if len(todo) == 0 {
		return
	}
	workers := min(lookWorkers, (len(todo)+15)/16)
	if h.s.reg.IsRemote() {
		workers = min(farWorkers, len(todo))
	}
	for w := range workers {
		go func() {
			for i := w; i < len(todo); i += workers {
				h.look(todo[i])
			}
		}()
	}
}

// panicked makes an error of a panic, as a handler does: it must not end the
// process because it happened in a goroutine.
func (h *dirHandle) panicked(v any) error {
	h.s.log.Error("panic in a listing", "panic", v, "stack", string(debug.Stack()))
	return syscall.EIO
}

// look fills an entry in.
func (h *dirHandle) look(l *listed) {
	defer close(l.ready)
	defer func() {
		if v := recover(); v != nil {
			l.err = h.panicked(v)
		}
	}()
	if g, ok := h.dir.(glancer); ok {
		l.found, l.err = g.glance(h.ctx, l.name)
		return
	}
	l.found, l.err = h.dir.lookup(h.ctx, l.name)
}

// drop lets go of what lies well behind off.
func (h *dirHandle) drop(off uint64) {
	if behind := int(off-h.first) - keptBehind; behind > keptBehind {
		h.window = append([]*listed(nil), h.window[behind:]...)
		h.first += uint64(behind)
	}
}

func (d *draft) shownAs() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.name
}
