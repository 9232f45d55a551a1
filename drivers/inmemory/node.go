package inmemory

import (
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"time"

	"registryfs/drivers"
)

// node is a file, or a directory if children is not nil.
type node struct {
	children map[string]*node
	content  []byte // never changed in place
	mtime    time.Time
}

func newDir() *node {
	return &node{children: make(map[string]*node), mtime: time.Now()}
}

func (n *node) isDir() bool { return n.children != nil }

func (n *node) info(path string) drivers.FileInfoFields {
	return drivers.FileInfoFields{FullPath: path, Bytes: int64(len(n.content)), Modified: n.mtime, Dir: n.isDir()}
}

// infos describes the children of the directory n at path, sorted by name.
func (n *node) infos(path string) []drivers.FileInfoFields {
	prefix := strings.TrimSuffix(path, "/") + "/"
	infos := make([]drivers.FileInfoFields, 0, len(n.children))
	for name, child := range n.children {
		infos = append(infos, child.info(prefix+name))
	}
	slices.SortFunc(infos, func(a, b drivers.FileInfoFields) int { return strings.Compare(a.FullPath, b.FullPath) })
	return infos
}

// find returns the node at path below n, nil if there is none.
func (n *node) find(path string) *node {
	for rest := path[1:]; rest != "" && n != nil; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		n = n.children[name]
	}
	return n
}

// makeParent returns the directory that path lies in, making what is missing,
// and the path's last name.
func (n *node) makeParent(path string) (dir *node, name string, err error) {
	name, rest, more := strings.Cut(path[1:], "/")
	for more {
		child := n.children[name]
		if child == nil {
			child = newDir()
			n.set(name, child)
		}
		if !child.isDir() {
			return nil, "", &fs.PathError{Op: "put", Path: path, Err: syscall.ENOTDIR}
		}
		n = child
		name, rest, more = strings.Cut(rest, "/")
	}
	return n, name, nil
}

// set makes child the entry name of the directory n.
func (n *node) set(name string, child *node) {
	n.children[name] = child
	n.mtime = time.Now()
}

func (n *node) remove(name string) {
	delete(n.children, name)
	n.mtime = time.Now()
}
