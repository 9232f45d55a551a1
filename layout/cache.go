package layout

import (
	"time"

	"github.com/opencontainers/go-digest"
)

const (
	cacheBytes  = 16 << 20
	servedCount = 10_000
	servedFrom  = 16 // repositories remembered of one manifest

	// existenceTTL is how long a blob is taken to be there still. It saves the
	// second Stat of a listing in which several tags point at one manifest.
	existenceTTL = 2 * time.Second

	// entryCost is what an entry of the cache costs besides its bytes.
	entryCost = 256
)

// cache keeps what a digest decides, and for a moment that the blob was there.
// Nothing in it can be wrong, only gone from the store.
type cache struct {
	content      *lru[digest.Digest, []byte]
	stats        *lru[digest.Digest, blobStat]
	references   *lru[digest.Digest, []digest.Digest]
	descriptions *lru[digest.Digest, Description]
	totals       *lru[digest.Digest, int64]
}

// blobStat is a blob as it was seen.
type blobStat struct {
	size    int64
	modTime time.Time
	seen    time.Time
}

func newCache() *cache {
	return &cache{
		content:      newLRU[digest.Digest, []byte](cacheBytes / 2),
		stats:        newLRU[digest.Digest, blobStat](cacheBytes / 8),
		references:   newLRU[digest.Digest, []digest.Digest](cacheBytes / 4),
		descriptions: newLRU[digest.Digest, Description](cacheBytes / 16),
		totals:       newLRU[digest.Digest, int64](cacheBytes / 16),
	}
}

func (c *cache) stat(d digest.Digest) (blobStat, bool) {
	s, ok := c.stats.get(d)
	return s, ok && time.Since(s.seen) < existenceTTL
}

func (c *cache) putStat(d digest.Digest, s blobStat) {
	c.stats.put(d, s, entryCost)
}

// forget drops what a change of the blob makes doubtful.
func (c *cache) forget(d digest.Digest) {
	c.stats.forget(d)
	c.content.forget(d)
}

// served remembers which repositories a manifest was read from.
type served struct {
	from *lru[digest.Digest, []RepositoryName]
}

func newServed() *served {
	return &served{newLRU[digest.Digest, []RepositoryName](servedCount)}
}

func (s *served) add(repo RepositoryName, d digest.Digest) {
	s.from.update(d, func(old []RepositoryName, _ bool) ([]RepositoryName, int) {
		names := make([]RepositoryName, 0, len(old)+1)
		names = append(names, repo)
		for _, n := range old {
			if n != repo && len(names) < servedFrom {
				names = append(names, n)
			}
		}
		return names, len(names)
	})
}

func (s *served) sources(d digest.Digest) []RepositoryName {
	names, _ := s.from.get(d)
	return names
}
