package layout

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"registryfs/drivers"
	"registryfs/layout/ahead"
)

// parallel bounds the requests that one call has under way.
const parallel = 16

// TagStore is the tags of one repository.
type TagStore struct {
	p Repository
}

// Tag is a tag and what it points to.
type Tag struct {
	Name TagName
	Descriptor
	Tagged time.Time // when it was moved there
	Asked  time.Time // when the store was asked: under Listing and Reading not always now
}

// All yields the tags, in no order. A repository that is missing has none. A
// tag somebody has half removed may be among them: Get tells.
func (s TagStore) All(ctx context.Context) iter.Seq2[TagName, error] {
	return func(yield func(TagName, error) bool) {
		for info, err := range drivers.ListInfo(ahead.Whole(ctx), s.p.r.driver, tagsPath(s.p.name)) {
			if isAbsent(err) {
				return
			}
			if err != nil {
				yield("", fmt.Errorf("list tags of %s: %w", s.p.name, err))
				return
			}
			tag, err := ParseTagName(baseName(info.Path()))
			if err != nil || !info.IsDir() {
				continue
			}
			if !yield(tag, nil) {
				return
			}
		}
	}
}

// Get describes a tag. One without a current link is TagUnknownError; one whose
// link is damaged or leads nowhere has a Problem. Under Listing and Reading the
// manifest of a remote store may be one that was there earlier, and the time
// that of the link.
func (s TagStore) Get(ctx context.Context, tag TagName) (Tag, error) {
	l, err := s.current(ctx, tag)
	if err != nil {
		return Tag{}, err
	}
	desc, err := s.p.r.lead(ctx, l, s.p.r.statManifest)
	if err != nil {
		return Tag{}, fmt.Errorf("tag %s of %s: %w", tag, s.p.name, err)
	}
	return Tag{Name: tag, Descriptor: desc, Tagged: l.modTime, Asked: l.asked}, nil
}

// Digest is Get without a look at the manifest: it has no Size, and that the
// link leads nowhere is no Problem.
func (s TagStore) Digest(ctx context.Context, tag TagName) (Tag, error) {
	l, err := s.current(ctx, tag)
	if err != nil {
		return Tag{}, err
	}
	return Tag{Name: tag, Descriptor: Descriptor{Digest: l.digest, Problem: l.problem}, Tagged: l.modTime, Asked: l.asked}, nil
}

// current reads the tag's current link.
func (s TagStore) current(ctx context.Context, tag TagName) (link, error) {
	if _, err := ParseTagName(string(tag)); err != nil {
		return link{}, err
	}
	l, err := s.p.r.readLink(ctx, tagCurrentLinkPath(s.p.name, tag))
	if isAbsent(err) {
		return link{}, TagUnknownError{Repository: s.p.name, Tag: tag}
	}
	if err != nil {
		return link{}, fmt.Errorf("tag %s of %s: %w", tag, s.p.name, err)
	}
	return l, nil
}

// HistoryEntry is one manifest a tag has pointed to.
type HistoryEntry struct {
	Descriptor
	Time time.Time // when it was last tagged so
}

// History lists what the tag has pointed to: one entry per digest, sorted by
// the time of its last tagging, and what it points to now always last.
func (s TagStore) History(ctx context.Context, tag TagName) ([]HistoryEntry, error) {
	l, err := s.current(ctx, tag)
	if err != nil {
		return nil, err
	}
	records, err := s.index(ctx, tag)
	if err != nil {
		return nil, err
	}
	records = sortedHistory(records, l)
	entries := make([]HistoryEntry, len(records))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, rec := range records {
		g.Go(func() error {
			desc, err := s.p.r.follow(ctx, rec)
			entries[i] = HistoryEntry{Descriptor: desc, Time: rec.modTime}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("history of tag %s of %s: %w", tag, s.p.name, err)
	}
	return entries, nil
}

// index reads the links of the tag's index from one walk: their names say what
// is in them, and reading each would cost a request.
func (s TagStore) index(ctx context.Context, tag TagName) ([]link, error) {
	var links []link
	for info, err := range drivers.WalkInfo(ctx, s.p.r.driver, tagIndexPath(s.p.name, tag), "") {
		if isAbsent(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("history of tag %s of %s: %w", tag, s.p.name, err)
		}
		d := digestFromPath(info.Path())
		if d == "" || info.Path() != tagIndexLinkPath(s.p.name, tag, d) {
			continue
		}
		l := link{digest: d, modTime: info.ModTime()}
		if info.Size() != int64(len(d)) {
			l.problem = fmt.Errorf("link %s: %w: %w", info.Path(), ErrCorrupt, ErrLinkInvalid)
		}
		links = append(links, l)
	}
	return links, nil
}

// sortedHistory sorts an index by time and puts current last, at the time of
// its index link, so that an entry's time stays when the tag moves on.
func sortedHistory(index []link, current link) []link {
	i := slices.IndexFunc(index, func(l link) bool { return l.digest == current.digest })
	if i >= 0 {
		current.modTime = index[i].modTime
		index = slices.Delete(index, i, i+1)
	}
	slices.SortStableFunc(index, func(a, b link) int { return a.modTime.Compare(b.modTime) })
	return append(index, current)
}
