package fusefs

import (
	"context"
	"fmt"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// something is an object for tests of the table.
type something struct{ name string }

func (something) attr(context.Context) (attr, error) { return attr{}, nil }

func foundAs(name string) *found {
	var s secret
	return &found{key: s.of(name), obj: something{name}}
}

func TestNodeTable(t *testing.T) {
	table := newNodeTable(something{"root"}, key{1})
	root, _ := table.get(fuse.FUSE_ROOT_ID)
	dir := table.add(root, "dir", foundAs("dir"))
	a := table.add(dir, "a", foundAs("digest"))
	b := table.add(dir, "b", foundAs("digest"))
	if a != b || a.id == dir.id || a.id == root.id {
		t.Errorf("two names of one digest are nodes %d and %d", a.id, b.id)
	}
	if got := table.path(a, "x"); got != "/dir/b/x" {
		t.Errorf("path = %q, want the newest name, /dir/b/x", got)
	}
	if got := table.find(a.key); got != a {
		t.Errorf("find = %v, want the node", got)
	}
	if obj := table.forget(a.id, 1); obj != nil {
		t.Error("forgotten at the first of two look-ups")
	}
	if obj := table.forget(a.id, 1); obj != (something{"digest"}) {
		t.Errorf("forget = %v, want the object", obj)
	}
	if n, obj := table.get(a.id); n != nil || obj != nil || table.find(a.key) != nil {
		t.Error("a forgotten node is there")
	}
	again := table.add(dir, "a", foundAs("digest"))
	if again.id == a.id {
		t.Error("a number is used twice")
	}
	if table.forget(fuse.FUSE_ROOT_ID, 1000) != nil || table.forget(12345, 1) != nil {
		t.Error("the root, or what never was, can be forgotten")
	}
	if n, _ := table.get(fuse.FUSE_ROOT_ID); n != root {
		t.Error("the root is gone")
	}
	table.add(root, ".", &found{key: root.key, obj: something{"other"}})
	if _, obj := table.get(fuse.FUSE_ROOT_ID); obj != (something{"root"}) {
		t.Error("the root has become something else")
	}
	if got := table.count.Load(); got != 3 {
		t.Errorf("count = %d, want 3", got)
	}
}

// TestNodeTableCompaction gives the memory of forgotten nodes back, and keeps
// the others.
func TestNodeTableCompaction(t *testing.T) {
	table := newNodeTable(something{"root"}, key{1})
	root, _ := table.get(fuse.FUSE_ROOT_ID)
	const n = 50_000
	var nodes []*node
	for i := range n {
		nodes = append(nodes, table.add(root, fmt.Sprint(i), foundAs(fmt.Sprint(i))))
	}
	for i, node := range nodes {
		if i%100 > 0 {
			table.forget(node.id, 1)
		}
	}
	if table.peak > n/4 || len(table.order) > n/4 {
		t.Errorf("after forgetting: peak %d, order %d, want them to fall", table.peak, len(table.order))
	}
	for i, node := range nodes {
		if got, _ := table.get(node.id); (got == node) != (i%100 == 0) {
			t.Fatalf("node %d of %d = %v", i, n, got)
		}
	}
	if got := table.count.Load(); got != n/100+1 {
		t.Errorf("count = %d, want %d", got, n/100+1)
	}
	oldest := table.oldest(3)
	for i, p := range oldest {
		if p.id != nodes[i*100].id || p.parent != root.id || p.name != fmt.Sprint(i*100) {
			t.Errorf("oldest[%d] = %v, want node %d", i, p, i*100)
		}
	}
	if next := table.oldest(1); len(next) != 1 || next[0].id != nodes[300].id {
		t.Errorf("oldest again = %v, want the next", next)
	}
	if all := table.oldest(n); len(all) != n/100 {
		t.Errorf("oldest(%d) = %d nodes, want all %d", n, len(all), n/100)
	}
}

// TestNodeTableChurn looks up and forgets one name for long: nothing grows.
func TestNodeTableChurn(t *testing.T) {
	table := newNodeTable(something{"root"}, key{1})
	root, _ := table.get(fuse.FUSE_ROOT_ID)
	for i := range 30_000 {
		table.forget(table.add(root, "draft", foundAs(fmt.Sprint(i))).id, 1)
	}
	if len(table.order) > 10_000 {
		t.Errorf("the order has %d numbers of %d nodes", len(table.order), len(table.byID))
	}
}
