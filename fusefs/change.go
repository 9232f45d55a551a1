package fusefs

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// closed is a directory that takes no new names, with the reason.
type closed interface {
	closed() error
}

// why says why a directory does not do what was asked.
func why(obj object) error {
	if c, ok := obj.(closed); ok {
		return c.closed()
	}
	return errFixed
}

func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errors.ErrUnsupported)
}

// Create implements fuse.RawFileSystem.
func (s *fsys) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	defer s.stats.done(opCreate, s.stats.begin())
	s.busy.enter(in.NodeId)
	defer s.busy.leave(in.NodeId)
	parent, obj := s.nodes.get(in.NodeId)
	if parent == nil {
		return fuse.Status(syscall.ESTALE)
	}
	if s.opts.ReadOnly {
		return s.fail("create", parent, name, errReadOnly)
	}
	d, err := s.create(request(cancel, &in.InHeader), parent, obj, name, in.Flags, in.Mode, in.Umask)
	if err != nil {
		return s.fail("create", parent, name, err)
	}
	f := d.found()
	n := s.nodes.add(parent, name, &f)
	s.fillEntry(&out.EntryOut, n, &f.attr)
	s.openDraft(n, d, true, false, &out.OpenOut)
	return fuse.OK
}

// create makes the draft for a new name, or for one that has come to exist
// since the kernel looked.
func (s *fsys) create(ctx context.Context, parent *node, obj object, name string, flags, mode, umask uint32) (*draft, error) {
	c, ok := obj.(container)
	if !ok {
		return nil, why(obj)
	}
	excl := flags&syscall.O_EXCL != 0
	if d := s.drafts.get(parent.key, name); d != nil {
		if excl {
			return nil, fs.ErrExist
		}
		return d, nil
	}
	var p place
	if !staged(name, flags, mode, umask) {
		var err error
		if p, err = c.place(ctx, name, excl); err != nil {
			return nil, err
		}
	}
	if p != nil {
		f, err := c.lookup(layout.Adding(ctx), name)
		switch {
		case err == nil && excl:
			return nil, fs.ErrExist
		case err == nil:
			return overwrite(ctx, parent, c, name, &f)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	d := s.newDraft(parent.key, name, p)
	return d, s.drafts.add(d)
}

// Mkdir implements fuse.RawFileSystem.
func (s *fsys) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	defer s.stats.done(opMkdir, s.stats.begin())
	s.busy.enter(in.NodeId)
	defer s.busy.leave(in.NodeId)
	parent, obj := s.nodes.get(in.NodeId)
	if parent == nil {
		return fuse.Status(syscall.ESTALE)
	}
	if s.opts.ReadOnly {
		return s.fail("mkdir", parent, name, errReadOnly)
	}
	dir, ok := obj.(folder)
	if !ok {
		return s.fail("mkdir", parent, name, why(obj))
	}
	f, err := dir.mkdir(layout.Adding(unbroken()), name)
	if err != nil {
		return s.fail("mkdir", parent, name, err)
	}
	s.fillEntry(out, s.nodes.add(parent, name, &f), &f.attr)
	return fuse.OK
}

// Unlink implements fuse.RawFileSystem.
func (s *fsys) Unlink(cancel <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	defer s.stats.done(opUnlink, s.stats.begin())
	s.busy.enter(h.NodeId)
	defer s.busy.leave(h.NodeId)
	parent, obj := s.nodes.get(h.NodeId)
	if parent == nil {
		return fuse.Status(syscall.ESTALE)
	}
	if d := s.drafts.get(parent.key, name); d != nil {
		d.unlink()
		return fuse.OK
	}
	if s.opts.ReadOnly {
		return s.fail("rm", parent, name, errReadOnly)
	}
	if s.aliases.remove(staleName{parent.key, name}) {
		return fuse.OK // as a draft, nothing of the store
	}
	dir, ok := obj.(remover)
	if !ok {
		return s.fail("rm", parent, name, why(obj))
	}
	if !s.opts.AllowDelete {
		return s.fail("rm", parent, name, errNoDelete)
	}
	if err := dir.unlink(unbroken(), name); err != nil {
		return s.fail("rm", parent, name, err)
	}
	s.turnover.changed(staleName{parent.key, name})
	s.keepEmptied(obj)
	s.notify.settle()
	return fuse.OK
}

// Rmdir implements fuse.RawFileSystem.
func (s *fsys) Rmdir(cancel <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	defer s.stats.done(opRmdir, s.stats.begin())
	s.busy.enter(h.NodeId)
	defer s.busy.leave(h.NodeId)
	parent, obj := s.nodes.get(h.NodeId)
	if parent == nil {
		return fuse.Status(syscall.ESTALE)
	}
	if s.opts.ReadOnly {
		return s.fail("rmdir", parent, name, errReadOnly)
	}
	dir, ok := obj.(folder)
	if !ok {
		return s.fail("rmdir", parent, name, why(obj))
	}
	if err := dir.rmdir(unbroken(), name); err != nil {
		return s.fail("rmdir", parent, name, err)
	}
	s.keepEmptied(obj)
	s.notify.settle()
	return fuse.OK
}

// The flags of renameat2(2).
const (
	renameNoReplace = 1
	renameExchange  = 2
	renameWhiteout  = 4
)

// Rename implements fuse.RawFileSystem. For a staged file it is the commit.
func (s *fsys) Rename(cancel <-chan struct{}, in *fuse.RenameIn, oldName, newName string) fuse.Status {
	defer s.stats.done(opRename, s.stats.begin())
	s.busy.enter(in.NodeId)
	defer s.busy.leave(in.NodeId)
	s.busy.enter(in.Newdir)
	defer s.busy.leave(in.Newdir)
	parent, obj := s.nodes.get(in.NodeId)
	target, targetObj := s.nodes.get(in.Newdir)
	if parent == nil || target == nil {
		return fuse.Status(syscall.ESTALE)
	}
	if s.opts.ReadOnly {
		return s.fail("rename", parent, oldName, errReadOnly)
	}
	err := s.rename(unbroken(), parent, obj, oldName, target, targetObj, newName, in.Flags)
	if err != nil {
		return s.fail("rename", target, newName, err)
	}
	s.notify.settle()
	return fuse.OK
}

func (s *fsys) rename(ctx context.Context, parent *node, obj object, oldName string, target *node, targetObj object, newName string, flags uint32) error {
	if flags&(renameExchange|renameWhiteout) != 0 {
		return refuse(syscall.EINVAL, "names cannot be exchanged", "rename one after the other")
	}
	d := s.drafts.get(parent.key, oldName)
	if d == nil {
		return s.renameStored(ctx, parent, obj, oldName, target, targetObj, newName, flags)
	}
	c, ok := targetObj.(container)
	if !ok {
		return why(targetObj)
	}
	if flags&renameNoReplace != 0 {
		if _, err := s.find(ctx, target, c, newName); err == nil {
			return fs.ErrExist
		}
	}
	p, err := c.place(ctx, newName, flags&renameNoReplace != 0)
	if err != nil {
		return err
	}
	if old := s.drafts.get(target.key, newName); old != nil && old != d {
		old.unlink()
	}
	return d.rename(ctx, target.key, newName, p)
}

func (s *fsys) renameStored(ctx context.Context, parent *node, obj object, oldName string, target *node, targetObj object, newName string, flags uint32) error {
	r, ok := obj.(renamer)
	if !ok || parent != target {
		return errCross
	}
	if oldName == newName {
		return nil
	}
	if !s.opts.AllowDelete {
		return refuse(syscall.EPERM, "a rename removes the old name, and deletes are off",
			"copy the file instead, or mount with --allow-delete")
	}
	if flags&renameNoReplace != 0 {
		if _, err := s.find(ctx, target, targetObj.(directory), newName); err == nil {
			return fs.ErrExist
		}
	}
	if err := r.rename(ctx, oldName, newName); err != nil {
		return err
	}
	s.turnover.changed(staleName{parent.key, oldName})
	s.turnover.changed(staleName{parent.key, newName})
	if old := s.drafts.get(target.key, newName); old != nil {
		old.unlink()
	}
	return nil
}

// Link implements fuse.RawFileSystem. A second name for a blob or revision is
// a link of it in the other repository; a tag name is a tag.
func (s *fsys) Link(cancel <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	defer s.stats.done(opLink, s.stats.begin())
	s.busy.enter(in.NodeId)
	defer s.busy.leave(in.NodeId)
	parent, obj := s.nodes.get(in.NodeId)
	_, src := s.nodes.get(in.Oldnodeid)
	if parent == nil || src == nil {
		return fuse.Status(syscall.ESTALE)
	}
	if s.opts.ReadOnly {
		return s.fail("ln", parent, name, errReadOnly)
	}
	f, err := s.link(unbroken(), parent, obj, src, name)
	if err != nil {
		return s.fail("ln", parent, name, err)
	}
	s.fillEntry(out, s.nodes.add(parent, name, &f), &f.attr)
	return fuse.OK
}

func (s *fsys) link(ctx context.Context, parent *node, obj, src object, name string) (found, error) {
	c, ok := obj.(container)
	if !ok {
		return found{}, why(obj)
	}
	if s.drafts.get(parent.key, name) != nil {
		return found{}, fs.ErrExist
	}
	in, size, err := linkSource(ctx, src)
	if err != nil {
		return found{}, err
	}
	p, err := c.place(ctx, name, true)
	if err != nil && temporary(name) {
		p, err = nil, nil
	}
	if err != nil {
		return found{}, err
	}
	d := s.newDraft(parent.key, name, p)
	d.refer(in, size)
	if p == nil {
		return d.found(), s.drafts.add(d)
	}
	if _, err := c.lookup(ctx, name); err == nil {
		return found{}, fs.ErrExist
	}
	if err := d.flush(ctx); err != nil {
		return found{}, err
	}
	return s.find(ctx, parent, c, name)
}

// linkSource is the stored content that a link is to be made of.
func linkSource(ctx context.Context, src object) (digest.Digest, int64, error) {
	a, err := src.attr(ctx)
	if err != nil {
		return "", 0, err
	}
	r, ok := src.(replaceable)
	if !ok {
		return "", 0, errFixed
	}
	in, _ := r.content()
	defer in.close()
	if in.digest == "" {
		return "", 0, refuse(syscall.EXDEV, "only stored blobs, manifests and tags can be linked", "copy the file")
	}
	return in.digest, a.size, nil
}

// Symlink implements fuse.RawFileSystem.
func (s *fsys) Symlink(_ <-chan struct{}, h *fuse.InHeader, _, name string, _ *fuse.EntryOut) fuse.Status {
	defer s.stats.done(opSymlink, s.stats.begin())
	parent, _ := s.nodes.get(h.NodeId)
	return s.fail("ln -s", parent, name, errNoSymlink)
}

// Mknod implements fuse.RawFileSystem.
func (s *fsys) Mknod(_ <-chan struct{}, in *fuse.MknodIn, name string, _ *fuse.EntryOut) fuse.Status {
	defer s.stats.done(opMknod, s.stats.begin())
	parent, _ := s.nodes.get(in.NodeId)
	return s.fail("mknod", parent, name, errNoDevice)
}

// Readlink implements fuse.RawFileSystem.
func (s *fsys) Readlink(cancel <-chan struct{}, h *fuse.InHeader) ([]byte, fuse.Status) {
	defer s.stats.done(opReadlink, s.stats.begin())
	n, obj := s.nodes.get(h.NodeId)
	l, ok := obj.(linkTarget)
	if !ok {
		return nil, fuse.EINVAL
	}
	to, err := l.readlink(look(cancel, h))
	if err != nil {
		return nil, s.fail("readlink", n, "", err)
	}
	return []byte(to), fuse.OK
}

// What the default answers with ENOSYS is never asked again, which is right
// for LSEEK (the kernel does it), ACCESS (the kernel checks modes) and STATX
// (GETATTR has it all), and wrong for the rest.

// Tmpfile implements fuse.RawFileSystem.
func (s *fsys) Tmpfile(<-chan struct{}, *fuse.CreateIn, *fuse.CreateOut) fuse.Status {
	return s.stats.refuse(opOther, syscall.EOPNOTSUPP)
}

// Fallocate implements fuse.RawFileSystem.
func (s *fsys) Fallocate(<-chan struct{}, *fuse.FallocateIn) fuse.Status {
	return s.stats.refuse(opOther, syscall.EOPNOTSUPP)
}

// Ioctl implements fuse.RawFileSystem.
func (s *fsys) Ioctl(<-chan struct{}, *fuse.IoctlIn, []byte, *fuse.IoctlOut, []byte) fuse.Status {
	return s.stats.refuse(opOther, syscall.ENOTTY)
}

// FsyncDir implements fuse.RawFileSystem: what was committed is durable.
func (s *fsys) FsyncDir(<-chan struct{}, *fuse.FsyncIn) fuse.Status {
	s.stats.done(opFsync, s.stats.begin())
	return fuse.OK
}

// locals are the directories that exist in this mount only, until something
// lands in them.
type locals struct {
	boundedMap[staleName, localDir]
}

type localDir struct {
	emptied bool // not made: it counts only where the store has none
}

// maxLocals bounds how many directories may wait for content.
const maxLocals = 100_000
