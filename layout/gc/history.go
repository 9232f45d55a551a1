package gc

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// former is what a tag has pointed to before, with the time of each, the newest
// first.
func (c *repository) former(tag layout.TagName) []layout.File {
	var entries []layout.File
	for _, f := range c.history[tag] {
		if f.Name != c.tags[tag].Target {
			entries = append(entries, f)
		}
	}
	slices.SortStableFunc(entries, func(a, b layout.File) int { return b.ModTime.Compare(a.ModTime) })
	return entries
}

// lately is what tags have pointed to within MinAge: somebody may be pulling it.
func (r *collector) lately(c *repository) []digest.Digest {
	if r.MinAge == 0 {
		return nil
	}
	var found []digest.Digest
	for tag, f := range c.tags {
		until := f.ModTime // when it moved on
		for _, e := range c.former(tag) {
			if olderThan(until, r.cutoff) {
				break
			}
			found = append(found, e.Name)
			until = e.ModTime
		}
	}
	return found
}

// keptHistory is the newest KeepHistory manifests that each tag has pointed to
// before. Where nothing tells which those are, all are kept.
func (r *collector) keptHistory(ctx context.Context, c *repository) []digest.Digest {
	if r.KeepHistory == 0 {
		return nil
	}
	var kept []digest.Digest
	for tag := range c.tags {
		entries := c.former(tag)
		times := make([]time.Time, len(entries))
		for i, e := range entries {
			times[i] = e.ModTime
		}
		if r.ByCreated {
			times = r.sortCreated(ctx, entries)
		}
		n := r.KeepHistory
		if n < len(entries) && (slices.ContainsFunc(times, time.Time.IsZero) || times[n-1].Equal(times[n])) {
			c.told = append(c.told, fmt.Errorf("all of the history of %s:%s is kept: the times of its entries do not tell the newest %d: %s",
				c.name, tag, n, r.historyRemedy()))
			n = len(entries)
		}
		for _, e := range entries[:min(n, len(entries))] {
			kept = append(kept, e.Name)
		}
	}
	return kept
}

func (r *collector) historyRemedy() string {
	if r.ByCreated {
		return "remove what is not wanted from it by hand"
	}
	return "--order=created goes by when the images were made"
}

// sortCreated sorts entries by when their images were made, the newest first, and
// returns those times. One that does not tell comes last, with the zero time.
func (r *collector) sortCreated(ctx context.Context, entries []layout.File) []time.Time {
	created := map[digest.Digest]time.Time{}
	for _, e := range entries {
		desc, err := r.reg.Describe(ctx, e.Name)
		if err != nil {
			continue
		}
		if t, err := time.Parse(time.RFC3339Nano, desc.Created); err == nil {
			created[e.Name] = t
		}
	}
	slices.SortStableFunc(entries, func(a, b layout.File) int { return created[b.Name].Compare(created[a.Name]) })
	times := make([]time.Time, len(entries))
	for i, e := range entries {
		times[i] = created[e.Name]
	}
	return times
}
