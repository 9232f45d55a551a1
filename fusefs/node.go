package fusefs

import (
	"path"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// node is a file the kernel has a number for.
type node struct {
	id  uint64
	key key

	// moved says that the name stands for another file by now, and handles is
	// how many open files of this one there are: see nodeTable.move.
	moved   atomic.Bool
	handles atomic.Int32

	// guarded by nodeTable.mu
	lookups uint64 // how often the kernel was told the number
	parent  *node  // where it was last found; nil for the root
	name    string
	earlier []*node // with nodeTable.keepParents: other directories it was found in
	obj     object
	backing *backing // while open by passthrough
}

// nodeTable holds every node until the kernel forgets it. Numbers are never
// used twice.
type nodeTable struct {
	mu    sync.RWMutex // guards the following, and the fields of all nodes
	byID  map[uint64]*node
	byKey map[key]*node
	last  uint64
	peak  int // the largest len(byID) since the maps were made

	// keepParents has nodes remember all directories that they are found in, up to
	// maxEarlier and the last, for what depends on each. It is set before serving.
	keepParents bool

	order []uint64 // all numbers, oldest first, with some already forgotten

	count atomic.Int64 // len(byID), to be read without the lock
}

const maxEarlier = 32

func newNodeTable(root object, k key) *nodeTable {
	n := &node{id: fuse.FUSE_ROOT_ID, key: k, lookups: 1, obj: root}
	return &nodeTable{
		byID:  map[uint64]*node{n.id: n},
		byKey: map[key]*node{k: n},
		last:  n.id,
	}
}

// get returns the node and its object. The kernel only names numbers it was
// told and has not forgotten, so a missing one is a bug of ours: nil.
func (t *nodeTable) get(id uint64) (*node, object) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	n := t.byID[id]
	if n == nil {
		return nil, nil
	}
	return n, n.obj
}

// find returns the node of an identity, or nil.
func (t *nodeTable) find(k key) *node {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byKey[k]
}

// add counts one look-up of f under parent, which the kernel is told of.
func (t *nodeTable) add(parent *node, name string, f *found) *node {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.addLocked(parent, name, f)
}

func (t *nodeTable) addLocked(parent *node, name string, f *found) *node {
	n := t.byKey[f.key]
	if n == nil {
		t.last++
		n = &node{id: t.last, key: f.key}
		t.byID[n.id], t.byKey[n.key] = n, n
		t.order = append(t.order, n.id)
		t.peak = max(t.peak, len(t.byID))
		t.count.Store(int64(len(t.byID)))
	}
	if n.id != fuse.FUSE_ROOT_ID {
		if t.keepParents {
			n.foundIn(parent)
		}
		n.parent, n.name, n.obj = parent, name, f.obj
	}
	n.moved.Store(false)
	n.lookups++
	return n
}

// foundIn remembers where the node was found before parent.
func (n *node) foundIn(parent *node) {
	if n.parent == nil || n.parent == parent {
		return
	}
	if i := slices.Index(n.earlier, parent); i >= 0 {
		n.earlier[i] = n.parent
		return
	}
	if n.earlier = append(n.earlier, n.parent); len(n.earlier) > maxEarlier {
		n.earlier = slices.Delete(n.earlier, 0, 1)
	}
}

// move marks the file as no longer that of its name, and returns its number if
// the kernel knows it. From then on an open, or a stat that is of no open file,
// is answered with ESTALE, and the kernel looks the name up again. That needs
// no lock of the directory, as a notification about the name would.
func (t *nodeTable) move(k key) (id uint64, known bool) {
	n := t.find(k)
	if n == nil {
		return 0, false
	}
	n.moved.Store(true)
	return n.id, true
}

// forget takes back count look-ups and returns the object if that was the last.
func (t *nodeTable) forget(id, count uint64) object {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.byID[id]
	if n == nil || id == fuse.FUSE_ROOT_ID {
		return nil
	}
	n.lookups -= min(count, n.lookups)
	if n.lookups > 0 {
		return nil
	}
	delete(t.byID, id)
	delete(t.byKey, n.key)
	t.count.Store(int64(len(t.byID)))
	t.compactLocked()
	return n.obj
}

// compactLocked makes the maps anew once most of what they held is gone: a Go
// map never gives memory back.
func (t *nodeTable) compactLocked() {
	const small = 4096
	sparse := t.peak > small && len(t.byID) < t.peak/8
	if !sparse && len(t.order) < 2*len(t.byID)+small {
		return
	}
	byID := make(map[uint64]*node, len(t.byID))
	byKey := make(map[key]*node, len(t.byKey))
	order := make([]uint64, 0, len(t.byID))
	for _, id := range t.order {
		if n := t.byID[id]; n != nil {
			byID[id], byKey[n.key] = n, n
			order = append(order, id)
		}
	}
	byID[fuse.FUSE_ROOT_ID] = t.byID[fuse.FUSE_ROOT_ID]
	byKey[byID[fuse.FUSE_ROOT_ID].key] = byID[fuse.FUSE_ROOT_ID]
	t.byID, t.byKey, t.order, t.peak = byID, byKey, order, len(byID)
}

// position is a node's number and one place in the tree it is found at.
type position struct {
	id, parent uint64
	name       string
}

// oldest returns up to limit nodes, the longest known first, and puts them at
// the end of the order: the kernel may hold on to those in use.
func (t *nodeTable) oldest(limit int) []position {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []position
	taken := 0
	for _, id := range t.order {
		if len(out) == limit {
			break
		}
		taken++
		if n := t.byID[id]; n != nil && n.parent != nil {
			out = append(out, position{id, n.parent.id, n.name})
		}
	}
	rest := append([]uint64(nil), t.order[taken:]...)
	for _, p := range out {
		rest = append(rest, p.id)
	}
	t.order = rest
	return out
}

// parentObject is the directory the node was last found in.
func (t *nodeTable) parentObject(n *node) object {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if n.parent == nil {
		return nil
	}
	return n.parent.obj
}

// parentObjects are all directories the node was found in, with keepParents.
func (t *nodeTable) parentObjects(n *node) []object {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var out []object
	for _, parent := range append(n.earlier[:len(n.earlier):len(n.earlier)], n.parent) {
		if parent != nil {
			out = append(out, parent.obj)
		}
	}
	return out
}

// path is where in the mount the node was last found, for messages.
func (t *nodeTable) path(n *node, more ...string) string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	p := path.Join(more...)
	for ; n != nil && n.parent != nil; n = n.parent {
		p = path.Join(n.name, p)
	}
	return "/" + p
}
