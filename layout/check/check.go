package check

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"registryfs/layout"
)

// Options say what to check and how.
type Options struct {
	// Data reads all blobs.
	Data bool
	// Within passes over blobs whose bytes were verified less long ago.
	Within time.Duration
	// Rate is how many bytes of blobs are read a second; 0 is no limit.
	Rate int64
	// Shard of Shards is the part of the store to check, from 1; 0 is all. What no
	// link leads to can be told only of all.
	Shard, Shards int
	// MinAge is how old a leftover is at least, and what is lost.
	MinAge time.Duration
	// Parallel is how many things are looked at at once; 0 is 16.
	Parallel int

	// Repair makes repairs; with DryRun it only says which.
	Repair, DryRun bool

	// Found, Repaired and Progress are told what happens, or are nil. The first two
	// are called one at a time.
	Found    func(Finding)
	Repaired func(Fix, error)
	Progress func(layout.Progress)
}

// Summary is what a check has seen.
type Summary struct {
	Repositories int64 `json:"repositories"`
	Tags         int64 `json:"tags"`
	Manifests    int64 `json:"manifests"` // once for each repository
	Blobs        int64 `json:"blobs"`
	Bytes        int64 `json:"bytes"` // of all blobs

	Verified      int64 `json:"verified"` // blobs whose bytes were read
	VerifiedBytes int64 `json:"verifiedBytes"`
	Passed        int64 `json:"passed"` // blobs that had been verified before

	Findings map[Kind]int64 `json:"findings"`
	Faults   int64          `json:"faults"` // those that are not repaired
	Repairs  int64          `json:"repairs"`
	Restored int64          `json:"restored"` // blobs, of the repairs; what is in them was not looked at
	Failed   int64          `json:"failed"`   // repairs that could not be made
}

// Why Run fails, besides what the store answers.
var (
	// ErrNoRegistry says that there is nothing of a registry in the store.
	ErrNoRegistry = errors.New("there is no registry in the store")
	// ErrNotRecorded says that the check has come to its end, but what it found
	// could not be kept.
	ErrNotRecorded = errors.New("the findings were not recorded")
)

// tableMemory is how much of the list of blobs is held in memory.
const tableMemory = 256 << 20

// Run checks the store. An error says that it could not be checked, or not to the
// end; what is wrong in it is told by Options.Found and the Summary.
func Run(ctx context.Context, reg *layout.Registry, o Options) (Summary, error) {
	if o.Parallel == 0 {
		o.Parallel = 16
	}
	if o.Shards == 0 {
		o.Shard, o.Shards = 1, 1
	}
	c := &checker{
		reg:    reg,
		o:      o,
		slots:  make(chan struct{}, o.Parallel),
		start:  time.Now(),
		blobs:  &table{limit: tableMemory},
		others: map[digest.Digest]blob{},
		absent: map[layout.Key]bool{},
		counts: map[Kind]int64{},
		wanted: map[digest.Digest]Kind{},
		rate:   &pacer{rate: o.Rate},
	}
	err := c.run(ctx)
	return c.summary(), errors.Join(err, c.blobs.close())
}

// checker is one check.
type checker struct {
	reg   *layout.Registry
	o     Options
	slots chan struct{} // held for a request
	start time.Time
	rate  *pacer
	cache bool // the store is that of a pull-through cache

	blobs  *table
	others map[digest.Digest]blob // those that are not named by sha256

	repositories, tags, manifests, bytes, verified, verifiedBytes, passed, done atomic.Int64

	any atomic.Bool // there is a repository, of whatever shard

	mu       sync.Mutex          // guards the following, and calls of Found
	absent   map[layout.Key]bool // of what need not be there
	counts   map[Kind]int64
	findings []Finding // the first maxFindings
	fixes    []Fix
	wanted   map[digest.Digest]Kind   // content that is lost or damaged, and as what it was found
	sources  []source                 // where it may be
	looked   map[layout.RawPath]error // sources, and why they must not go
	repairs  map[fixed]bool
	unkept   error // why the next run will not know what this one does
	made     int64 // repairs
	restored int64 // blobs, of those
	failed   int64
	mended   int64 // faults that are none any more
}

// maxFindings is how many findings are remembered, and likewise fixes.
const maxFindings = 100_000

func (c *checker) run(ctx context.Context) error {
	var err error
	if c.cache, err = c.reg.IsPullThroughCache(ctx); err != nil {
		c.found(Finding{Kind: Unreadable, Path: "/", Detail: err.Error()})
	}
	if err := c.listBlobs(ctx); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.findLeftovers(gctx) })
	g.Go(func() error { return c.checkRepositories(gctx) })
	if err := g.Wait(); err != nil {
		return err
	}
	if !c.any.Load() && c.blobs.n == 0 && len(c.others) == 0 {
		return ErrNoRegistry
	}
	if err := c.findUnreferenced(); err != nil {
		return err
	}
	if c.o.Data {
		if err := c.readBlobs(ctx); err != nil {
			return err
		}
	}
	if c.o.Repair || c.o.DryRun {
		if err := c.repair(ctx); err != nil {
			return err
		}
	}
	if err := errors.Join(c.record(ctx), c.unkept); err != nil {
		return fmt.Errorf("%w: %w", ErrNotRecorded, err)
	}
	return nil
}

// isOld reports whether what is from a time can be told from what is being written.
func (c *checker) isOld(t time.Time) bool { return c.start.Sub(t) >= c.o.MinAge }

// checkRepositories goes through those of this shard.
func (c *checker) checkRepositories(ctx context.Context) error {
	return c.reg.EachDirectory(ctx, c.o.Parallel, func(ctx context.Context, d layout.Directory, err error) error {
		if d.Exists {
			c.any.Store(true)
		}
		if !c.isOfShard(d.Name()) {
			return nil
		}
		if err == nil {
			err = d.CheckNames(ctx)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			c.found(Finding{Kind: Unreadable, Path: d.Path(), Repository: d.Name(), Detail: err.Error()})
		}
		for _, f := range d.Strays {
			if !f.Dir {
				c.stray(f.Path, f.Entry, "a file among the repositories")
			}
		}
		if !d.Exists {
			return nil
		}
		if err := c.checkRepository(ctx, d.Repository); err != nil {
			return err
		}
		c.progress("check repositories", c.repositories.Add(1), 0, 0)
		return ctx.Err()
	})
}

// isOfShard reports whether this run checks the repository.
func (c *checker) isOfShard(name layout.RepositoryName) bool {
	h := fnv.New32a()
	h.Write([]byte(name))
	return int(h.Sum32()%uint32(c.o.Shards)) == c.o.Shard-1
}

// findUnreferenced ends the look at links.
func (c *checker) findUnreferenced() error {
	if c.o.Shards > 1 || c.count(Unreadable) > 0 {
		return nil // there may be links that were not seen
	}
	return c.blobs.each(func(b blob) error {
		if !isMarked(c.blobs.used, b.index) && c.isOld(time.Unix(b.mtime, 0)) {
			d := b.key.SHA256()
			c.found(Finding{Kind: Unreferenced, Path: layout.RawBlob(d), Digest: d, Detail: fmt.Sprintf("no link leads to its %d bytes", b.size)})
		}
		return nil
	})
}

// use notes that something leads to the blob.
func (c *checker) use(b blob) {
	if b.index >= 0 {
		mark(c.blobs.used, b.index)
	}
}

// slot waits until one more request may be made.
func (c *checker) slot(ctx context.Context) (done func(), err error) {
	select {
	case c.slots <- struct{}{}:
		return func() { <-c.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// mayBe reports whether a kind of finding is none in this store: a pull-through
// cache fetches a manifest before its layers, and forgets each by itself.
func (c *checker) mayBe(k Kind) bool {
	return c.cache && (k == Missing || k == Dangling || k == Unlinked || k == Outdated)
}

func (c *checker) found(f Finding) {
	if c.mayBe(f.Kind) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[f.Kind]++
	if len(c.findings) < maxFindings {
		c.findings = append(c.findings, f)
	}
	if c.o.Found != nil {
		c.o.Found(f)
	}
}

// want notes content that would repair what was found.
func (c *checker) want(d digest.Digest, as Kind) {
	if c.mayBe(as) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.wanted) < maxFindings {
		c.wanted[d] = as
	}
}

func (c *checker) count(k Kind) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts[k]
}

func (c *checker) progress(step string, done, total, bytes int64) {
	if c.o.Progress != nil {
		c.o.Progress(layout.Progress{Step: step, Done: done, Total: total, Bytes: bytes})
	}
}

func (c *checker) summary() Summary {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Summary{
		Repositories:  c.repositories.Load(),
		Tags:          c.tags.Load(),
		Manifests:     c.manifests.Load(),
		Blobs:         c.blobs.n + int64(len(c.others)),
		Bytes:         c.bytes.Load(),
		Verified:      c.verified.Load(),
		VerifiedBytes: c.verifiedBytes.Load(),
		Passed:        c.passed.Load(),
		Findings:      maps.Clone(c.counts),
		Repairs:       c.made,
		Restored:      c.restored,
		Failed:        c.failed,
	}
	for kind, n := range c.counts {
		if kind.Weight() == Fault {
			s.Faults += n
		}
	}
	s.Faults -= c.mended
	return s
}
