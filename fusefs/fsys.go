package fusefs

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"

	"registryfs/layout"
)

// fsys answers the kernel's requests. Each request finds its node, asks the
// node's object, and puts the answer into the kernel's form; what a name means
// is the object's business.
type fsys struct {
	fuse.RawFileSystem // ENOSYS for what is not here: see the end of change.go

	reg    *layout.Registry
	opts   Options
	log    *slog.Logger
	secret *secret

	nodes    *nodeTable
	turnover turnover
	handles  handleTable
	drafts   drafts
	busy     busyDirs
	writers  writers
	again    retries
	locals   locals
	aliases  aliases
	tags     untagged
	referred seenReferrers
	times    times
	kept     keptTimes
	refused  refusals
	lost     *lost
	stats    stats
	notify   *notifier

	passthrough passthrough
}

func newFsys(reg *layout.Registry, opts Options) (*fsys, error) {
	sec, err := loadSecret(opts.StateDir)
	if err != nil {
		return nil, err
	}
	if opts.TagTTL <= 0 {
		opts.TagTTL = time.Second
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	s := &fsys{
		RawFileSystem: fuse.NewDefaultRawFileSystem(),
		reg:           reg,
		opts:          opts,
		log:           opts.Logger,
		secret:        sec,
		drafts:        drafts{byName: map[staleName]*draft{}, byDir: map[key]int{}},
		refused:       refusals{log: opts.Logger},
		lost:          newLost(reg),
	}
	if err := openKeptTimes(&s.kept, opts.StateDir, opts.StoreID, sec); err != nil {
		s.log.Warn("times that were set earlier are not shown", "error", err)
	}
	reg.SetTagTTL(opts.TagTTL)
	s.stats.start = time.Now()
	s.tags.s = s
	root := &rootDir{s}
	s.nodes = newNodeTable(root, s.dirKey("/"))
	s.nodes.keepParents = opts.XAttrs
	s.notify = newNotifier(s)
	return s, nil
}

const defaultMaxNodes = 150_000

func (s *fsys) maxNodes() int {
	if s.opts.MaxNodes > 0 {
		return s.opts.MaxNodes
	}
	return defaultMaxNodes
}

// dirKey identifies a directory by its place in the mount: no two directories
// share a node, or their ".." would be one another's.
func (s *fsys) dirKey(path string) key { return s.secret.of("dir", path) }

// String implements fuse.RawFileSystem.
func (s *fsys) String() string { return "registryfs" }

// Init implements fuse.RawFileSystem.
func (s *fsys) Init(server *fuse.Server) { s.notify.server = server }

// request is the context of one request: it ends when the kernel interrupts it.
func request(cancel <-chan struct{}, h *fuse.InHeader) context.Context {
	return &fuse.Context{Caller: h.Caller, Cancel: cancel}
}

// look is the context of a request that changes nothing.
func look(cancel <-chan struct{}, h *fuse.InHeader) context.Context {
	return layout.Reading(request(cancel, h))
}

// unbroken is the context of a change. A signal to the caller, which Go
// programs get all the time, must not leave it half done; the steps are short.
func unbroken() context.Context { return context.Background() }

// fail records a refusal of an operation on a name below n.
func (s *fsys) fail(op string, n *node, name string, err error) fuse.Status {
	s.stats.failed(toErrno(err))
	return fuse.Status(s.refused.note(op, s.nodes.path(n, name), err))
}

// find looks a name up as its callers see it: drafts first, then the store.
func (s *fsys) find(ctx context.Context, parent *node, dir directory, name string) (found, error) {
	if d := s.drafts.get(parent.key, name); d != nil {
		return d.found(), nil
	}
	return dir.lookup(ctx, name)
}

// Lookup implements fuse.RawFileSystem.
func (s *fsys) Lookup(cancel <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	defer s.stats.done(opLookup, s.stats.begin())
	s.busy.enter(h.NodeId)
	defer s.busy.leave(h.NodeId)
	parent, obj := s.nodes.get(h.NodeId)
	dir, ok := obj.(directory)
	if !ok {
		return fuse.ENOTDIR
	}
	ctx := request(cancel, h)
	looking := layout.Reading(ctx)
	if s.writers.await(h.Pid, staleName{parent.key, name}) {
		looking = ctx // what is to be written into is looked at as it is
	}
	for tries := 1; ; tries++ {
		clock := s.turnover.clock.Load()
		f, err := s.find(looking, parent, dir, name)
		if err != nil {
			if toErrno(err) == syscall.ENOENT {
				out.SetEntryTimeout(min(negativeTTL, s.opts.TagTTL))
				return fuse.OK // a negative entry: NodeId 0
			}
			return s.fail("lookup", parent, name, err)
		}
		if d := s.writers.redirect(ctx, h.Pid, parent, dir, name, &f); d != nil {
			f = d.found()
		}
		n := s.tell(parent, name, &f, clock)
		if n == nil && tries < lookupTries {
			continue
		}
		if n == nil { // it changes all the time: this is what it was, to be asked for anew
			f.attr.ttl = transient
			n = s.nodes.add(parent, name, &f)
		}
		s.fillEntry(out, n, &f.attr)
		return fuse.OK
	}
}

// lookupTries is how often a name is looked up that changes meanwhile.
const lookupTries = 4

// Forget implements fuse.RawFileSystem.
func (s *fsys) Forget(id, count uint64) {
	if d, ok := s.nodes.forget(id, count).(*draft); ok {
		d.forgotten()
	}
}

// GetAttr implements fuse.RawFileSystem.
func (s *fsys) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	defer s.stats.done(opGetattr, s.stats.begin())
	n, obj := s.nodes.get(in.NodeId)
	if n == nil {
		return fuse.Status(syscall.ESTALE)
	}
	if n.moved.Load() && n.handles.Load() == 0 && s.again.first(in.Pid) {
		return fuse.Status(syscall.ESTALE)
	}
	return s.answerAttr(look(cancel, &in.InHeader), n, obj, out)
}

func (s *fsys) answerAttr(ctx context.Context, n *node, obj object, out *fuse.AttrOut) fuse.Status {
	a, err := obj.attr(ctx)
	if err != nil {
		return s.fail("stat", n, "", err)
	}
	out.SetTimeout(s.attrTTL(a.ttl))
	s.fillAttr(&out.Attr, n.key, &a)
	return fuse.OK
}

// SetAttr implements fuse.RawFileSystem. Metadata is lenient: modes and owners
// are accepted and not kept, since tools stop where they are refused.
func (s *fsys) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	defer s.stats.done(opSetattr, s.stats.begin())
	n, obj := s.nodes.get(in.NodeId)
	if n == nil {
		return fuse.Status(syscall.ESTALE)
	}
	if s.opts.ReadOnly {
		return s.fail("setattr", n, "", errReadOnly)
	}
	ctx := unbroken()
	if fh, ok := in.GetFh(); ok {
		if h := s.handles.get(fh); h != nil && h.draft != nil {
			obj = h.draft
		}
	}
	if size, ok := in.GetSize(); ok {
		if err := s.truncate(ctx, obj, int64(size)); err != nil {
			return s.fail("truncate", n, "", err)
		}
	}
	t, setTime := in.GetMTime()
	kept := false
	if setTime {
		var err error
		if kept, err = s.setModTime(ctx, n.key, obj, t); err != nil {
			return s.fail("utimes", n, "", err)
		}
	}
	a, err := obj.attr(layout.Reading(ctx)) // a remote store has no times that could be new
	if err != nil {
		return s.fail("stat", n, "", err)
	}
	if setTime && !kept {
		s.keep(ctx, n.key, obj, &a, t)
	}
	out.SetTimeout(s.attrTTL(a.ttl))
	s.fillAttr(&out.Attr, n.key, &a)
	return fuse.OK
}

// truncate without a draft is truncate(2) by path. Nothing is written by it,
// so to the size it has or to 0 it is no change, as with an open that writes
// nothing.
func (s *fsys) truncate(ctx context.Context, obj object, size int64) error {
	if d, ok := obj.(*draft); ok {
		return d.truncate(ctx, size)
	}
	a, err := obj.attr(ctx)
	if err != nil {
		return err
	}
	if size == 0 || size == a.size {
		return nil
	}
	return refuse(syscall.EPERM, "content is replaced as a whole", "copy the new content over the file")
}

// setModTime reports whether that is all there is to do, or the mount has to
// keep the time, since the store has no place for it.
func (s *fsys) setModTime(ctx context.Context, k key, obj object, t time.Time) (done bool, err error) {
	ts, ok := obj.(timeSetter)
	if !ok {
		return true, nil
	}
	err = ts.setModTime(ctx, t)
	if err == nil || isAbsent(err) {
		if _, ok := obj.(directory); ok {
			s.times.set(k, t)
		}
		return !errors.Is(err, errors.ErrUnsupported), nil
	}
	return false, err
}

// writers remembers who is about to open which file for writing: the OPEN was
// answered with ESTALE, and the kernel looks the name up again at once.
type writers struct {
	mu      sync.Mutex // guards the following
	pending map[uint32]pendingOpen
}

type pendingOpen struct {
	target key       // the file
	name   staleName // where it was: by now it may be another file's
	until  time.Time
	draft  *draft
}

// writerPatience is how long the kernel may take from ESTALE to its look-up,
// both within one system call.
const writerPatience = 5 * time.Second

// expect reports whether pid is to look the file up again. If it was told so
// just now and comes with a file all the same, its path has no name to look up
// (/proc/self/fd), and the file has to be opened as it is: the kernel tries
// only once more.
func (w *writers) expect(pid uint32, target key, name staleName) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	for p, o := range w.pending {
		if now.After(o.until) {
			delete(w.pending, p)
		}
	}
	if _, again := w.pending[pid]; again {
		delete(w.pending, pid)
		return false
	}
	if w.pending == nil {
		w.pending = map[uint32]pendingOpen{}
	}
	w.pending[pid] = pendingOpen{target: target, name: name, until: now.Add(writerPatience)}
	return true
}

// await reports whether pid is to look that name up.
func (w *writers) await(pid uint32, name staleName) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	o, ok := w.pending[pid]
	return ok && o.name == name
}

// redirect returns the draft that pid is to write instead of f, or nil. The
// kernel asks twice: it drops the old entry when the first answer differs.
func (w *writers) redirect(ctx context.Context, pid uint32, parent *node, dir directory, name string, f *found) *draft {
	w.mu.Lock()
	defer w.mu.Unlock()
	o, ok := w.pending[pid]
	if !ok || (o.target != f.key && o.name != staleName{parent.key, name}) {
		return nil
	}
	if o.draft == nil {
		d, err := overwrite(ctx, parent, dir, name, f)
		if err != nil {
			return nil // the OPEN comes back to the file and says why
		}
		o.draft = d
		w.pending[pid] = o
	}
	return o.draft
}

// opened ends the redirection.
func (w *writers) opened(pid uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pending, pid)
}
