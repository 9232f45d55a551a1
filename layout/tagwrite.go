package layout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
)

// lock takes the tag for a change. It is held across driver calls: the index
// link and the current link of one change belong together, and who must be the
// first has to know that nobody else is.
func (s TagStore) lock(ctx context.Context, tag TagName) (unlock func(), err error) {
	if _, err := ParseTagName(string(tag)); err != nil {
		return nil, err
	}
	return s.p.r.tags.lock(ctx, tagPath(s.p.name, tag))
}

// Set points the tag at d without asking whether that is there.
func (s TagStore) Set(ctx context.Context, tag TagName, d digest.Digest) error {
	if err := d.Validate(); err != nil {
		return fmt.Errorf("tag %s of %s: %w: %q", tag, s.p.name, ErrDigestInvalid, d)
	}
	unlock, err := s.lock(ctx, tag)
	if err != nil {
		return err
	}
	defer unlock()
	l, err := s.current(ctx, tag)
	if err != nil && !isAbsent(err) {
		return err
	}
	if l.digest == d {
		return nil
	}
	return s.set(ctx, tag, d)
}

func (s TagStore) set(ctx context.Context, tag TagName, d digest.Digest) error {
	err := drivers.PutContents(ctx, s.p.r.driver, []drivers.Content{
		linkContent(tagIndexLinkPath(s.p.name, tag, d), d),
		linkContent(tagCurrentLinkPath(s.p.name, tag), d),
	})
	if err != nil {
		return fmt.Errorf("set tag %s of %s: %w", tag, s.p.name, err)
	}
	return nil
}

// SetModTime sets when the tag was set, where the store can.
func (s TagStore) SetModTime(ctx context.Context, tag TagName, t time.Time) error {
	if _, err := ParseTagName(string(tag)); err != nil {
		return err
	}
	err := drivers.Chtimes(ctx, s.p.r.driver, tagCurrentLinkPath(s.p.name, tag), t)
	if isAbsent(err) {
		return TagUnknownError{Repository: s.p.name, Tag: tag}
	}
	if err != nil {
		return fmt.Errorf("set time of tag %s of %s: %w", tag, s.p.name, err)
	}
	return nil
}

// Untagged is all there was of a tag, for Restore.
type Untagged struct {
	Tag     TagName
	Digest  digest.Digest // what it pointed to; "" if its link was damaged
	Tagged  time.Time
	current []byte // the link's bytes
	history []link // sorted, with the current one
}

// Untag removes the tag and its history. The manifest stays.
func (s TagStore) Untag(ctx context.Context, tag TagName) (Untagged, error) {
	unlock, err := s.lock(ctx, tag)
	if err != nil {
		return Untagged{}, err
	}
	defer unlock()
	u, err := s.untagged(ctx, tag)
	if err != nil {
		return Untagged{}, err
	}
	return u, s.remove(ctx, tag)
}

// untagged reads all there is of a tag.
func (s TagStore) untagged(ctx context.Context, tag TagName) (Untagged, error) {
	l, err := s.current(ctx, tag)
	if err != nil {
		return Untagged{}, err
	}
	index, err := s.index(ctx, tag)
	if err != nil {
		return Untagged{}, err
	}
	return Untagged{
		Tag:     tag,
		Digest:  l.digest,
		Tagged:  l.modTime,
		current: l.raw,
		history: sortedHistory(index, l),
	}, nil
}

func (s TagStore) remove(ctx context.Context, tag TagName) error {
	err := s.p.r.driver.Delete(ctx, tagPath(s.p.name, tag))
	if isAbsent(err) {
		return TagUnknownError{Repository: s.p.name, Tag: tag}
	}
	if err != nil {
		return fmt.Errorf("remove tag %s of %s: %w", tag, s.p.name, err)
	}
	return nil
}

// Restore puts back what Untag has removed, times included where the store can.
// It is fs.ErrExist if the tag has been set meanwhile.
func (s TagStore) Restore(ctx context.Context, u Untagged) error {
	unlock, err := s.lock(ctx, u.Tag)
	if err != nil {
		return err
	}
	defer unlock()
	l, err := s.current(ctx, u.Tag)
	if err != nil && !isAbsent(err) {
		return err
	}
	isBack := err == nil && bytes.Equal(l.raw, u.current) // by a try that failed later
	if err == nil && !isBack {
		return fmt.Errorf("restore tag %s of %s: %w", u.Tag, s.p.name, fs.ErrExist)
	}
	if err := s.writeHistory(ctx, u.Tag, u, nil); err != nil {
		return err
	}
	path := tagCurrentLinkPath(s.p.name, u.Tag)
	if !isBack {
		if err := drivers.PutContentIfAbsent(ctx, s.p.r.driver, path, u.current); err != nil {
			return fmt.Errorf("restore tag %s of %s: %w", u.Tag, s.p.name, err)
		}
	}
	return s.restoreTime(ctx, path, u.Tagged)
}

// Rename makes new point where old does, replacing it, and removes old, in this
// order. What old has pointed to before joins new's history.
func (s TagStore) Rename(ctx context.Context, old, new TagName) error {
	if old == new {
		_, err := s.current(ctx, old)
		return err
	}
	for _, tag := range []TagName{min(old, new), max(old, new)} {
		unlock, err := s.lock(ctx, tag)
		if err != nil {
			return err
		}
		defer unlock()
	}
	u, err := s.untagged(ctx, old)
	if err != nil {
		return err
	}
	index, err := s.index(ctx, new)
	if err != nil {
		return err
	}
	if err := s.writeHistory(ctx, new, u, index); err != nil {
		return err
	}
	path := tagCurrentLinkPath(s.p.name, new)
	if err := s.p.r.driver.PutContent(ctx, path, u.current); err != nil {
		return fmt.Errorf("rename tag %s of %s: %w", old, s.p.name, err)
	}
	if err := s.restoreTime(ctx, path, u.Tagged); err != nil {
		return err
	}
	return s.remove(ctx, old)
}

// writeHistory writes the index links of what u has pointed to, the current one
// last, but none that is younger in the index already.
func (s TagStore) writeHistory(ctx context.Context, tag TagName, u Untagged, index []link) error {
	newest := make(map[digest.Digest]time.Time, len(index))
	for _, l := range index {
		newest[l.digest] = l.modTime
	}
	var files []drivers.Content
	var times []time.Time
	for _, l := range u.history {
		if l.digest == "" {
			continue // a damaged current link; the others are named by their digest
		}
		if t, ok := newest[l.digest]; ok && l.digest != u.Digest && !t.Before(l.modTime) {
			continue
		}
		files = append(files, linkContent(tagIndexLinkPath(s.p.name, tag, l.digest), l.digest))
		times = append(times, l.modTime)
	}
	if len(files) == 0 {
		return nil
	}
	if err := drivers.PutContents(ctx, s.p.r.driver, files); err != nil {
		return fmt.Errorf("history of tag %s of %s: %w", tag, s.p.name, err)
	}
	for i, f := range files {
		if err := s.restoreTime(ctx, f.Path, times[i]); err != nil {
			return err
		}
	}
	return nil
}

// restoreTime sets a link's time, where the store can.
func (s TagStore) restoreTime(ctx context.Context, path string, t time.Time) error {
	if t.IsZero() {
		return nil
	}
	err := drivers.Chtimes(ctx, s.p.r.driver, path, t)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("restore time of a tag of %s: %w", s.p.name, err)
	}
	return nil
}
