package ahead

import (
	"context"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"registryfs/drivers"
)

// Options are what a Driver must know of its user and of the tree.
type Options struct {
	// TTL is how old an answer may be under Reading; 0 is a second.
	TTL time.Duration
	// MaxEntries is how many files are held in all; 0 is 128 Ki, which take
	// about 20 MiB.
	MaxEntries int
	// Expect says what a small file holds if it is as it should be. nil expects
	// nothing.
	Expect func(path string) Expected
	// Scattered is a directory whose files are asked for in no order, below
	// names that begin with hex digits, evenly spread: it is listed as a whole
	// when a listing asks for many of them. "" is none.
	Scattered string
	// Nested reports whether a directory of this name, in one that is listed under
	// Names, is going to be listed so too. nil is all.
	Nested func(name string) bool
}

// Expected is what a file may hold: an ETag that is the MD5 of it proves that.
type Expected struct {
	// Content is the whole of it, if the path decides that.
	Content string
	// Among is a directory, one of whose files may have the same content.
	Among string
}

const (
	defaultTTL     = time.Second
	defaultEntries = 128 << 10

	// patience is how long a walk may pause before it is taken to have ended.
	patience = 2 * time.Second

	// oldest is the age at which even a live walk's listing is read again.
	oldest = time.Minute
)

// Driver is a StorageDriver that knows what its users will ask next. It is safe
// for parallel use.
type Driver struct {
	inner drivers.StorageDriver
	opts  Options

	mu      sync.Mutex // guards the following
	streams []*stream  // the newest first
	held    int        // files in their pages
	changes changes
	listers int         // listings of the driver inside under way
	forgot  int         // how often forgetAll was called
	timer   *time.Timer // nil while there are no streams
	walks   walks
	stale   staleRun
	lists   map[string]*childList
	lookups lookups
	passage passage
}

// New wraps d, which should be remote: a local one has no use for this.
func New(d drivers.StorageDriver, o Options) *Driver {
	if o.TTL <= 0 {
		o.TTL = defaultTTL
	}
	if o.MaxEntries <= 0 {
		o.MaxEntries = defaultEntries
	}
	return &Driver{inner: d, opts: o, lists: map[string]*childList{}}
}

// SetTTL sets Options.TTL.
func (d *Driver) SetTTL(ttl time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opts.TTL = ttl
}

// Inner is the driver inside.
func (d *Driver) Inner() drivers.StorageDriver { return d.inner }

// live is how long a stream lives without use.
func (d *Driver) live() time.Duration { return max(patience, d.opts.TTL) }

// arm makes sure that what is no longer used goes, also if nobody asks again.
// The lock is held.
func (d *Driver) arm() {
	if d.timer == nil {
		d.timer = time.AfterFunc(d.live(), d.sweep)
	}
}

// sweep lets go of what no walk uses any more.
func (d *Driver) sweep() {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for _, s := range append([]*stream(nil), d.streams...) {
		if now.Sub(s.hit) > d.live() {
			d.drop(s)
		}
	}
	for dir, l := range d.lists {
		if now.Sub(l.hit) > d.live() {
			delete(d.lists, dir)
		}
	}
	d.timer = nil
	d.walks.names = slices.DeleteFunc(d.walks.names, func(n namedDir) bool { return now.Sub(n.hit) > d.live() })
	if len(d.streams)+len(d.lists)+len(d.walks.names) > 0 {
		d.arm()
		return
	}
	if d.listers == 0 {
		d.changes.clear()
	}
	d.walks, d.lookups, d.passage, d.stale = walks{}, lookups{}, passage{}, staleRun{}
}

// forgetAll drops all that was read. The lock is held.
func (d *Driver) forgetAll() {
	for len(d.streams) > 0 {
		d.drop(d.streams[0])
	}
	clear(d.lists)
	d.walks.names = nil
	d.forgot++
}

// Name implements drivers.StorageDriver.
func (d *Driver) Name() string { return d.inner.Name() }

// Reader implements drivers.StorageDriver.
func (d *Driver) Reader(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	return d.inner.Reader(ctx, path, offset)
}

// ReadRange implements drivers.RangeReader.
func (d *Driver) ReadRange(ctx context.Context, path string, offset, length int64) (io.ReadCloser, error) {
	return drivers.ReadRange(ctx, d.inner, path, offset, length)
}

// OpenFile implements drivers.FileOpener.
func (d *Driver) OpenFile(ctx context.Context, path string) (*os.File, error) {
	return drivers.OpenFile(ctx, d.inner, path)
}

// CopySource answers drivers.CopySource.
func (d *Driver) CopySource(path string) any { return drivers.CopySource(d.inner, path) }

// List implements drivers.StorageDriver.
func (d *Driver) List(ctx context.Context, dir string) ([]string, error) {
	if markOf(ctx) < listing {
		return d.inner.List(ctx, dir)
	}
	return drivers.ListPaths(ctx, d, dir)
}

// Walk implements drivers.StorageDriver.
func (d *Driver) Walk(ctx context.Context, from string, fn drivers.WalkFn, options ...func(*drivers.WalkOptions)) error {
	return d.inner.Walk(ctx, from, fn, options...)
}

// WalkPage implements drivers.PageWalker.
func (d *Driver) WalkPage(ctx context.Context, from, startAfter string) ([]drivers.FileInfo, string, error) {
	return drivers.WalkPage(ctx, d.inner, from, startAfter)
}

// StatFS implements drivers.SpaceReporter.
func (d *Driver) StatFS(ctx context.Context) (drivers.FSInfo, error) {
	return drivers.StatFS(ctx, d.inner)
}

// IsRemote answers drivers.IsRemote.
func (d *Driver) IsRemote() bool { return drivers.IsRemote(d.inner) }

// Requests answers drivers.Requests.
func (d *Driver) Requests() map[string]int64 { return drivers.Requests(d.inner) }

// Reload implements drivers.Reloader.
func (d *Driver) Reload(ctx context.Context, params map[string]any) error {
	return drivers.Reload(ctx, d.inner, params)
}

// Leftovers answers drivers.LeftoversOf.
func (d *Driver) Leftovers() drivers.Leftovers { return drivers.LeftoversOf(d.inner) }
