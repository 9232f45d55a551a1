package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// node is a file or directory. The tree is whole before it is mounted and does
// not change after that.
type node struct {
	fs.Inode
	name    string
	attr    fuse.Attr
	entries []*node // of a directory
	byName  map[string]*node
	settings

	mu  sync.Mutex // guards sum
	sum hash.Hash  // of what is written
}

var (
	_ = (fs.NodeGetattrer)((*node)(nil))
	_ = (fs.NodeLookuper)((*node)(nil))
	_ = (fs.NodeOpendirHandler)((*node)(nil))
	_ = (fs.NodeOpener)((*node)(nil))
	_ = (fs.NodeReader)((*node)(nil))
	_ = (fs.NodeSetattrer)((*node)(nil))
	_ = (fs.NodeWriter)((*node)(nil))
)

// load reads the tree below dir.
func load(dir string, o settings) (*node, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	l := loader{settings: o}
	return l.node(dir, info)
}

type loader struct {
	settings
	count uint64 // of nodes, which gives them their inode numbers
}

func (l *loader) node(path string, info os.FileInfo) (*node, error) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, fmt.Errorf("%s: no attributes", path)
	}
	l.count++
	n := &node{name: info.Name(), settings: l.settings}
	n.attr.FromStat(st)
	n.attr.Ino = l.count
	if !info.IsDir() {
		n.sum = sha256.New()
		if l.direct {
			n.attr.Blksize = maxRequest
		}
		return n, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	n.byName = make(map[string]*node, len(entries))
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		child, err := l.node(filepath.Join(path, e.Name()), info)
		if err != nil {
			return nil, err
		}
		n.entries = append(n.entries, child)
		n.byName[child.name] = child
	}
	return n, nil
}

// Getattr implements fs.NodeGetattrer.
func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Attr = n.attr
	return fs.OK
}

// Lookup implements fs.NodeLookuper.
func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	child := n.byName[name]
	if child == nil {
		return nil, syscall.ENOENT
	}
	return n.inode(ctx, child, out), fs.OK
}

// inode returns the inode of a child, which is made when the kernel first asks.
func (n *node) inode(ctx context.Context, child *node, out *fuse.EntryOut) *fs.Inode {
	out.Attr = child.attr
	if known := n.GetChild(child.name); known != nil {
		return known
	}
	return n.NewInode(ctx, child, fs.StableAttr{Mode: child.attr.Mode, Ino: child.attr.Ino})
}

// OpendirHandle implements fs.NodeOpendirHandler.
func (n *node) OpendirHandle(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if n.cacheDirs {
		return &listing{dir: n}, fuse.FOPEN_CACHE_DIR, fs.OK
	}
	return &listing{dir: n}, 0, fs.OK
}

// Open implements fs.NodeOpener. The kernel keeps what it has read.
func (n *node) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if n.direct {
		return nil, fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NOFLUSH, fs.OK
	}
	return nil, fuse.FOPEN_KEEP_CACHE | fuse.FOPEN_NOFLUSH, fs.OK
}

// Read implements fs.NodeReader: all files are zeros.
func (n *node) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	clear(dest)
	return fuse.ReadResultData(dest[:max(0, min(int64(len(dest)), int64(n.attr.Size)-off))]), fs.OK
}

// Setattr implements fs.NodeSetattrer: nothing changes.
func (n *node) Setattr(_ context.Context, _ fs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	out.Attr = n.attr
	return fs.OK
}

// Write implements fs.NodeWriter: what is written is hashed, and kept nowhere.
func (n *node) Write(_ context.Context, _ fs.FileHandle, data []byte, _ int64) (uint32, syscall.Errno) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sum.Write(data)
	return uint32(len(data)), fs.OK
}

// listing is an open directory.
type listing struct {
	dir *node
	pos int // the next entry; a cookie is a position
}

var (
	_ = (fs.FileReaddirenter)((*listing)(nil))
	_ = (fs.FileSeekdirer)((*listing)(nil))
	_ = (fs.FileLookuper)((*listing)(nil))
)

// Readdirent implements fs.FileReaddirenter.
func (l *listing) Readdirent(context.Context) (*fuse.DirEntry, syscall.Errno) {
	if l.pos >= len(l.dir.entries) {
		return nil, fs.OK
	}
	child := l.dir.entries[l.pos]
	l.pos++
	return &fuse.DirEntry{Name: child.name, Mode: child.attr.Mode, Ino: child.attr.Ino, Off: uint64(l.pos)}, fs.OK
}

// Seekdir implements fs.FileSeekdirer.
func (l *listing) Seekdir(_ context.Context, off uint64) syscall.Errno {
	l.pos = int(off)
	return fs.OK
}

// Lookup implements fs.FileLookuper: attributes come with the listing.
func (l *listing) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return l.dir.Lookup(ctx, name, out)
}
