package fusefs

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"registryfs/layout"
	"registryfs/layout/check"
)

// lost is what the newest check has found and left, as far as lost/ shows it.
type lost struct {
	newest  *check.Newest
	remover *check.Remover

	mu     sync.Mutex // guards the following
	at     time.Time  // when the record was asked for
	record *check.Record
	kinds  map[check.Kind]map[string]check.Finding // by name
}

func newLost(reg *layout.Registry) *lost {
	return &lost{newest: check.NewNewest(reg), remover: check.NewRemover(reg)}
}

var lostKinds = []check.Kind{check.Corrupt, check.Dangling, check.Unreferenced, check.Untagged}

// refresh makes sure that the record is the newest, as of Options.TagTTL ago.
func (s *fsys) refreshLost(ctx context.Context) error {
	l := s.lost
	l.mu.Lock()
	fresh := time.Since(l.at) < s.opts.TagTTL
	l.mu.Unlock()
	if fresh {
		return nil
	}
	at := time.Now()
	r, err := l.newest.Get(ctx)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = at
	if r == l.record {
		return nil
	}
	l.record, l.kinds = r, map[check.Kind]map[string]check.Finding{}
	for _, k := range lostKinds {
		l.kinds[k] = map[string]check.Finding{}
	}
	for _, f := range r.Findings {
		if name := s.lostName(f); name != "" && l.kinds[f.Kind] != nil {
			l.kinds[f.Kind][name] = f
		}
	}
	return nil
}

// lostName is the path in repositories/ or blobs/ with '+' for '/', which no name
// has. What is too long for a name ends so, after a sum of all.
func (s *fsys) lostName(f check.Finding) string {
	n := s.reg.Raw().Names(f.Path)
	var parts []string
	switch {
	case n.Blob != "":
		hex := n.Blob.Encoded()
		parts = []string{string(n.Blob.Algorithm()), hex[:2], hex}
	case n.Tag != "":
		parts = []string{string(n.Repository), "_tags", string(n.Tag)}
	case n.Manifest != "":
		parts = []string{string(n.Repository), "_manifests", string(n.Manifest.Algorithm()), n.Manifest.Encoded()}
	case n.Layer != "":
		parts = []string{string(n.Repository), "_blobs", string(n.Layer.Algorithm()), n.Layer.Encoded()}
	default:
		return ""
	}
	const most = 255
	name := strings.ReplaceAll(strings.Join(parts, "/"), "/", "+")
	if len(name) > most {
		sum := sha256.Sum256([]byte(name))
		start := fmt.Sprintf("%x+", sum[:8])
		name = start + name[len(name)-most+len(start):]
	}
	return name
}

// drop forgets a finding that is none any more.
func (l *lost) drop(kind check.Kind, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.kinds[kind], name)
}

// lostDir is lost/.
type lostDir struct{ s *fsys }

func (d *lostDir) attr(context.Context) (attr, error) { return dirAttr(epoch, fixed), nil }

func (d *lostDir) lookup(ctx context.Context, name string) (found, error) {
	if !slices.Contains(lostKinds, check.Kind(name)) {
		return found{}, errNoEntry
	}
	return d.s.dir(ctx, "/lost/"+name, &lostKindDir{d.s, check.Kind(name)})
}

func (d *lostDir) list(context.Context) iter.Seq2[entry, error] {
	names := make([]string, len(lostKinds))
	for i, k := range lostKinds {
		names[i] = string(k)
	}
	return listNames(names)
}

func (d *lostDir) closed() error { return errLost }

// lostKindDir is a directory of lost/. A listing shows what the check has found;
// an entry is looked at when somebody wants more of it than its name.
type lostKindDir struct {
	s    *fsys
	kind check.Kind
}

var (
	_ = (glancer)((*lostKindDir)(nil))
	_ = (remover)((*lostKindDir)(nil))
	_ = (closed)((*lostKindDir)(nil))
)

func (d *lostKindDir) closed() error { return errLost }

// attr has the time of the check.
func (d *lostKindDir) attr(ctx context.Context) (attr, error) {
	if err := d.s.refreshLost(ctx); err != nil {
		return attr{}, err
	}
	d.s.lost.mu.Lock()
	defer d.s.lost.mu.Unlock()
	if d.s.lost.record.Checked.IsZero() {
		return dirAttr(epoch, mutable), nil
	}
	return dirAttr(d.s.lost.record.Checked, mutable), nil
}

func (d *lostKindDir) key(name string) key {
	return d.s.secret.of("lost", string(d.kind), name)
}

// finding is what the name is of, and when it was found.
func (d *lostKindDir) finding(ctx context.Context, name string) (check.Finding, time.Time, error) {
	if err := d.s.refreshLost(ctx); err != nil {
		return check.Finding{}, time.Time{}, err
	}
	d.s.lost.mu.Lock()
	defer d.s.lost.mu.Unlock()
	f, ok := d.s.lost.kinds[d.kind][name]
	if !ok {
		return f, time.Time{}, errNoEntry
	}
	return f, d.s.lost.record.Checked, nil
}

func (d *lostKindDir) lookup(ctx context.Context, name string) (found, error) {
	f, checked, err := d.finding(ctx, name)
	if err != nil {
		return found{}, err
	}
	e, err := d.s.lost.remover.Look(ctx, f, checked)
	if isAbsent(err) {
		d.s.lost.drop(d.kind, name)
		return found{}, errNoEntry
	}
	if err != nil {
		return found{}, err
	}
	return found{d.key(name), &lostFile{d.s, f.Content(), e.Size, e.ModTime}, readOnlyAttr(e.Size, e.ModTime, mutable)}, nil
}

func (d *lostKindDir) glance(ctx context.Context, name string) (found, error) {
	_, _, err := d.finding(ctx, name)
	return found{key: d.key(name), attr: attr{mode: syscall.S_IFREG}}, err
}

func (d *lostKindDir) list(ctx context.Context) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		if err := d.s.refreshLost(ctx); err != nil {
			yield(entry{}, err)
			return
		}
		d.s.lost.mu.Lock()
		names := slices.Sorted(maps.Keys(d.s.lost.kinds[d.kind]))
		d.s.lost.mu.Unlock()
		for _, name := range names {
			if !yield(entry{name: name}, nil) {
				return
			}
		}
	}
}

// unlink removes what was found if, looked at once more, it still is so.
func (d *lostKindDir) unlink(ctx context.Context, name string) error {
	f, _, err := d.finding(ctx, name)
	if err != nil {
		return err
	}
	err = d.s.lost.remover.Remove(ctx, f)
	if err == nil || errors.Is(err, check.ErrChanged) || errors.Is(err, fs.ErrNotExist) {
		d.s.lost.drop(d.kind, name)
	}
	if errors.Is(err, check.ErrChanged) {
		d.s.notify.stale(staleName{d.s.dirKey("/lost/" + string(d.kind)), name}) // the kernel keeps what was not removed
		return refuse(syscall.EBUSY, err.Error(), "it is kept; registryfs check finds what is lost now")
	}
	if err != nil {
		return err
	}
	d.s.notify.stale(d.s.rawNames(f.Path)...)
	return nil
}

// lostFile is what is stored, past all caches: they would not show damage.
type lostFile struct {
	s     *fsys
	path  layout.RawPath
	size  int64
	mtime time.Time
}

var _ = (opener)((*lostFile)(nil))

func (f *lostFile) attr(context.Context) (attr, error) {
	return readOnlyAttr(f.size, f.mtime, mutable), nil
}

func (f *lostFile) open(context.Context, *node) (reader, uint32, error) {
	return &lazyReader{size: f.size, openBlob: func(ctx context.Context) (*layout.BlobReader, error) {
		return f.s.reg.Raw().OpenSized(layout.PastCaches(ctx), f.path, f.size)
	}}, 0, nil
}
