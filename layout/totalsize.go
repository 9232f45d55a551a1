package layout

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

// TotalSize is how many bytes a manifest stands for: its own, those of the
// manifests below it, and those that all of them give for their configs and
// layers, each counted once. A child that is not there or cannot be read counts
// with the size that the index gives. The manifest itself is
// ManifestUnknownError, ErrCorrupt or ErrTooLarge then.
func (r *Registry) TotalSize(ctx context.Context, manifest digest.Digest) (int64, error) {
	if n, ok := r.cache.totals.get(manifest); ok {
		return n, nil
	}
	sizes := make(map[digest.Digest]int64)
	whole := true
	for level := []Part{{Digest: manifest}}; len(level) > 0; {
		found, all, err := r.partsOfEach(ctx, level, level[0].Digest != manifest)
		if err != nil {
			return 0, fmt.Errorf("size of manifest %s: %w", manifest, err)
		}
		whole = whole && all
		var below []Part
		for i, parts := range found {
			sizes[level[i].Digest] = parts.Size
			for _, blob := range parts.Blobs {
				sizes[blob.Digest] = blob.Size
			}
			for _, child := range parts.Children {
				if _, seen := sizes[child.Digest]; !seen {
					sizes[child.Digest] = child.Size
					below = append(below, child)
				}
			}
		}
		level = below
	}
	var total int64
	for _, n := range sizes {
		total += max(0, min(n, math.MaxInt64-total)) // what a manifest gives may be anything
	}
	if whole {
		r.cache.totals.put(manifest, total, entryCost)
	}
	return total, nil
}

// partsOfEach reads manifests. If they may be missing, all tells that none was.
func (r *Registry) partsOfEach(ctx context.Context, named []Part, mayMiss bool) (found []Parts, all bool, err error) {
	found = make([]Parts, len(named))
	var missing atomic.Bool
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, part := range named {
		g.Go(func() error {
			content, err := r.readSmall(ctx, part.Digest)
			switch {
			case mayMiss && (isAbsent(err) || errors.Is(err, ErrCorrupt) || errors.Is(err, ErrTooLarge)):
				missing.Store(true)
				found[i].Size = part.Size
				return nil
			case isAbsent(err):
				return ManifestUnknownError{Digest: part.Digest}
			case err != nil:
				return err
			}
			if found[i], err = partsOf(content); err != nil {
				found[i] = Parts{Size: int64(len(content))}
			}
			return nil
		})
	}
	err = g.Wait()
	return found, !missing.Load(), err
}
