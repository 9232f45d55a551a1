package layout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

// user finds a manifest of the repository that names d, or "" if there is none
// among the first most (0: among all). What manifests name is cached, so asking
// again and again costs a listing.
func (p Repository) user(ctx context.Context, d digest.Digest, most int) (digest.Digest, error) {
	algs, err := p.Manifests().Algorithms(ctx)
	if err != nil {
		return "", err
	}
	var mu sync.Mutex // guards found
	var found digest.Digest
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	count := 0
	list := func() error {
		for _, alg := range algs {
			for hex, err := range p.Manifests().All(ctx, alg) {
				if err != nil {
					return err
				}
				if count++; most > 0 && count > most {
					return nil
				}
				g.Go(func() error {
					m := digest.NewDigestFromEncoded(alg, hex)
					refs, err := p.references(ctx, m)
					if err != nil {
						return fmt.Errorf("what manifest %s names: %w", m, err)
					}
					if slices.Contains(refs, d) {
						mu.Lock()
						defer mu.Unlock()
						found = m
						return errFound
					}
					return nil
				})
			}
		}
		return nil
	}
	listErr := list()
	err = g.Wait()
	if errors.Is(err, errFound) {
		return found, nil
	}
	return "", errors.Join(err, listErr)
}

var errFound = errors.New("found")

// references lists what the revision m names, nothing if it cannot be read.
func (p Repository) references(ctx context.Context, m digest.Digest) ([]digest.Digest, error) {
	if refs, ok := p.r.cache.references.get(m); ok {
		return refs, nil
	}
	content, err := p.r.readBlob(ctx, m)
	if isAbsent(err) {
		// A link under another name than its own.
		content, err = p.Manifests().Get(ctx, m)
	}
	if isAbsent(err) || errors.Is(err, ErrCorrupt) || errors.Is(err, ErrTooLarge) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	refs := referencesOf(content)
	if m.Algorithm().FromBytes(content) == m {
		p.r.cache.references.put(m, refs, entryCost+len(refs)*2*len(m))
	}
	return refs, nil
}
