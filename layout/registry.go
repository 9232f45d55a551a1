package layout

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
	"registryfs/layout/ahead"
	"registryfs/layout/blobcache"
	"registryfs/layout/readahead"
)

// Options are the rules a Registry keeps. The zero value lets promotion work
// and has the registry server's own defaults otherwise.
type Options struct {
	// Logger gets what a change did beyond what was asked; nil discards it.
	Logger *slog.Logger
	// References says what a tagged manifest may name.
	References ReferencePolicy
	// IndexChildren says which children of a tagged index must be there.
	IndexChildren IndexChildren
	// URLs hold for the foreign layers of new manifests.
	URLs URLRules
	// SpoolDir is where uploads too large for memory go; "" is os.TempDir().
	SpoolDir string
	// SpoolMemory is how many bytes all uploads together may hold in memory; 0
	// is 64 MiB.
	SpoolMemory int64
	// Memory is shared with the driver: what is read ahead of a remote store,
	// and SpoolMemory, are taken from it. nil is 256 MiB of the Registry's own.
	Memory *drivers.Budget
	// StateDir keeps of a remote store's manifests how large they are and what they
	// name; "" keeps that no longer than the Registry. It is made when absent.
	StateDir string
	// BlobCache keeps what was read of blobs; nil keeps nothing. A local store is
	// read past it.
	BlobCache *blobcache.Cache
	// State is where State keeps its files; nil is the store itself.
	State drivers.StorageDriver
}

// Registry is the content of one registry's storage. It is safe for parallel
// use, and so is everything it hands out.
type Registry struct {
	driver drivers.StorageDriver
	ahead  *ahead.Driver // the driver too, if it is remote; else nil
	opts   Options
	log    *slog.Logger
	cache  *cache
	sizes  *manifestSizes
	rels   *manifestRelations
	served *served
	spool  *spoolBudget
	pool   *readahead.Pool

	sequences *sequences // nil where no listing is read ahead

	tags keyedLock // one for each tag that is being changed

	streams chan struct{} // held by what CopyFrom streams into the store
}

// New makes a Registry of what d stores. It reads and writes nothing yet.
func New(d drivers.StorageDriver, o Options) *Registry {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.SpoolMemory == 0 {
		o.SpoolMemory = defaultSpoolMemory
	}
	if o.Memory == nil {
		o.Memory = drivers.NewBudget(defaultMemory)
	}
	if o.State == nil {
		o.State = d
	}
	r := &Registry{
		driver: d,
		opts:   o,
		log:    o.Logger,
		cache:  newCache(),
		sizes:  newManifestSizes(o.StateDir),
		served: newServed(),
		spool:  &spoolBudget{each: maxSpooled, memory: o.Memory, left: o.SpoolMemory},

		streams: make(chan struct{}, max(1, o.Memory.Size()/streamMemory)),
	}
	r.readAhead()
	if !r.IsRemote() {
		o.StateDir = "" // to read them again costs little
	}
	r.rels = newManifestRelations(o.StateDir)
	o.BlobCache.Borrow(o.Memory.Size() / 4)
	r.pool = readahead.NewPool(r.driver, o.Memory)
	if r.ahead != nil {
		r.sequences = &sequences{pool: r.pool, after: r.ahead.After, have: o.BlobCache.Has}
	}
	return r
}

// Repository is the repository of that name, whether or not there is one.
func (r *Registry) Repository(name RepositoryName) Repository {
	return Repository{r: r, name: name}
}

// Blobs is the whole store of blobs.
func (r *Registry) Blobs() BlobStore { return BlobStore{r} }

// Raw is the store's own tree.
func (r *Registry) Raw() RawTree { return RawTree{r} }

// Served remembers that this mount has shown that manifest of that repository
// to a reader: what it names may be linked wherever the reader puts it, under
// ReferencesSource. The newest 10,000 are kept.
func (r *Registry) Served(repo RepositoryName, manifest digest.Digest) {
	r.served.add(repo, manifest)
}

// Entry is one name of a directory. ModTime is the zero time if the store has
// none for it.
type Entry struct {
	Name    string
	Dir     bool
	Size    int64
	ModTime time.Time
}

func entryOf(info drivers.FileInfo) Entry {
	return Entry{Name: baseName(info.Path()), Dir: info.IsDir(), Size: info.Size(), ModTime: info.ModTime()}
}

// Children yields the directories below parent ("" is the top) that can be part
// of a repository name, in no order. Only the top may be missing.
func (r *Registry) Children(ctx context.Context, parent RepositoryName) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for c, err := range r.Names(ctx, parent) {
			if !c.Own && !yield(c.Entry, err) {
				return
			}
		}
	}
}

// Child is a directory below a repository name.
type Child struct {
	Entry
	// Own says that it is none of a nested name but one by which the parent is
	// known to be a repository.
	Own bool
}

// Names yields what Children does, and the directories that make parent a
// repository, so that one listing tells both.
func (r *Registry) Names(ctx context.Context, parent RepositoryName) iter.Seq2[Child, error] {
	return func(yield func(Child, error) bool) {
		for info, err := range drivers.ListInfo(ahead.Names(ctx), r.driver, repositoryPath(parent)) {
			if isAbsent(err) && parent == "" {
				return
			}
			if isAbsent(err) {
				err = RepositoryUnknownError{parent}
			}
			if err != nil {
				yield(Child{}, fmt.Errorf("list repositories: %w", err))
				return
			}
			name := baseName(info.Path())
			_, ok := parent.Join(name)
			own := parent != "" && (name == "_manifests" || name == "_layers" || name == "_uploads")
			if !ok && !own || !info.IsDir() {
				continue
			}
			if !yield(Child{entryOf(info), own}, nil) {
				return
			}
		}
	}
}

// StatName describes a repository or a directory on the way to one. The error
// is RepositoryUnknownError if there is none.
func (r *Registry) StatName(ctx context.Context, name RepositoryName) (Entry, error) {
	info, err := r.driver.Stat(ctx, repositoryPath(name))
	if isAbsent(err) || err == nil && !info.IsDir() {
		return Entry{}, RepositoryUnknownError{name}
	}
	if err != nil {
		return Entry{}, fmt.Errorf("stat repository %s: %w", name, err)
	}
	return entryOf(info), nil
}

// Repositories yields every repository, sorted by name as a plain string. As in
// the registry's catalog, a repository is what has a _manifests directory.
// Directories that vanish meanwhile are passed over; another error ends it.
func (r *Registry) Repositories(ctx context.Context) iter.Seq2[RepositoryName, error] {
	return func(yield func(RepositoryName, error) bool) {
		// A child's name is greater than its parent's, so the least name of
		// those found and not yet looked into is the next in order.
		found := &nameHeap{""}
		for found.Len() > 0 {
			name := heap.Pop(found).(RepositoryName)
			exists := false
			for info, err := range drivers.ListInfo(ctx, r.driver, repositoryPath(name)) {
				if isAbsent(err) {
					break
				}
				if err != nil {
					yield("", fmt.Errorf("list repository %s: %w", name, err))
					return
				}
				if !info.IsDir() {
					continue
				}
				base := baseName(info.Path())
				exists = exists || base == "_manifests" && name != ""
				if child, ok := name.Join(base); ok {
					heap.Push(found, child)
				}
			}
			if exists && !yield(name, nil) {
				return
			}
		}
	}
}

type nameHeap []RepositoryName

func (h nameHeap) Len() int           { return len(h) }
func (h nameHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h nameHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *nameHeap) Push(x any)        { *h = append(*h, x.(RepositoryName)) }
func (h *nameHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

// Space is how much room the store has.
type Space struct {
	BlockSize               int64 // bytes
	Blocks, Free, Available uint64
	Files, FilesFree        uint64
}

// StatFS reports the room in the store. One without bounds answers
// errors.ErrUnsupported.
func (r *Registry) StatFS(ctx context.Context) (Space, error) {
	s, err := drivers.StatFS(ctx, r.driver)
	if err != nil {
		return Space{}, fmt.Errorf("space of the store: %w", err)
	}
	return Space(s), nil
}

// IsPullThroughCache reports whether the store is that of a pull-through cache:
// its registry deletes what it likes, so nothing should be put there.
func (r *Registry) IsPullThroughCache(ctx context.Context) (bool, error) {
	_, err := r.driver.Stat(ctx, schedulerStatePath)
	if isAbsent(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the state of a pull-through cache: %w", err)
	}
	return true, nil
}

// isAbsent reports whether err says that something is not there.
func isAbsent(err error) bool { return errors.Is(err, fs.ErrNotExist) }
