package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"

	"golang.org/x/sys/unix"

	"registryfs/drivers"
	"registryfs/layout/blobcache"
)

const (
	// defaultMemory is what a mount may use for reading ahead and for writing.
	defaultMemory = 256 << 20
	// restMemory is what the rest of the process may take beside that before
	// the collector works harder; the figure that users see is 64 MB.
	restMemory = 48 << 20

	// cacheNone is the --cache-dir of a mount without a cache.
	cacheNone        = "none"
	defaultCacheSize = 10 << 30
)

// network is what a store over a network is given to be fast with.
type network struct {
	memory *drivers.Budget
	cache  *blobcache.Cache // nil: none
}

// openNetwork opens the cache. One that nobody asked for is done without where
// it cannot be had.
func (o *options) openNetwork(memory *drivers.Budget, log *slog.Logger) (*network, error) {
	n := &network{memory: memory}
	limitMemory(memory)
	if o.cacheDir == "" || o.cacheDir == cacheNone {
		return n, nil
	}
	cache, err := blobcache.Open(o.cacheDir, o.cacheSize, log)
	standard, _ := defaultCacheDir() // an error is no directory
	if err != nil && o.cacheDir == standard {
		log.Warn("blobs that were read are not kept", "reason", err)
		return n, nil
	}
	n.cache = cache
	return n, err
}

// close ends what goes on in the background.
func (n *network) close() error {
	if n == nil || n.cache == nil {
		return nil
	}
	return n.cache.Close()
}

// stats are lines of .registryfs/stats.
func (s store) stats(line func(name string, value any)) {
	calls := s.calls.Stats()
	for _, m := range calls.Methods {
		if m.Calls.Count > 0 {
			line("driver_"+m.Name, m.Calls.Count)
		}
	}
	line("driver_read_bytes", calls.ReadBytes)
	line("driver_written_bytes", calls.WrittenBytes)
	requests := s.calls.Requests()
	for _, kind := range slices.Sorted(maps.Keys(requests)) {
		line("request_"+kind, requests[kind])
	}
	s.network.stats(line)
}

// stats are those of what a store over a network is given.
func (n *network) stats(line func(name string, value any)) {
	if n == nil {
		return
	}
	use := n.memory.Snapshot()
	line("memory_bytes", use.Size)
	line("memory_used_bytes", use.Used)
	line("memory_waiting", use.Waiting)
	if n.cache == nil {
		return
	}
	c := n.cache.Stats()
	line("cache_hits", c.Hits)
	line("cache_misses", c.Misses)
	line("cache_served_bytes", c.ServedBytes)
	line("cache_filled_bytes", c.FilledBytes)
	line("cache_used_bytes", c.UsedBytes)
	line("cache_evicted", c.Evicted)
	line("cache_damaged", c.Damaged)
	line("cache_failures", c.Failures)
}

// budget is the memory that all that reads ahead and writes shares.
func (o *options) budget() *drivers.Budget {
	if o.memory == 0 {
		return drivers.NewBudget(defaultMemory)
	}
	return drivers.NewBudget(o.memory)
}

// withMemory is params with the budget, which a driver over a network takes its
// buffers from. No configuration can set it.
func withMemory(params map[string]any, b *drivers.Budget) map[string]any {
	all := map[string]any{"memory": b}
	for name, value := range params {
		if name != "memory" {
			all[name] = value
		}
	}
	return all
}

// knock makes the first request of a mount. To wait minutes for a store that is
// about to come back is right for a mount that is in use, but not for a user who
// has mistyped an address. It is for a listing, whose refusal has the reason in
// it, unlike that of a HEAD.
func knock(ctx context.Context, s store, log *slog.Logger) error {
	params := maps.Clone(s.params)
	params["retries"], params["timeout"] = 2, "10s"
	driver, err := drivers.Create(ctx, s.driver, params)
	if err != nil {
		return err
	}
	for _, err := range drivers.WalkInfo(ctx, driver, "/"+registryTree, "") {
		if errors.Is(err, fs.ErrNotExist) {
			log.Warn("there is no registry in the store yet", "store", s.source, "missing", registryTree)
			return nil
		}
		return withoutDriver(err)
	}
	return nil
}

// withoutDriver leaves out the driver's name, which the store's says too.
func withoutDriver(err error) error {
	var e drivers.Error
	if errors.As(err, &e) {
		return e.Detail
	}
	return err
}

// limitMemory keeps garbage from doubling what the budget allows: the buffers
// it counts are most of the heap. GOMEMLIMIT has the last word.
func limitMemory(b *drivers.Budget) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(b.Size() + restMemory)
	}
}

// chooseCache goes without a cache where there is no place for it: what is read
// twice is then fetched twice.
func (m mounting) chooseCache() {
	if m.cacheDir == "" {
		dir, err := defaultCacheDir()
		if err != nil {
			m.log.Warn("no place for blobs that were read: use --cache-dir", "reason", err)
			dir = cacheNone
		}
		m.cacheDir = dir
	}
	if m.cacheSize == 0 && m.cacheDir != cacheNone {
		m.cacheSize = cacheSizeFor(m.cacheDir)
	}
}

// defaultCacheDir is where this user's mounts keep what they have read.
func defaultCacheDir() (string, error) {
	dir, err := userDir("XDG_CACHE_HOME", ".cache")
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, "registryfs")
	return dir, os.MkdirAll(dir, 0o700)
}

// cacheSizeFor is the default of --cache-size on the disk that dir is on.
func cacheSizeFor(dir string) int64 {
	var st unix.Statfs_t
	for errors.Is(unix.Statfs(dir, &st), unix.ENOENT) && dir != "/" {
		dir = filepath.Dir(dir)
	}
	if st.Blocks == 0 {
		return defaultCacheSize
	}
	return min(defaultCacheSize, int64(st.Blocks/10)*st.Bsize)
}
