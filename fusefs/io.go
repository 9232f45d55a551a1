package fusefs

import (
	"context"
	"io"
	"slices"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"registryfs/layout"
)

// handle is an open file or directory.
type handle struct {
	n       *node
	draft   *draft     // a file being written, or its reader
	writer  bool       // of the draft
	reader  reader     // any other file
	listing *dirHandle // a directory
	backing *backing   // while its reads go past us
	cached  bool       // they could, and do not: it counts in passthrough.cached
}

// handleTable holds the open files by the number the kernel knows them by.
type handleTable struct {
	mu   sync.RWMutex // guards the following
	open map[uint64]*handle
	last uint64
}

func (t *handleTable) add(h *handle) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		t.open = map[uint64]*handle{}
	}
	t.last++
	t.open[t.last] = h
	h.n.handles.Add(1)
	return t.last
}

func (t *handleTable) get(fh uint64) *handle {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.open[fh]
}

func (t *handleTable) remove(fh uint64) *handle {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.open[fh]
	if h != nil {
		h.n.handles.Add(-1)
	}
	delete(t.open, fh)
	return h
}

func (t *handleTable) count() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.open)
}

// uploading returns the paths of drafts that are open for writing.
func (t *handleTable) uploading(s *fsys) []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var out []string
	for _, h := range t.open {
		if h.draft != nil && h.writer {
			out = append(out, s.nodes.path(h.n))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Open implements fuse.RawFileSystem.
func (s *fsys) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	defer s.stats.done(opOpen, s.stats.begin())
	n, obj := s.nodes.get(in.NodeId)
	if n == nil {
		return fuse.Status(syscall.ESTALE)
	}
	ctx := request(cancel, &in.InHeader)
	writing := in.Flags&syscall.O_ACCMODE != syscall.O_RDONLY || in.Flags&syscall.O_TRUNC != 0
	if writing && s.opts.ReadOnly {
		return s.fail("open", n, "", errReadOnly)
	}
	if d, ok := obj.(*draft); ok {
		if writing {
			s.writers.opened(in.Pid)
		}
		s.openDraft(n, d, writing, in.Flags&syscall.O_TRUNC != 0, out)
		return fuse.OK
	}
	if writing {
		return s.openReplaced(ctx, n, obj, in, out)
	}
	if n.moved.Load() && s.again.first(in.Pid) {
		return fuse.Status(syscall.ESTALE)
	}
	o, ok := obj.(opener)
	if !ok {
		return fuse.Status(syscall.EISDIR)
	}
	ctx = layout.Reading(ctx)
	r, flags, err := o.open(ctx, n)
	if err != nil {
		return s.fail("open", n, "", err)
	}
	s.again.done(in.Pid)
	h := &handle{n: n, reader: r}
	out.OpenFlags = flags
	if lazy, ok := r.(*lazyReader); ok && flags&fuse.FOPEN_DIRECT_IO == 0 {
		s.passthrough.offer(ctx, s, h, lazy, out)
	}
	out.Fh = s.handles.add(h)
	return fuse.OK
}

// openDraft answers with direct I/O: no byte of a draft may stay in the page
// cache, where a reader could take it for committed.
func (s *fsys) openDraft(n *node, d *draft, writer, trunc bool, out *fuse.OpenOut) {
	d.open(trunc)
	out.Fh = s.handles.add(&handle{n: n, draft: d, writer: writer})
	out.OpenFlags = fuse.FOPEN_DIRECT_IO
}

// openReplaced opens an existing file for writing. The kernel knows it by the
// node that readers have; writing through that would change the size they see
// and the pages they share. So the answer is ESTALE, upon which the kernel
// looks the name up once more and is told a draft.
func (s *fsys) openReplaced(ctx context.Context, n *node, obj object, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if _, ok := obj.(replaceable); !ok {
		return s.fail("open for writing", n, "", why(obj))
	}
	parent, name := s.nodes.place(n)
	if parent == nil {
		return s.fail("open for writing", n, "", errFixed)
	}
	if s.writers.expect(in.Pid, n.key, staleName{parent.key, name}) {
		return fuse.Status(syscall.ESTALE)
	}
	a, err := obj.attr(ctx)
	if err != nil {
		return s.fail("open for writing", n, "", err)
	}
	dir, _ := s.nodes.parentObject(n).(directory)
	d, err := overwrite(ctx, parent, dir, name, &found{key: n.key, obj: obj, attr: a})
	if err != nil {
		return s.fail("open for writing", n, "", err)
	}
	s.openDraft(n, d, true, in.Flags&syscall.O_TRUNC != 0, out)
	return fuse.OK
}

// Read implements fuse.RawFileSystem.
func (s *fsys) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	defer s.stats.done(opRead, s.stats.begin())
	h := s.handles.get(in.Fh)
	if h == nil {
		return nil, fuse.EBADF
	}
	ctx := look(cancel, &in.InHeader)
	if r, ok := h.reader.(viewer); ok {
		return s.readView(ctx, h, r, buf, int64(in.Offset))
	}
	n, err := h.read(ctx, buf, int64(in.Offset))
	if n == 0 && err != nil && err != io.EOF {
		return nil, s.fail("read", h.n, "", err)
	}
	s.stats.read(n)
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

// readView answers a read with the memory that the bytes are in.
func (s *fsys) readView(ctx context.Context, h *handle, r viewer, buf []byte, off int64) (fuse.ReadResult, fuse.Status) {
	v, err := r.view(ctx, buf, off)
	n := v.Len()
	if n == 0 && err != nil && err != io.EOF {
		return nil, s.fail("read", h.n, "", err)
	}
	s.stats.read(n)
	return &viewResult{v, n}, fuse.OK
}

// viewResult is the answer to a READ, given back when it is written.
type viewResult struct {
	view layout.View
	n    int
}

// Size implements fuse.ReadResult.
func (r *viewResult) Size() int { return r.n }

// Bytes implements fuse.ReadResult.
func (r *viewResult) Bytes(buf []byte) ([]byte, fuse.Status) {
	return buf[:r.view.CopyTo(buf)], fuse.OK
}

// Slices is what go-fuse writes to the kernel.
func (r *viewResult) Slices() ([][]byte, fuse.Status) { return r.view.Bytes, fuse.OK }

// Done implements fuse.ReadResult.
func (r *viewResult) Done() { r.view.Release() }

func (h *handle) read(ctx context.Context, p []byte, off int64) (int, error) {
	switch {
	case h.draft != nil:
		return h.draft.read(ctx, p, off, h.writer)
	case h.reader != nil:
		return h.reader.read(ctx, p, off)
	}
	return 0, syscall.EISDIR
}

// Write implements fuse.RawFileSystem.
func (s *fsys) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	defer s.stats.done(opWrite, s.stats.begin())
	h := s.handles.get(in.Fh)
	if h == nil || !h.writer {
		return 0, fuse.EBADF
	}
	n, err := h.draft.write(unbroken(), data, int64(in.Offset))
	if err != nil {
		return 0, s.fail("write", h.n, "", err)
	}
	s.stats.wrote(n)
	return uint32(n), fuse.OK
}

// Flush implements fuse.RawFileSystem. It is where a program that copies a
// file sees whether its content was taken.
func (s *fsys) Flush(_ <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	defer s.stats.done(opFlush, s.stats.begin())
	return s.commit("close", in.Fh)
}

// Fsync implements fuse.RawFileSystem: a commit is durable.
func (s *fsys) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	defer s.stats.done(opFsync, s.stats.begin())
	return s.commit("fsync", in.Fh)
}

func (s *fsys) commit(op string, fh uint64) fuse.Status {
	h := s.handles.get(fh)
	if h == nil || !h.writer {
		return fuse.OK
	}
	if err := h.draft.flush(unbroken()); err != nil {
		return s.fail(op, h.n, "", err)
	}
	s.notify.settle()
	return fuse.OK
}

// Release implements fuse.RawFileSystem.
func (s *fsys) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	defer s.stats.done(opRelease, s.stats.begin())
	h := s.handles.remove(in.Fh)
	if h == nil {
		return
	}
	s.passthrough.release(s, h)
	if h.reader != nil {
		h.reader.close()
	}
	if h.draft != nil {
		h.draft.release(unbroken())
	}
}

// CopyFileRange implements fuse.RawFileSystem. A copy of a whole stored file
// moves no bytes: the draft refers to the blob.
func (s *fsys) CopyFileRange(cancel <-chan struct{}, in *fuse.CopyFileRangeIn) (uint32, fuse.Status) {
	defer s.stats.done(opCopy, s.stats.begin())
	src, dst := s.handles.get(in.FhIn), s.handles.get(in.FhOut)
	if src == nil || dst == nil || !dst.writer {
		return 0, fuse.EBADF
	}
	from, ok := src.reader.(*lazyReader)
	if !ok {
		return 0, fuse.ENOTSUP // the kernel reads and writes instead
	}
	const most = 1 << 30 // the answer has 32 bits
	n := min(int64(in.Len), most, max(0, from.size-int64(in.OffIn)))
	if n == 0 {
		return 0, fuse.OK
	}
	ctx := request(cancel, &in.InHeader)
	if from.digest != "" && dst.draft.copyRange(from.digest, from.size, int64(in.OffIn), int64(in.OffOut), n) {
		return uint32(n), fuse.OK
	}
	buf := make([]byte, min(n, 1<<20))
	got, err := from.read(ctx, buf, int64(in.OffIn))
	if got == 0 {
		return 0, s.fail("read", src.n, "", err)
	}
	wrote, err := dst.draft.write(unbroken(), buf[:got], int64(in.OffOut))
	if err != nil {
		return 0, s.fail("write", dst.n, "", err)
	}
	return uint32(wrote), fuse.OK
}
