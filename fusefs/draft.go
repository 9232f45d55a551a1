package fusefs

import (
	"context"
	"errors"
	"io"
	"sync"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// place is what a name in a container is for.
type place interface {
	// want is the digest that the bytes must have, or "" for any.
	want() digest.Digest

	// limit is the largest size that can ever be right, or 0.
	limit() int64

	// emptyIsContent tells whether no bytes at all may be what is meant.
	emptyIsContent() bool

	// commit makes the content what the name stands for: whole, or not at all.
	commit(ctx context.Context, c content) (committed, error)
}

// content is what a draft holds when it is committed: an upload, or the bytes
// of a digest that the store has.
type content struct {
	upload *layout.Upload
	ref    digest.Digest
	mtime  time.Time // as set by the user, or zero
}

// committed is what a commit has made of a name.
type committed struct {
	found  found
	digest digest.Digest
	stale  []staleName // names elsewhere that changed with it

	// undo removes the link again, if this commit made it.
	undo func(ctx context.Context) error
}

// draft is a file being written. It is private to the mount until a commit.
type draft struct {
	s    *fsys
	key  key
	born time.Time

	// mu is held across commits: writes to one file wait for its commit.
	mu    sync.Mutex // guards the following
	dir   key        // the directory it is shown in, by identity
	name  string
	place place // nil while staged: it gets one by RENAME
	base  *base // the file that it is to replace, if there is one

	upload *layout.Upload
	ref    digest.Digest // all content so far is a piece of this blob, from 0 on
	refLen int64
	mtime  time.Time // as set by the user

	dirty   bool  // there is something that no commit has seen
	failed  bool  // the last commit failed
	broken  error // a write was refused: what is there is not what was meant
	done    *committed
	handles int
	gone    bool      // unlinked: nothing may come of it any more
	follows staleName // what turnover was told that it may replace; zero is none
}

var _ = (timeSetter)((*draft)(nil))

func (d *draft) attr(ctx context.Context) (attr, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.attrLocked(), nil
}

func (d *draft) attrLocked() attr {
	mtime := d.mtime
	if mtime.IsZero() {
		mtime = d.born
		if d.base != nil && !d.dirty {
			mtime = d.s.kept.shown(d.base.key, &d.base.attr)
		}
		if d.done != nil {
			mtime = d.s.kept.shown(d.done.found.key, &d.done.found.attr)
		}
	}
	a := fileAttr(d.sizeLocked(), mtime, transient)
	if d.base != nil && !d.base.named {
		// To vim a file that changes its number by being opened is another's.
		// A digest's number is not given to bytes that have not been verified.
		a.ino = d.base.key.ino()
	}
	return a
}

func (d *draft) sizeLocked() int64 {
	switch {
	case d.done != nil && !d.dirty:
		return d.done.found.attr.size
	case d.ref != "":
		return d.refLen
	case d.upload != nil:
		return d.upload.Size()
	case d.base != nil && d.handles == 0:
		return d.base.attr.size // given up: what was there is there
	case d.base != nil:
		return d.base.visible()
	}
	return 0
}

func (d *draft) found() found {
	d.mu.Lock()
	defer d.mu.Unlock()
	return found{key: d.key, obj: d, attr: d.attrLocked()}
}

// open counts a handle. trunc is O_TRUNC: what is there is not wanted.
func (d *draft) open(trunc bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.handles++
	if !d.gone {
		d.followLocked()
	}
	if trunc {
		d.clearLocked()
		d.dirty = d.dirty || d.base != nil || d.done != nil
	}
}

// clearLocked starts anew. What was committed stays until the next commit.
func (d *draft) clearLocked() {
	if d.upload != nil {
		d.upload.Close() // a spool: there is nothing to lose
		d.upload = nil
	}
	d.ref, d.refLen, d.broken = "", 0, nil
	if d.base != nil {
		d.base.clear()
	}
}

func (d *draft) wantLocked() digest.Digest {
	if d.place == nil {
		return d.s.stagedWant(d.dir, d.name)
	}
	return d.place.want()
}

// spoolLocked makes the upload, with what the draft holds so far in it.
func (d *draft) spoolLocked(ctx context.Context) error {
	if d.upload != nil {
		return nil
	}
	u := d.s.reg.NewUpload(d.wantLocked())
	var err error
	switch {
	case d.ref != "":
		err = d.s.copyBlob(ctx, u, d.ref, d.refLen)
	case d.base != nil:
		err = d.base.copyTo(ctx, u)
	}
	if err != nil {
		return errors.Join(err, u.Close())
	}
	d.upload, d.ref, d.refLen = u, "", 0
	return nil
}

// write takes bytes. Once it has refused some, no commit takes the rest: a
// program that could not write all of a file closes it all the same.
func (d *draft) write(ctx context.Context, p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.writeLocked(ctx, p, off)
	if err != nil {
		d.broken = err
	}
	return n, err
}

func (d *draft) writeLocked(ctx context.Context, p []byte, off int64) (int, error) {
	if d.place != nil && d.place.limit() > 0 && off+int64(len(p)) > d.place.limit() {
		return 0, layout.ErrTooLarge
	}
	if d.upload == nil && d.base != nil && d.ref == "" {
		same, err := d.base.compare(ctx, p, off)
		if err != nil {
			return 0, err
		}
		if same {
			d.dirty = true
			return len(p), nil
		}
	}
	if err := d.spoolLocked(ctx); err != nil {
		return 0, err
	}
	d.dirty, d.failed = true, false
	return d.upload.WriteAt(ctx, p, off)
}

// read gives a writer what was written so far. Others who came to open the
// draft of a file that exists read what is committed.
func (d *draft) read(ctx context.Context, p []byte, off int64, writer bool) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case !writer && d.base != nil && d.done == nil:
		return readStored(ctx, d.base.obj, p, off)
	case !writer && d.done != nil:
		return readStored(ctx, d.done.found.obj, p, off)
	case d.ref != "":
		return d.s.readBlob(ctx, d.ref, p[:min(int64(len(p)), max(0, d.refLen-off))], off)
	case d.upload != nil:
		return d.upload.ReadAt(p, off)
	case d.done != nil:
		return readStored(ctx, d.done.found.obj, p, off)
	case d.base != nil:
		return d.base.read(ctx, p, off)
	}
	return 0, io.EOF
}

// readStored reads what a commit has made.
func readStored(ctx context.Context, obj object, p []byte, off int64) (int, error) {
	r, ok := obj.(replaceable)
	if !ok {
		return 0, io.EOF
	}
	in, _ := r.content()
	defer in.close()
	return in.read(ctx, p, off)
}

// truncate sets the size. To 0 it starts anew; the size it has is no change.
func (d *draft) truncate(ctx context.Context, size int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.truncateLocked(ctx, size)
	if err != nil {
		d.broken = err
	}
	return err
}

func (d *draft) truncateLocked(ctx context.Context, size int64) error {
	switch {
	case size == d.sizeLocked():
		return nil
	case size == 0:
		d.clearLocked()
		d.dirty = true
		return nil
	case d.place != nil && d.place.limit() > 0 && size > d.place.limit():
		return layout.ErrTooLarge
	}
	if err := d.spoolLocked(ctx); err != nil {
		return err
	}
	d.dirty, d.failed = true, false
	return d.upload.Truncate(size)
}

// copyRange takes n bytes of a stored blob at offIn for its own at offOut, if
// that makes the draft a copy of the blob from its beginning on. It reports
// whether it did; else the bytes have to be copied.
func (d *draft) copyRange(src digest.Digest, srcSize, offIn, offOut, n int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if offIn != offOut || d.upload != nil || offOut != d.refLen || (d.ref != "" && d.ref != src) {
		return false
	}
	if d.ref == "" && d.base != nil && d.base.visible() > 0 {
		return false // a piece of another file is there
	}
	if d.place != nil && d.place.limit() > 0 && srcSize > d.place.limit() {
		return false // let the write say so
	}
	d.ref, d.refLen = src, offIn+n
	d.dirty, d.failed = true, false
	return true
}

// refer makes the draft a copy of a stored blob, for ln.
func (d *draft) refer(src digest.Digest, size int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ref, d.refLen, d.dirty = src, size, true
}

// setModTime is remembered for the commit, or passed on if nothing is pending.
func (d *draft) setModTime(ctx context.Context, t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mtime = t
	switch {
	case d.done != nil && !d.dirty:
		return d.s.setTime(ctx, &d.done.found, t)
	case d.base != nil && !d.dirty:
		return d.s.setTime(ctx, &d.base.found, t)
	}
	return nil
}

// flush commits what is there. It may be called more than once: each close of
// a dup'd descriptor flushes, some before anything was written.
func (d *draft) flush(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.place == nil || d.gone {
		return nil
	}
	if d.broken != nil {
		return d.commitLocked(ctx) // which says so
	}
	if d.sizeLocked() == 0 && !d.emptyCommitsLocked() {
		return nil
	}
	if !d.dirty && !(d.done == nil && d.base == nil && d.emptyCommitsLocked()) {
		return nil
	}
	return d.commitLocked(ctx)
}

// emptyCommitsLocked tells whether no bytes are to be stored as they are: a
// new name for which that can be right.
func (d *draft) emptyCommitsLocked() bool {
	return d.base == nil && d.place.emptyIsContent()
}

func (d *draft) commitLocked(ctx context.Context) error {
	err := d.broken
	var done committed
	if err == nil {
		done, err = d.contentLocked(ctx)
	}
	if err != nil {
		d.failed = true
		if d.base == nil && d.s.drafts.remove(d) {
			// There is no such file. Whoever has it open can still make it one.
			d.s.notify.stale(staleName{dir: d.dir})
		}
		d.s.tags.putBack(ctx, d.dir, d.name)
		return err
	}
	if old := d.done; old != nil && old.digest != done.digest && old.undo != nil {
		if err := old.undo(ctx); err != nil {
			d.s.refused.note("unlink", d.pathLocked(), err) // an extra link, found by any check
		}
	}
	if mtime := d.mtime; !mtime.IsZero() && !done.found.attr.mtime.Equal(mtime) {
		// The store has no place for it. All is stored by now, so that this is
		// no error.
		if err := d.s.setTime(ctx, &done.found, mtime); err != nil {
			d.s.log.Warn("time of a file not set", "path", d.pathLocked(), "error", err)
		}
	}
	d.done, d.dirty, d.failed, d.mtime = &done, false, false, time.Time{}
	d.s.drafts.remove(d)
	d.s.notify.stale(done.stale...)
	// Others may have looked it up meanwhile: what it was when this draft was
	// begun, and what other drafts have made of it.
	for _, k := range d.s.turnover.replaced(staleName{d.dir, d.name}, done.found.key) {
		d.s.notify.moved(k)
	}
	if d.base != nil && d.base.key != done.found.key {
		d.s.notify.moved(d.base.key)
	}
	return nil
}

// followLocked says which name the draft may replace from now on.
func (d *draft) followLocked() {
	n := staleName{d.dir, d.name}
	if d.follows == n {
		return
	}
	d.unfollowLocked()
	d.follows = n
	d.s.turnover.begin(n)
}

func (d *draft) unfollowLocked() {
	if d.follows != (staleName{}) {
		d.s.turnover.end(d.follows)
		d.follows = staleName{}
	}
}

// contentLocked hands the content to the place. A write-open that changed
// nothing has nothing to hand over.
func (d *draft) contentLocked(ctx context.Context) (committed, error) {
	if d.upload == nil && d.ref == "" && d.base != nil && d.base.isWhole() {
		return committed{found: d.base.found, digest: d.base.digest}, d.touchLocked(ctx)
	}
	if d.ref != "" && !d.s.isWhole(ctx, d.ref, d.refLen) {
		if err := d.spoolLocked(ctx); err != nil {
			return committed{}, err
		}
	}
	if d.ref == "" {
		if err := d.spoolLocked(ctx); err != nil {
			return committed{}, err
		}
	}
	return d.place.commit(ctx, content{upload: d.upload, ref: d.ref, mtime: d.mtime})
}

func (d *draft) touchLocked(ctx context.Context) error {
	if d.mtime.IsZero() {
		return nil
	}
	return d.s.setTime(ctx, &d.base.found, d.mtime)
}

// rename gives a staged draft its place and commits it there. On an error it
// stays what and where it was.
func (d *draft) rename(ctx context.Context, dir key, name string, p place) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	oldDir, oldName, oldPlace := d.dir, d.name, d.place
	if p == nil || (d.sizeLocked() == 0 && oldPlace != nil) {
		// Staged under another name, or an empty draft: nothing to commit.
		d.s.drafts.move(d, dir, name)
		d.dir, d.name = dir, name
		if p != nil {
			d.place = p
		}
		d.followLocked()
		return nil
	}
	d.place = p
	d.s.drafts.remove(d)
	d.dir, d.name = dir, name
	d.followLocked()
	if err := d.commitLocked(ctx); err != nil {
		d.dir, d.name, d.place = oldDir, oldName, oldPlace
		d.followLocked()
		d.s.drafts.put(d)
		return err
	}
	return nil
}

// release ends a handle; the last one decides what stays. The kernel passes no
// error on from here, so nothing is left to go wrong but what was never
// flushed at all.
func (d *draft) release(ctx context.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	size := d.sizeLocked()
	if d.handles--; d.handles > 0 {
		return
	}
	if d.place == nil && !d.gone {
		return // staged until RENAME or unlink
	}
	defer d.unfollowLocked()
	if d.dirty && !d.failed && !d.gone && (size > 0 || d.place.emptyIsContent()) {
		if err := d.commitLocked(ctx); err != nil {
			d.s.refused.note("close", d.pathLocked(), err)
		}
	}
	if !d.gone && d.done == nil && d.base == nil && size == 0 && !d.failed {
		d.s.refused.record("close", d.pathLocked(), "kept as an empty file of this mount", "nothing was written",
			"write the content, or remove the name")
		return
	}
	if d.upload != nil {
		d.upload.Close() // committed, or given up
		d.upload = nil
	}
	if d.done == nil {
		d.ref, d.refLen = "", 0
	}
	d.s.drafts.remove(d)
}

// pathLocked is where the draft is in the mount, for messages.
func (d *draft) pathLocked() string {
	return d.s.nodes.path(d.s.nodes.find(d.dir), d.name)
}

// unlink takes the name away. It needs no permission to delete: nothing of the
// draft is in the store.
func (d *draft) unlink() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone = true
	d.unfollowLocked()
	d.s.drafts.remove(d)
	if d.handles == 0 && d.upload != nil {
		d.upload.Close()
		d.upload = nil
	}
}

// forgotten is called when the kernel drops the node. A draft that nobody
// opened, made for an OPEN that never came, ends here.
func (d *draft) forgotten() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.handles > 0 {
		return
	}
	d.unfollowLocked()
	if d.base != nil {
		d.base.close()
	}
}

// drafts are the names that exist in this mount only.
type drafts struct {
	mu     sync.Mutex // guards the following
	byName map[staleName]*draft
	byDir  map[key]int // how many drafts a directory has
}

// maxDrafts bounds what a mount keeps of files that were never committed.
const maxDrafts = 10_000

var errTooManyDrafts = refuse(syscall.ENFILE, "too many files of this mount were begun and never finished",
	"remove the empty or temporary files that ls -a shows")

func (t *drafts) get(dir key, name string) *draft {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byDir[dir] == 0 {
		return nil
	}
	return t.byName[staleName{dir, name}]
}

// add registers a draft under a name that has none yet.
func (t *drafts) add(d *draft) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byName[staleName{d.dir, d.name}] != nil {
		return syscall.EEXIST
	}
	if len(t.byName) >= maxDrafts {
		return errTooManyDrafts
	}
	t.putLocked(d)
	return nil
}

func (t *drafts) put(d *draft) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.putLocked(d)
}

func (t *drafts) putLocked(d *draft) {
	n := staleName{d.dir, d.name}
	if t.byName[n] == nil {
		t.byDir[d.dir]++
	}
	t.byName[n] = d
}

// remove takes the draft's name off, and reports whether it was there.
func (t *drafts) remove(d *draft) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.removeLocked(d)
}

func (t *drafts) removeLocked(d *draft) bool {
	n := staleName{d.dir, d.name}
	if t.byName[n] != d {
		return false
	}
	delete(t.byName, n)
	if t.byDir[d.dir]--; t.byDir[d.dir] == 0 {
		delete(t.byDir, d.dir)
	}
	return true
}

// move renames; the caller holds the draft's lock and sets its new name.
func (t *drafts) move(d *draft, dir key, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.removeLocked(d)
	n := staleName{dir, name}
	if t.byName[n] == nil {
		t.byDir[dir]++
	}
	t.byName[n] = d
}

// in returns the drafts of a directory.
func (t *drafts) in(dir key) []*draft {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byDir[dir] == 0 {
		return nil
	}
	var out []*draft
	for n, d := range t.byName {
		if n.dir == dir {
			out = append(out, d)
		}
	}
	return out
}
