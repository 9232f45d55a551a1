package copier

import (
	"context"
	"errors"
	"slices"
	"sync"

	"registryfs/layout"
)

// Options say what is copied, and how.
type Options struct {
	// Repositories are those wanted, with their blobs; none is the whole store.
	Repositories []layout.RepositoryPattern
	// Uploads copies uploads in progress too.
	Uploads bool
	// Parallel is how many files are copied at once; 0 is what suits the stores.
	Parallel int
	// Progress, if set, is told how far the copy has come.
	Progress func(layout.Progress)
}

// Report is what a copy has come to.
type Report struct {
	Repositories int   // looked at
	Tags         int   // that appeared or moved
	Links        int   // written, those of tags included
	Blobs        int   // copied
	Bytes        int64 // of these blobs
	Present      int   // blobs that were there
	Files        int   // other files copied
	LeftOut      int   // links and tags that lead nowhere in the source as well
	// Problems name what the source lacks or cannot give.
	Problems []error
}

const (
	parallelRemote = 32
	parallelLocal  = 8

	// repositoriesAtOnce bounds how many repositories' links are held.
	repositoriesAtOnce = 4
)

// Copy copies from one store to another. An error says that it has ended before
// all was tried: the destination fails, or the context has ended. The report then
// tells how far it has come.
func Copy(ctx context.Context, from, to *layout.Registry, o Options) (Report, error) {
	if o.Parallel == 0 {
		o.Parallel = parallelLocal
		if from.IsRemote() || to.IsRemote() {
			o.Parallel = parallelRemote
		}
	}
	if o.Progress == nil {
		o.Progress = func(layout.Progress) {}
	}
	c := &copier{from: from, to: to, Options: o, slots: make(chan struct{}, o.Parallel)}
	c.blobs = newBlobs(c)
	err := c.run(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.report, err
}

type copier struct {
	from, to *layout.Registry
	Options
	blobs *blobs
	slots chan struct{} // one for each file that is being copied

	mu     sync.Mutex // guards the following
	report Report
	toPut  int64                   // links, of the repositories that were read
	strays []layout.RawFile        // what lies between the repositories
	names  []layout.RepositoryName // that are wanted and there
}

// isWhole reports whether all of the store is wanted.
func (c *copier) isWhole() bool { return len(c.Repositories) == 0 }

func (c *copier) run(ctx context.Context) error {
	if c.isWhole() {
		if err := c.blobs.list(ctx); err != nil {
			return err
		}
	}
	err := c.from.EachDirectory(ctx, repositoriesAtOnce, func(ctx context.Context, d layout.Directory, err error) error {
		if err != nil {
			c.problem(err)
		}
		wanted := d.Exists && c.isWanted(d.Name())
		c.addStrays(d.Strays, wanted)
		if !wanted {
			return nil
		}
		c.addName(d.Name())
		return c.copyRepository(ctx, d.Repository)
	})
	if err != nil {
		return err
	}
	for _, err := range layout.Unmatched(c.Repositories, c.names) {
		c.problem(err)
	}
	if c.isWhole() {
		if err := c.copyRest(ctx); err != nil {
			return err
		}
	}
	return c.copyStrays(ctx)
}

func (c *copier) isWanted(name layout.RepositoryName) bool {
	return c.isWhole() || slices.ContainsFunc(c.Repositories, func(p layout.RepositoryPattern) bool { return p.Match(name) })
}

// addName notes a repository that is wanted.
func (c *copier) addName(name layout.RepositoryName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names = append(c.names, name)
}

// problem notes what the source lacks.
func (c *copier) problem(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Problems = append(c.report.Problems, err)
}

// count changes the report and tells how far the copy has come.
func (c *copier) count(change func(*Report)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.report)
	done := int64(c.report.Blobs + c.report.Present + c.report.Links)
	p := layout.Progress{Step: "copy blobs and links", Done: done, Bytes: c.report.Bytes}
	if c.isWhole() {
		p.Total = max(done, c.blobs.total+c.toPut)
	}
	c.Progress(p)
}

// tolerate makes a problem of an error of the source; any other ends the copy.
func (c *copier) tolerate(ctx context.Context, err error) error {
	if ctx.Err() == nil && isOfSource(err) {
		c.problem(err)
		return nil
	}
	return err
}

// isOfSource reports whether it is for the source that something was not copied.
func isOfSource(err error) bool {
	var source layout.SourceError
	return errors.As(err, &source)
}

// slot waits for the turn of one file, until done is called.
func (c *copier) slot(ctx context.Context) (done func(), err error) {
	select {
	case c.slots <- struct{}{}:
		return func() { <-c.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
