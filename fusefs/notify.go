package fusefs

import (
	"cmp"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// notifier tells the kernel to drop what it has cached. The kernel may hold
// locks of the very directory a request is about, so nothing is sent from a
// handler or under a lock: one goroutine sends what was queued. The name that a
// request itself is about needs no notification: the kernel knows what became of
// it, and a draft is asked for anew each time.
type notifier struct {
	s      *fsys
	server *fuse.Server
	wake   chan struct{}
	done   chan struct{}

	trimmed bool // of run: the last trim left too many, and is to be repeated

	mu    sync.Mutex // guards the following
	names []staleName
	nodes []uint64
	sent  chan struct{} // closed when all that is queued has been sent
	now   chan struct{} // likewise, of what is being sent
}

// staleName is a name in a directory, given by the directory's identity: only
// if the kernel knows that directory is there anything to drop. Without a name
// it is the directory's own attributes, and the listing that the kernel keeps.
type staleName struct {
	dir  key
	name string
}

func newNotifier(s *fsys) *notifier {
	return &notifier{s: s, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// stale queues names whose meaning has changed.
func (t *notifier) stale(names ...staleName) {
	if len(names) == 0 {
		return
	}
	for _, n := range names {
		t.s.turnover.changed(n)
	}
	t.mu.Lock()
	t.names = append(t.names, names...)
	t.queuedLocked()
	t.mu.Unlock()
	t.kick()
}

func (t *notifier) queuedLocked() {
	if t.sent == nil {
		t.sent = make(chan struct{})
	}
}

// settlePatience bounds how long a request waits for its notifications. They
// could be waiting for the request.
const settlePatience = 50 * time.Millisecond

// settle waits until what is queued has been sent, so that whoever is told that
// a change is done finds it in every view.
func (t *notifier) settle() {
	t.mu.Lock()
	sent := cmp.Or(t.sent, t.now)
	t.mu.Unlock()
	if sent == nil {
		return
	}
	timer := time.NewTimer(settlePatience)
	defer timer.Stop()
	select {
	case <-sent:
	case <-timer.C:
	}
}

// moved makes the file with that identity be looked up again by whoever comes to
// its name.
func (t *notifier) moved(k key) {
	id, known := t.s.nodes.move(k)
	if !known {
		return
	}
	t.mu.Lock()
	t.nodes = append(t.nodes, id)
	t.queuedLocked()
	t.mu.Unlock()
	t.kick()
}

func (t *notifier) kick() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// idleAfter is how long nobody must have asked for anything before the kernel
// is made to give back most of its cache.
const (
	idleAfter = 30 * time.Second
	idleNodes = 20_000
)

func (t *notifier) run() {
	tick := time.NewTicker(idleAfter / 2)
	defer tick.Stop()
	for {
		select {
		case <-t.done:
			return
		case <-tick.C:
			if t.s.stats.idleFor(idleAfter) {
				t.trimTo(idleNodes)
			}
		case <-t.wake:
		}
		t.mu.Lock()
		names, nodes, sent := t.names, t.nodes, t.sent
		t.names, t.nodes, t.sent, t.now = nil, nil, nil, t.sent
		t.mu.Unlock()
		for _, id := range nodes {
			t.server.InodeNotify(id, attributesOnly, 0)
		}
		for _, n := range names {
			t.send(n)
		}
		if sent != nil {
			close(sent)
		}
		t.trim()
	}
}

// trimAgain is when a trim that left too many is repeated: the kernel lets go of
// nothing that it has been told of and not taken yet.
const trimAgain = 100 * time.Millisecond

// trim keeps the nodes within Options.MaxNodes, as far as they are not in use.
func (t *notifier) trim() {
	limit := t.s.maxNodes()
	before := t.s.nodes.count.Load()
	if before <= int64(limit) {
		return
	}
	t.trimTo(limit * 3 / 4)
	if after := t.s.nodes.count.Load(); after > int64(limit) && (after < before || !t.trimmed) {
		t.trimmed = true
		time.AfterFunc(trimAgain, t.kick)
		return
	}
	t.trimmed = false
}

// attributesOnly is the offset that leaves the pages of a file alone.
const attributesOnly = -1

// send tells the kernel of one name. ENOENT means that it had not cached it.
func (t *notifier) send(n staleName) {
	dir := t.s.nodes.find(n.dir)
	switch {
	case dir == nil:
	case n.name == "" && t.s.keepsListings():
		t.server.InodeNotify(dir.id, 0, 0) // the listing as well
	case n.name == "":
		t.server.InodeNotify(dir.id, attributesOnly, 0)
	default:
		t.drop(dir.id, n.name)
	}
}

// notifyPatience is how long a notification waits for its directory to be left
// alone. What comes later is no worse than what others change.
const notifyPatience = time.Second

// drop makes the kernel forget one name.
func (t *notifier) drop(dir uint64, name string) {
	for until := time.Now().Add(notifyPatience); t.s.busy.has(dir) && time.Now().Before(until); {
		time.Sleep(100 * time.Microsecond)
	}
	t.server.EntryNotify(dir, name)
}

// trimTo makes the kernel forget the oldest nodes until limit are left or all
// were tried. Those in use stay.
func (t *notifier) trimTo(limit int) {
	const batch = 2048
	for tried := int64(0); ; {
		count := t.s.nodes.count.Load()
		excess := count - int64(limit)
		if excess <= 0 || tried > count {
			return
		}
		victims := t.s.nodes.oldest(int(min(excess, batch)))
		if len(victims) == 0 {
			return
		}
		tried += int64(len(victims))
		t.prune(victims)
		// FORGETs come on their own; without a moment for them the same
		// nodes would be counted again.
		for range 20 {
			if t.s.nodes.count.Load() < count {
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// prune uses NotifyPrune where the kernel has it (protocol 7.45, Linux 6.18),
// else drops the names one by one.
func (t *notifier) prune(victims []position) {
	ids := make([]uint64, len(victims))
	for i, v := range victims {
		ids[i] = v.id
	}
	if t.server.PruneNotify(ids) != fuse.ENOSYS {
		return
	}
	for _, v := range victims {
		t.drop(v.parent, v.name)
	}
}
