package copier

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

// tag is one tag of the source.
type tag struct {
	name    layout.TagName
	current layout.File   // without a Path if there is none, or it is damaged
	index   []layout.File // what it has pointed to
}

// addToTag takes in one link of a tag.
func (r *repository) addToTag(f layout.File) {
	t := r.tags[f.Tag]
	if t == nil {
		t = &tag{name: f.Tag}
		r.tags[f.Tag] = t
	}
	switch {
	case f.Problem != nil:
	case f.Kind == layout.FileTagCurrent:
		t.current = f
	default:
		t.index = append(t.index, f)
	}
}

// checkTags leaves those tags whose closure is in the destination, or can be.
// Tags that are there as they are were checked when they were put.
func (r *repository) checkTags(ctx context.Context) error {
	users := r.newManifests()
	for name, t := range r.tags {
		if t.current.Path == "" {
			delete(r.tags, name)
			r.count(func(r *Report) { r.LeftOut++ })
			continue
		}
		if have, ok := r.there[t.current.Path]; !ok || have.Target != t.current.Target {
			users[t.current.Target] = append(users[t.current.Target], name)
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.Parallel)
	for d, names := range users {
		g.Go(func() error {
			err := r.complete(ctx, d)
			if err == nil {
				err = r.addEntries(ctx, d, names)
			}
			if ctx.Err() != nil || err != nil && !isOfSource(err) {
				return err
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.whole[d] = err
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for d, names := range users {
		err := r.whole[d]
		if err == nil {
			continue
		}
		slices.Sort(names)
		for _, name := range names {
			delete(r.tags, name)
			r.problem(fmt.Errorf("tag %s:%s is left out: %w", r.Name(), name, err))
		}
	}
	return nil
}

// newManifests are those that the destination does not have: they may have been
// pushed since the links that they need were listed, and so may those that only the
// history of a tag has. No tag has to need them, and it is no problem if the source
// lacks a part of them.
func (r *repository) newManifests() map[digest.Digest][]layout.TagName {
	found := make(map[digest.Digest][]layout.TagName)
	add := func(f layout.File) {
		if _, ok := r.there[f.Path]; !ok {
			found[f.Name] = nil
		}
	}
	for name, l := range r.links {
		if name.kind == layout.FileRevision && l.leads {
			add(l.File)
		}
	}
	for _, t := range r.tags {
		for _, f := range t.index {
			if r.links[linkName{layout.FileRevision, f.Name}] == nil {
				add(f)
			}
		}
	}
	return found
}

// addEntries takes in the entries of manifest d in the history of tags that were
// moved to it since their history was listed.
func (r *repository) addEntries(ctx context.Context, d digest.Digest, tags []layout.TagName) error {
	for _, name := range tags {
		t := r.tags[name]
		if slices.ContainsFunc(t.index, func(f layout.File) bool { return f.Name == d }) {
			continue
		}
		f, err := r.ReadHistoryLink(ctx, name, d)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return layout.SourceError{Err: err}
		case f.Problem == nil:
			t.index = append(t.index, f)
		}
	}
	return nil
}

// complete sees to it that the destination has what manifest d needs. What the
// source lacks of it is a layout.SourceError.
func (r *repository) complete(ctx context.Context, d digest.Digest) error {
	l, err := r.need(ctx, layout.FileRevision, d)
	if err != nil {
		return fmt.Errorf("manifest %s %w", d, err)
	}
	parts, err := r.from.Parts(ctx, l.Target)
	if err != nil {
		return layout.SourceError{Err: err}
	}
	for _, b := range parts.Blobs {
		if _, err := r.need(ctx, layout.FileLayer, b.Digest); err != nil && !(b.Elsewhere && isOfSource(err)) {
			return fmt.Errorf("manifest %s names %s, which %w", d, b.Digest, err)
		}
	}
	for _, child := range parts.Children {
		_, err := r.find(ctx, layout.FileRevision, child.Digest)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the index is sparse
		}
		if err == nil {
			err = r.complete(ctx, child.Digest)
		}
		if err != nil {
			return fmt.Errorf("index %s: %w", d, err)
		}
	}
	return nil
}

// need is find for what must lead somewhere.
func (r *repository) need(ctx context.Context, kind layout.FileKind, d digest.Digest) (*link, error) {
	l, err := r.find(ctx, kind, d)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, layout.SourceError{Err: errors.New("the repository has no link to: put it there again, or run registryfs check --repair")}
	case err != nil:
		return nil, fmt.Errorf("cannot be looked for: %w", err)
	case !l.leads:
		return nil, layout.SourceError{Err: errors.New("is missing or damaged in the source: put it there again")}
	}
	return l, nil
}

// putTags writes the tags: of each the entries of its index in the order of their
// times, then what it points to.
func (r *repository) putTags(ctx context.Context) error {
	var batches [][]layout.File
	moved := 0
	for _, t := range r.tags {
		links := r.entries(t)
		if !r.isThere(t.current) {
			links = append(links, t.current)
			moved++
		}
		last := len(batches) - 1
		switch {
		case len(links) == 0:
		case last >= 0 && len(batches[last])+len(links) <= r.batch():
			batches[last] = append(batches[last], links...)
		default:
			batches = append(batches, links)
		}
	}
	if err := r.put(ctx, batches); err != nil {
		return err
	}
	r.count(func(r *Report) { r.Tags += moved })
	return nil
}

// entries are what is to be written of a tag's index. In a store that gives each
// the time at which it is put, the order is that of the writing: so what comes
// after a new entry is put again.
func (r *repository) entries(t *tag) []layout.File {
	slices.SortStableFunc(t.index, func(a, b layout.File) int { return a.ModTime.Compare(b.ModTime) })
	var links []layout.File
	var last time.Time
	for _, f := range t.index {
		have := r.there[f.Path].ModTime
		if r.isThere(f) && (!r.to.IsRemote() || len(links) == 0 && !have.Before(last)) {
			last = have
			continue
		}
		links = append(links, f)
	}
	return links
}

// sameTime compares what stores that keep no more than seconds can tell.
func sameTime(a, b time.Time) bool {
	return b.IsZero() || a.Truncate(time.Second).Equal(b.Truncate(time.Second))
}
