package blobcache

import "sync/atomic"

type counters struct {
	hits, misses, served, filled, dropped atomic.Int64
	evicted, evictedBytes                 atomic.Int64
	damaged, bad, failures                atomic.Int64
}

// Stats is what a Cache has done since it was opened.
type Stats struct {
	Hits, Misses          int64 // reads, and files handed out, of which no read is seen
	ServedBytes           int64 // by hits
	FilledBytes           int64 // written
	DroppedBytes          int64 // left out for lack of time or room
	UsedBytes             int64 // of the disk, by all processes
	Evicted, EvictedBytes int64 // blobs, and their bytes
	Damaged               int64 // blocks and blobs that had changed on disk
	Bad                   int64 // blobs that the store sent wrong
	Failures              int64 // errors of writing
}

// Stats reports what the cache has done.
func (c *Cache) Stats() Stats {
	if c == nil {
		return Stats{}
	}
	s := &c.stats
	c.usage.mu.Lock()
	used := c.usage.used
	c.usage.mu.Unlock()
	return Stats{
		Hits: s.hits.Load(), Misses: s.misses.Load(), ServedBytes: s.served.Load(),
		FilledBytes: s.filled.Load(), DroppedBytes: s.dropped.Load(), UsedBytes: used,
		Evicted: s.evicted.Load(), EvictedBytes: s.evictedBytes.Load(),
		Damaged: s.damaged.Load(), Bad: s.bad.Load(), Failures: s.failures.Load(),
	}
}
