package gc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"registryfs/layout"
)

// sweepNow is a run without a registry beside it. All names go before any content,
// so that whatever ends it leaves no name without its content; and tags before what
// they are named after.
func (r *collector) sweepNow(ctx context.Context, m *mark) error {
	before := r.report.failures
	if err := r.eachShard(func(shard int) error { return r.restoreNoted(ctx, m, shard) }); err != nil {
		return err
	}
	if len(m.doubts) > 0 || r.report.failures > before {
		return nil
	}
	var held set[digest.Digest]
	err := r.eachUnreferenced(ctx, m, "remove tags", func(c candidate) error {
		r.report.update(func() { r.report.Unreferenced.add(c.size) })
		if c.isYoung(r.cutoff) && r.MinAge > 0 {
			held.add(c.digest)
			return nil
		}
		r.removeNames(ctx, c, &held, func(h heldBy) bool { return h.by == byDeadTag })
		return nil
	})
	if err != nil {
		return err
	}
	err = r.eachUnreferenced(ctx, m, "remove links", func(c candidate) error {
		if slices.ContainsFunc(c.subjectTags(), held.has) {
			held.add(c.digest)
		}
		if !held.has(c.digest) {
			r.removeNames(ctx, c, &held, func(h heldBy) bool { return h.by != byDeadTag })
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = r.eachUnreferenced(ctx, m, "delete blobs", func(c candidate) error {
		if held.has(c.digest) {
			return nil
		}
		_, err := r.delete(ctx, c)
		return err
	})
	if err != nil || r.DryRun {
		return err
	}
	return r.eachShard(func(shard int) error { return r.forgetNotes(ctx, shard, held.has) })
}

// removeNames removes some of what leads to a blob. Where that fails the blob is held.
func (r *collector) removeNames(ctx context.Context, c candidate, held *set[digest.Digest], which func(heldBy) bool) {
	for _, h := range c.held {
		if !which(h) {
			continue
		}
		if !r.removeOrFail(ctx, c, h) {
			held.add(c.digest)
		}
	}
}

// eachUnreferenced calls fn, several at once, for each blob that nobody needs.
func (r *collector) eachUnreferenced(ctx context.Context, m *mark, step string, fn func(candidate) error) error {
	var g errgroup.Group
	g.SetLimit(r.Parallel)
	done := layout.Progress{Step: step}
	var failed error
	for shard := range shards {
		failed = r.eachBlob(ctx, shard, m, func(c candidate) error {
			done.Done++
			r.progress(done)
			if !c.isNeeded() {
				g.Go(func() error { return fn(c) })
			}
			return nil
		})
		if failed != nil {
			break
		}
	}
	return errors.Join(failed, g.Wait())
}

// set may be used in parallel.
type set[T comparable] struct {
	mu sync.Mutex // guards of
	of map[T]bool
}

func (s *set[T]) add(v T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = map[T]bool{}
	}
	s.of[v] = true
}

func (s *set[T]) has(v T) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of[v]
}

// sweep removes a noted blob, after the names that no registry follows to it.
func (r *collector) sweep(ctx context.Context, c candidate) (swept bool, err error) {
	for _, h := range c.held {
		if !r.removeOrFail(ctx, c, h) {
			return false, nil
		}
	}
	return r.delete(ctx, c)
}

// delete deletes a blob to which nothing leads any more.
func (r *collector) delete(ctx context.Context, c candidate) (deleted bool, err error) {
	if !r.DryRun {
		// Noted before: a delete may have its effect and fail.
		if err := r.swept[shardOf(c.digest.Encoded())].add(c.digest.Encoded()); err != nil {
			return false, err
		}
		if err := r.reg.Blobs().Delete(ctx, c.digest); err != nil {
			r.report.fail(err)
			return false, nil
		}
	}
	r.report.update(func() { r.report.Swept.add(c.size) })
	return true, nil
}

// removeOrFail is removeHeld that tells whether it is gone, and the report why not.
func (r *collector) removeOrFail(ctx context.Context, c candidate, h heldBy) bool {
	err := r.removeHeld(ctx, c, h)
	if err != nil && !errors.Is(err, errMoved) {
		r.report.fail(err)
	}
	return err == nil
}

// removeHeld removes one file that leads to a blob. It is errMoved if that does so no
// longer.
func (r *collector) removeHeld(ctx context.Context, c candidate, h heldBy) error {
	if h.by == bySubjectTag {
		return nil // it leads elsewhere
	}
	count := &r.report.Links
	p := r.reg.Repository(h.repo)
	remove := func() error { return p.RemoveLink(ctx, h.path(r.reg, c.digest)) }
	switch h.by {
	case byHistory:
		count = &r.report.History
		remove = func() error { return p.RemoveLink(ctx, p.HistoryLink(layout.TagName(h.name), c.digest)) }
	case byDeadTag:
		count = &r.report.Tags
		remove = func() error { return r.untag(ctx, p, layout.TagName(h.name), c.digest) }
	}
	if !r.DryRun {
		if err := remove(); err != nil {
			return err
		}
	}
	r.report.update(func() { *count++ })
	return nil
}

// errMoved says that a tag points to something else by now.
var errMoved = errors.New("the tag was moved")

// untag removes a tag that points to d.
func (r *collector) untag(ctx context.Context, p layout.Repository, tag layout.TagName, d digest.Digest) error {
	t, err := p.Tags().Digest(ctx, tag)
	if err == nil && t.Digest != d {
		return errMoved
	}
	if err == nil {
		_, err = p.Tags().Untag(ctx, tag)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove tag %s of %s: %w", tag, p.Name(), err)
	}
	return nil
}
