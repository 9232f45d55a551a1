package gc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"registryfs/layout"
)

// Options are the rules of a run.
type Options struct {
	// Now says that no registry is running and nobody writes: what is unreferenced
	// is swept at once. Else a first run notes it, and one after MinAge sweeps it.
	Now bool
	// MinAge is how old something unreferenced must be, and how long ago noted.
	MinAge time.Duration
	// UploadAge is for how long an upload, or a write that was left, must have stood
	// still to be removed; 0 is never.
	UploadAge time.Duration
	// Untagged collects manifests too that no tag leads to.
	Untagged bool
	// KeepHistory is how many manifests are kept that a tag has pointed to before.
	KeepHistory int
	// ByCreated orders a tag's history by when the images were made, not tagged.
	ByCreated bool
	// DryRun changes nothing.
	DryRun bool
	// OnlyNote is why a run that is not Now must not sweep, or nil.
	OnlyNote error

	// Parallel is how much is done at once; 0 is 16.
	Parallel int
	// Memory is how many bytes what is seen of the store may take before it goes to
	// files in TempDir; 0 is 128 MiB. What one repository has is not counted.
	Memory  int64
	TempDir string // "" is os.TempDir()
	// Progress is told how far the run is, from several goroutines; nil is not.
	Progress func(layout.Progress)
}

const (
	defaultParallel = 16
	defaultMemory   = 128 << 20

	// window is how old what was seen of the store may be when something is removed
	// of it, if it does not take longer to see it.
	window = 10 * time.Second
)

// ErrCache says that the store is that of a pull-through cache, of which only its
// registry knows what is old.
var ErrCache = errors.New("the store is a pull-through cache, whose registry deletes what is old itself")

// collector is one run.
type collector struct {
	Options
	reg    *layout.Registry
	report *Report
	locked func(context.Context) error // says whether it still is

	begun  time.Time
	now    time.Time     // when it began, by the store's clock
	cutoff time.Time     // what is younger is kept
	window time.Duration // as the constant; 0 looks before each removal

	known known
	gone  set[layout.RawPath] // uploads that were removed

	looked bool          // at all there is; uploads are removed at the first look
	reads  chan struct{} // held by manifests that are being read

	blobs [shards]*sorter // "hex time size"
	swept [shards]*sorter // "hex"
}

// Run collects what nobody needs. An error means that the run could not be made, and
// then there is no Report, or not to its end; what it has met besides is in that.
func Run(ctx context.Context, reg *layout.Registry, o Options) (report *Report, err error) {
	r := newCollector(reg, o)
	cache, err := reg.IsPullThroughCache(ctx)
	if err != nil {
		return nil, err
	}
	if cache {
		return nil, ErrCache
	}
	defer r.close()
	if r.DryRun {
		r.start(time.Now())
		return r.run(ctx)
	}
	l, err := lock(ctx, reg.State())
	if err != nil {
		return nil, err
	}
	r.locked = l.check
	ctx, stop := l.hold(ctx)
	defer func() {
		stop()
		if lost := context.Cause(ctx); errors.Is(lost, errLockLost) {
			err = lost
		}
		err = errors.Join(err, l.release(context.WithoutCancel(ctx)))
	}()
	r.start(l.made)
	return r.run(ctx)
}

func newCollector(reg *layout.Registry, o Options) *collector {
	if o.Parallel == 0 {
		o.Parallel = defaultParallel
	}
	if o.Memory == 0 {
		o.Memory = defaultMemory
	}
	if o.Progress == nil {
		o.Progress = func(layout.Progress) {}
	}
	r := &collector{Options: o, reg: reg, window: window, report: &Report{DryRun: o.DryRun},
		locked: func(context.Context) error { return nil }, reads: make(chan struct{}, o.Parallel)}
	r.known.of = map[digest.Digest]names{}
	for i := range shards {
		r.blobs[i], r.swept[i] = r.newSorter(), r.newSorter()
	}
	return r
}

// newSorter is one of those that share the memory: three for each shard are large
// at any time, and two marks live at once.
func (r *collector) newSorter() *sorter {
	return &sorter{dir: r.TempDir, most: int(r.Memory / (6 * shards))}
}

func (r *collector) close() {
	for i := range shards {
		_ = errors.Join(r.blobs[i].close(), r.swept[i].close()) // they have no name
	}
}

func (r *collector) start(now time.Time) {
	r.begun, r.now, r.cutoff = time.Now(), now, now.Add(-r.MinAge)
}

func (r *collector) progress(p layout.Progress) { r.Progress(p) }

// run returns no report if it has not even seen all there is.
func (r *collector) run(ctx context.Context) (*Report, error) {
	m, err := r.look(ctx)
	if err != nil {
		return nil, err
	}
	defer m.close()
	r.looked = true
	r.report.see(m)
	return r.report, r.act(ctx, m)
}

// act does what is to be done about what was seen.
func (r *collector) act(ctx context.Context, m *mark) error {
	if err := r.locked(ctx); err != nil {
		return err
	}
	if err := r.removeLeftovers(ctx); err != nil {
		return err
	}
	sweep := r.sweepLater
	if r.Now {
		sweep = r.sweepNow
	}
	if err := sweep(ctx, m); err != nil {
		return err
	}
	return r.removeDirs(ctx)
}

// look looks at all there is. What is pushed meanwhile is too young to matter.
func (r *collector) look(ctx context.Context) (m *mark, err error) {
	var listed error
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		listed, err = r.listBlobs(gctx)
		return err
	})
	g.Go(func() (err error) {
		m, err = r.mark(gctx, "read links and manifests")
		return err
	})
	if err := g.Wait(); err != nil {
		if m != nil {
			m.close()
		}
		return nil, err
	}
	if listed != nil {
		m.doubt(listed)
	}
	if r.reg.IsRemote() && m.repositories.Load() == 0 && r.report.Store.Files > 0 {
		m.doubt(fmt.Errorf("there are blobs and no repository, as in a store that is half copied: delete %s by hand if all is to go", layout.RawBlobs))
	}
	return m, nil
}

// listBlobs lists all blobs that can be swept.
func (r *collector) listBlobs(ctx context.Context) (listed, err error) {
	for b, err := range r.reg.Blobs().Each(ctx) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			return err, nil
		}
		if b.Digest.Algorithm() != "sha256" {
			continue
		}
		r.report.seeBlob(b.Size)
		var ms int64
		if !b.ModTime.IsZero() {
			ms = b.ModTime.UnixMilli()
		}
		hex := b.Digest.Encoded()
		if err := r.blobs[shardOf(hex)].add(fmt.Sprintf("%s %d %d", hex, ms, b.Size)); err != nil {
			return nil, err
		}
	}
	return nil, nil
}
