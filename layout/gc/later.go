package gc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"registryfs/layout"
)

// sweepLater is a run beside a live registry: what is unreferenced is noted and its
// links are removed; what was noted MinAge ago, and has got no new one, is swept.
func (r *collector) sweepLater(ctx context.Context, m *mark) error {
	if len(m.doubts) > 0 {
		return r.eachShard(func(shard int) error { return r.restoreNoted(ctx, m, shard) })
	}
	if err := r.eachShard(func(shard int) error { return r.plan(ctx, m, shard) }); err != nil {
		return err
	}
	if r.OnlyNote != nil && r.report.Unreferenced.Files > 0 {
		r.report.update(func() { r.report.Held = append(r.report.Held, r.OnlyNote) })
	}
	if r.DryRun {
		return nil
	}
	a := &actor{collector: r}
	defer a.close()
	for shard := range shards {
		if err := a.shard(ctx, shard); err != nil {
			return err
		}
	}
	if !a.changed {
		return nil
	}
	return r.lookAgain(ctx)
}

// eachShard calls fn for each shard, several at once.
func (r *collector) eachShard(fn func(shard int) error) error {
	var g errgroup.Group
	g.SetLimit(r.Parallel)
	for shard := range shards {
		g.Go(func() error { return fn(shard) })
	}
	return g.Wait()
}

// plan brings the notes of a shard up to date with what was seen. Links that are
// missed are put back; those that are to go are written down before.
func (r *collector) plan(ctx context.Context, m *mark, shard int) error {
	old, err := r.readNotes(ctx, shard)
	if err != nil {
		return err
	}
	noted := make(map[string]*note, len(old))
	for _, n := range old {
		noted[n.Hex] = n
	}
	var next notes
	err = r.eachBlob(ctx, shard, m, func(c candidate) error {
		n := noted[c.digest.Encoded()]
		switch {
		case c.isNeeded():
			if n == nil || !r.DryRun && r.restore(ctx, n, c.needed, c.held) {
				return nil
			}
		case c.isLinked() && c.isYoung(r.cutoff):
			r.report.update(func() { r.report.Unreferenced.add(c.size) })
			if n != nil {
				n.Since = time.Time{}
			}
		case c.isLinked(), n == nil:
			r.report.update(func() { r.report.Unreferenced.add(c.size) })
			if c.isYoung(r.cutoff) {
				break
			}
			if n == nil {
				n = &note{Hex: c.digest.Encoded()}
			}
			n.Since, n.Size = time.Time{}, c.size
			n.willRemove(c.held)
			if r.DryRun {
				r.report.update(func() { r.report.Noted.add(c.size) })
			}
		default:
			r.report.update(func() {
				r.report.Unreferenced.add(c.size)
				switch {
				case !r.isDue(n) || len(c.subjectTags()) > 0:
					r.report.Waiting.add(c.size)
				case r.DryRun && r.OnlyNote == nil:
					r.report.Swept.add(c.size)
				}
			})
		}
		if n != nil {
			next = append(next, n)
		}
		return nil
	})
	if err != nil || r.DryRun || len(old) == 0 && len(next) == 0 {
		return err
	}
	return r.writeNotes(ctx, shard, next)
}

// isDue reports whether the links of a noted blob are gone for long enough.
func (r *collector) isDue(n *note) bool { return !n.Since.IsZero() && !n.Since.After(r.cutoff) }

// actor removes what the notes say, as long as what it has seen is fresh.
type actor struct {
	*collector
	seen    *mark
	changed bool // something was removed
}

func (a *actor) close() {
	if a.seen != nil {
		a.seen.close()
	}
}

// look looks again if the last look is not fresh.
func (a *actor) look(ctx context.Context) error {
	if a.seen != nil && time.Since(a.seen.begun) < a.window {
		return nil
	}
	a.close()
	a.seen = nil
	m, err := a.mark(ctx, "look again at all links")
	if err != nil {
		return err
	}
	a.seen = m
	if err := a.locked(ctx); err != nil {
		return err
	}
	if a.window > 0 {
		a.window = max(a.window, 2*time.Since(m.begun))
	}
	return nil
}

// shard does all there is to do about a shard.
func (a *actor) shard(ctx context.Context, shard int) error {
	all, err := a.readNotes(ctx, shard)
	if err != nil {
		return err
	}
	var todo notes
	for _, n := range all {
		if n.Since.IsZero() || a.isDue(n) && a.OnlyNote == nil {
			todo = append(todo, n)
		}
	}
	if len(todo) == 0 {
		return nil
	}
	gone := map[*note]bool{}
	for len(todo) > 0 {
		if err := a.look(ctx); err != nil {
			return err
		}
		if len(a.seen.doubts) > 0 {
			a.report.update(func() { a.report.Held = append(a.report.Held, a.seen.doubts...) })
			break
		}
		done, err := a.some(ctx, shard, todo, gone)
		if err != nil {
			return err
		}
		todo = todo[done:]
	}
	all = slices.DeleteFunc(all, func(n *note) bool { return gone[n] })
	return a.writeNotes(ctx, shard, all)
}

// some does what there is time for, and returns of how many.
func (a *actor) some(ctx context.Context, shard int, todo notes, gone map[*note]bool) (int, error) {
	t := a.seen.matcher(shard)
	var g errgroup.Group
	g.SetLimit(a.Parallel)
	swept := make([]bool, len(todo))
	done := 0
	var failed error
	for i, n := range todo {
		if i > 0 && time.Since(a.seen.begun) > a.window {
			break
		}
		if failed = ctx.Err(); failed != nil {
			break
		}
		c := candidate{digest: n.digest(), size: n.Size, written: a.cutoff.Add(-1)} // it was old when it was noted
		if failed = t.match(&c); failed != nil {
			break
		}
		done++
		switch {
		case c.isNeeded(), c.isLinked() && c.isYoung(a.cutoff):
			n.Since = time.Time{} // and the next run will see
		case n.Since.IsZero():
			a.changed = true
			g.Go(func() error {
				a.unlink(ctx, n, c)
				return nil
			})
		case c.isLinked():
			n.Since = time.Time{}
		case len(c.subjectTags()) > 0: // they go first
		default:
			a.changed = true
			g.Go(func() (err error) {
				swept[i], err = a.sweep(ctx, c)
				return err
			})
		}
	}
	err := g.Wait()
	for i, n := range todo {
		if swept[i] {
			gone[n] = true
		}
	}
	if failed == nil {
		failed = err
	}
	return done, failed
}

// unlink removes the links to a noted blob. Only links that were noted before go.
func (r *collector) unlink(ctx context.Context, n *note, c candidate) {
	for _, h := range c.held {
		if !h.isLink() {
			continue
		}
		if !slices.Contains(n.Links, noteLink{Repository: h.repo, Manifest: h.by == byRevision, Name: h.name}) {
			return
		}
		if err := r.removeHeld(ctx, c, h); err != nil {
			r.report.fail(err)
			return
		}
	}
	n.Since = r.now.Add(time.Since(r.begun))
	r.report.update(func() { r.report.Noted.add(c.size) })
}

// lookAgain looks at what was pushed meanwhile. Links that are missed are put back,
// and what is missed and swept is reported.
func (r *collector) lookAgain(ctx context.Context) error {
	m, err := r.mark(ctx, "look for losses")
	if err != nil {
		return err
	}
	defer m.close()
	for _, err := range m.doubts {
		r.report.fail(fmt.Errorf("what was pushed meanwhile could not all be looked at: %w", err))
	}
	return r.eachShard(func(shard int) error {
		if err := r.findLosses(ctx, m, shard); err != nil {
			return err
		}
		return r.restoreNoted(ctx, m, shard)
	})
}

// findLosses reports what was swept, is wanted and has not come back.
func (r *collector) findLosses(ctx context.Context, m *mark, shard int) error {
	t := m.matcher(shard)
	for hex, err := range r.swept[shard].all() {
		if err != nil {
			return err
		}
		c := candidate{digest: digest.NewDigestFromEncoded(digest.SHA256, hex)}
		if err := t.match(&c); err != nil {
			return err
		}
		var where []layout.RepositoryName
		where = append(where, c.needed...)
		for _, h := range c.held {
			if h.isLink() {
				where = append(where, h.repo)
			}
		}
		if len(where) == 0 {
			continue
		}
		_, err := r.reg.Blobs().Stat(ctx, c.digest)
		if err == nil {
			continue // it was uploaded after it had gone
		}
		if !errors.Is(err, fs.ErrNotExist) {
			r.report.fail(fmt.Errorf("look for what was pushed while it was swept: %w", err))
		}
		slices.Sort(where)
		for _, repo := range slices.Compact(where) {
			r.report.lose(fmt.Sprintf("%s@%s", repo, c.digest))
		}
	}
	return nil
}
