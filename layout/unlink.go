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

// maxParents is among how many revisions an index is looked for that loses a
// manifest. It is worth a line in the log and no more.
const maxParents = 1000

// Unlink removes a revision from the repository, whatever its link says; the
// blob stays. It is RevisionTaggedError while a tag points at it. An index that
// names it becomes sparse.
func (s ManifestStore) Unlink(ctx context.Context, d digest.Digest) error {
	if _, err := s.link(ctx, d); err != nil {
		return err
	}
	tags, err := s.p.Tags().pointingAt(ctx, d)
	if err != nil {
		return err
	}
	if len(tags) > 0 {
		return RevisionTaggedError{Repository: s.p.name, Digest: d, Tags: tags}
	}
	parent, err := s.p.user(ctx, d, maxParents)
	if err != nil {
		return err
	}
	err = s.p.r.driver.Delete(ctx, revisionPath(s.p.name, d))
	if isAbsent(err) {
		return ManifestUnknownError{Repository: s.p.name, Digest: d}
	}
	if err != nil {
		return fmt.Errorf("unlink manifest %s of %s: %w", d, s.p.name, err)
	}
	if parent != "" {
		s.p.r.log.Info("an index has lost a manifest", "repository", s.p.name, "index", parent, "manifest", d)
	}
	return nil
}

// pointingAt lists the tags that point at d, sorted.
func (s TagStore) pointingAt(ctx context.Context, d digest.Digest) ([]TagName, error) {
	var mu sync.Mutex // guards tags
	var tags []TagName
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	var listErr error
	for tag, err := range s.All(ctx) {
		if err != nil {
			listErr = err
			break
		}
		g.Go(func() error {
			l, err := s.current(gctx, tag)
			if isAbsent(err) {
				return nil
			}
			if err == nil && l.digest == d {
				mu.Lock()
				defer mu.Unlock()
				tags = append(tags, tag)
			}
			return err
		})
	}
	if err := errors.Join(g.Wait(), listErr); err != nil {
		return nil, err
	}
	slices.Sort(tags)
	return tags, nil
}

// Unlink removes a blob from the repository, whatever its link says; the blob
// itself stays in the store. It is BlobInUseError while a manifest of the
// repository names it.
func (s LinkedBlobStore) Unlink(ctx context.Context, d digest.Digest) error {
	if _, err := s.link(ctx, d); err != nil {
		return err
	}
	user, err := s.p.user(ctx, d, 0)
	if err != nil {
		return err
	}
	if user != "" {
		return BlobInUseError{Repository: s.p.name, Digest: d, Manifest: user}
	}
	err = s.p.r.driver.Delete(ctx, layerPath(s.p.name, d))
	if isAbsent(err) {
		return BlobUnknownError{Repository: s.p.name, Digest: d}
	}
	if err != nil {
		return fmt.Errorf("unlink blob %s of %s: %w", d, s.p.name, err)
	}
	return nil
}
