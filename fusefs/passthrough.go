package fusefs

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// passthrough lets the kernel read local blobs straight from their files. It
// needs CAP_SYS_ADMIN, Linux 6.9 and a backing file system that is no overlay;
// without, reads come to us, which is slower and never wrong.
type passthrough struct {
	enabled atomic.Bool

	mu sync.Mutex // guards the backings and cached counts of all nodes
	// cached counts the handles whose reads come to us, by node: the kernel answers
	// EIO to a node's first passthrough open beside one of those that uses the
	// page cache, as a direct one does when it is mapped.
	cached map[*node]int
}

// backing is a registered file. All handles of a node share one.
type backing struct {
	id      int32
	handles int
}

// passthroughSize is where it begins to pay: below, the page cache is as fast
// and an open costs less.
const passthroughSize = 128 << 10

// directSize is where a blob of a remote store is read past the page cache: its
// pages would be copied once more, and what is worth keeping of it is kept on
// disk.
const directSize = 32 << 20

// offer gives the handle's reads to the kernel if that can be done, else sets
// the flags for the page cache, if that is used: the bytes of a digest never
// leave it stale.
func (p *passthrough) offer(ctx context.Context, s *fsys, h *handle, r *lazyReader, out *fuse.OpenOut) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b := h.n.backing; b != nil {
		// The node is open by passthrough, and then every open has to be.
		b.handles++
		h.backing = b
	} else if p.enabled.Load() && r.size >= passthroughSize && p.cached[h.n] == 0 {
		h.backing = p.register(ctx, s, r)
		h.n.backing = h.backing
	}
	if h.backing != nil {
		out.OpenFlags = fuse.FOPEN_PASSTHROUGH | fuse.FOPEN_NOFLUSH
		out.BackingID = h.backing.id
		s.stats.passthrough.Add(1)
		return
	}
	if p.cached == nil {
		p.cached = map[*node]int{}
	}
	p.cached[h.n]++
	h.cached = true
	if r.size >= directSize && s.reg.IsRemote() {
		out.OpenFlags |= fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NOFLUSH
		return
	}
	out.OpenFlags |= fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_NOFLUSH
}

func (p *passthrough) register(ctx context.Context, s *fsys, r *lazyReader) *backing {
	f := r.file(ctx)
	if f == nil {
		return nil
	}
	// The kernel takes the length of the file from the file: bytes behind the
	// blob's own would be readable.
	if st, err := f.Stat(); err != nil || st.Size() != r.size {
		return nil
	}
	id, errno := s.notify.server.RegisterBackingFd(&fuse.BackingMap{Fd: int32(f.Fd())})
	runtime.KeepAlive(f)
	switch errno {
	case 0:
		return &backing{id: id, handles: 1}
	case syscall.EPERM, syscall.ENOTTY, syscall.EOPNOTSUPP, syscall.ENOSYS:
		p.enabled.Store(false) // not for us, or not in this kernel
	}
	s.log.Debug("no passthrough", "error", errno)
	return nil
}

func (p *passthrough) release(s *fsys, h *handle) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b := h.backing; b != nil {
		if b.handles--; b.handles == 0 {
			h.n.backing = nil
			s.notify.server.UnregisterBackingFd(b.id) // the connection may be gone, and the id with it
		}
		return
	}
	if !h.cached {
		return // its reads were never to go past us
	}
	if p.cached[h.n]--; p.cached[h.n] == 0 {
		delete(p.cached, h.n)
	}
}
