package fusefs

import (
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// attr is what a file looks like. fsys turns it into the kernel's form.
type attr struct {
	mode  uint32 // type and permissions
	size  int64
	mtime time.Time
	nlink uint32
	ttl   lifetime
	ino   uint64 // if it is not that of the node's identity
}

// lifetime says how long the kernel may believe an answer.
type lifetime uint8

const (
	mutable   lifetime = iota // names and content that others may change: Options.TagTTL
	immutable                 // digest-named: the content never changes, the name may go
	fixed                     // part of every mount
	transient                 // drafts: asked for anew each time
)

// A lifetime of 0 makes the kernel look up each entry of a listing again, which
// is right for drafts only: the least it knows otherwise is a tick of its clock,
// and for that long a name would go on meaning the draft after its commit.
const (
	draftTTL     = 0
	digestTTL    = 5 * time.Minute
	immutableTTL = 24 * time.Hour
	negativeTTL  = time.Second
)

func (s *fsys) entryTTL(l lifetime) time.Duration {
	switch l {
	case immutable:
		return max(digestTTL, s.opts.TagTTL)
	case fixed:
		return immutableTTL
	case transient:
		return draftTTL
	}
	return s.opts.TagTTL
}

func (s *fsys) attrTTL(l lifetime) time.Duration {
	if l == immutable {
		return immutableTTL
	}
	return s.entryTTL(l)
}

// epoch is the time of what has none of its own. It is not "now", or a second
// rsync would find every virtual directory changed.
var epoch = time.Unix(0, 0)

func dirAttr(mtime time.Time, ttl lifetime) attr {
	return attr{mode: syscall.S_IFDIR | 0o755, mtime: mtime, nlink: 2, ttl: ttl}
}

// digestAttr has two links: that is what makes du, tar, cp -a and rsync -H see
// one file under several names.
func digestAttr(size int64, mtime time.Time) attr {
	return attr{mode: syscall.S_IFREG | 0o444, size: size, mtime: mtime, nlink: 2, ttl: immutable}
}

func fileAttr(size int64, mtime time.Time, ttl lifetime) attr {
	return attr{mode: syscall.S_IFREG | 0o644, size: size, mtime: mtime, nlink: 1, ttl: ttl}
}

// readOnlyAttr is a derived file: nothing the user does changes it.
func readOnlyAttr(size int64, mtime time.Time, ttl lifetime) attr {
	return attr{mode: syscall.S_IFREG | 0o444, size: size, mtime: mtime, nlink: 1, ttl: ttl}
}

// blockSize is how much programs such as cp and cat read and write at once: a
// request of the largest size where there can be many. It is asked for when a
// draft is opened, and so before anything is in it.
func (a *attr) blockSize() uint32 {
	isFile := a.mode&syscall.S_IFMT == syscall.S_IFREG
	if isFile && (a.size >= requestSize || a.ttl == transient) {
		return requestSize
	}
	return 4096
}

func (s *fsys) fillAttr(out *fuse.Attr, k key, a *attr) {
	mode := a.mode &^ s.opts.Umask
	if s.opts.ReadOnly && mode&syscall.S_IFMT != syscall.S_IFLNK {
		mode &^= 0o222
	}
	t := s.kept.shown(k, a)
	if t.IsZero() {
		t = s.times.or(k, epoch)
	}
	sec, nsec := uint64(t.Unix()), uint32(t.Nanosecond())
	*out = fuse.Attr{
		Ino:     k.ino(),
		Size:    uint64(a.size),
		Blocks:  uint64(a.size+511) / 512,
		Mode:    mode,
		Nlink:   a.nlink,
		Blksize: a.blockSize(),
		Atime:   sec, Atimensec: nsec,
		Mtime: sec, Mtimensec: nsec,
		Ctime: sec, Ctimensec: nsec,
	}
	if a.ino != 0 {
		out.Ino = a.ino
	}
	out.Uid, out.Gid = s.opts.UID, s.opts.GID
}

func (s *fsys) fillEntry(out *fuse.EntryOut, n *node, a *attr) {
	out.NodeId = n.id
	out.Generation = 1
	out.SetEntryTimeout(s.entryTTL(a.ttl))
	out.SetAttrTimeout(s.attrTTL(a.ttl))
	s.fillAttr(&out.Attr, n.key, a)
}
