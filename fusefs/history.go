package fusefs

import (
	"context"
	"iter"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// historiesDir is _history: a directory for each tag.
type historiesDir struct {
	derived
	s    *fsys
	repo layout.Repository
}

func (d *historiesDir) path() string { return "/info/" + string(d.repo.Name()) + "/_history" }

func (d *historiesDir) attr(ctx context.Context) (attr, error) {
	return d.s.repoDirAttr(ctx, d.path(), d.repo.Name(), layout.Dir{Kind: layout.DirTags})
}

func (d *historiesDir) lookup(ctx context.Context, name string) (found, error) {
	tag, err := parseInfoTag(name)
	if err != nil {
		return found{}, errNoEntry
	}
	t, err := d.repo.Tags().Digest(ctx, tag)
	if err != nil {
		return found{}, err
	}
	sub := &historyDir{s: d.s, repo: d.repo, tag: tag}
	return found{d.s.dirKey(d.path() + "/" + name), sub, dirAttr(t.Tagged, mutable)}, nil
}

func (d *historiesDir) list(ctx context.Context) iter.Seq2[entry, error] {
	return d.s.listInfoTags(ctx, d.repo)
}

// historyDir is what one tag has pointed to, named by time so that ls sorts it.
type historyDir struct {
	derived
	s    *fsys
	repo layout.Repository
	tag  layout.TagName
}

const historyTime = "20060102T150405Z"

func (d *historyDir) path() string {
	return "/info/" + string(d.repo.Name()) + "/_history/" + string(d.tag)
}

func (d *historyDir) attr(ctx context.Context) (attr, error) {
	t, err := d.repo.Tags().Digest(ctx, d.tag)
	if isAbsent(err) {
		return dirAttr(epoch, mutable), nil
	}
	return dirAttr(t.Tagged, mutable), err
}

func historyName(t time.Time, d digest.Digest) string {
	return t.UTC().Format(historyTime) + "-" + string(d.Algorithm()) + "-" + d.Encoded()
}

func isHistoryName(name string) bool {
	at, dgst, _ := strings.Cut(name, "-")
	alg, hex, _ := strings.Cut(dgst, "-")
	_, err := layout.ParseHex(digest.Algorithm(alg), hex)
	_, badTime := time.Parse(historyTime, at)
	return err == nil && badTime == nil
}

// entries are the tag's history as files. The file is the manifest itself,
// with the inode and the time it has everywhere; the time it was tagged is in
// its name.
func (d *historyDir) entries(ctx context.Context) ([]entry, error) {
	history, err := d.repo.Tags().History(ctx, d.tag)
	if err != nil {
		return nil, err
	}
	out := make([]entry, 0, len(history))
	for _, h := range history {
		if h.Digest == "" {
			continue // an unreadable link names nothing; raw/ shows it
		}
		name := historyName(h.Time, h.Digest)
		out = append(out, entry{name, d.s.linkFound(d.path(), h.Digest, &h.Descriptor)})
	}
	return out, nil
}

func (d *historyDir) lookup(ctx context.Context, name string) (found, error) {
	if !isHistoryName(name) {
		return found{}, errNoEntry // a shell's globs ask for names that cannot be
	}
	entries, err := d.entries(ctx)
	if err != nil {
		return found{}, err
	}
	for _, e := range entries {
		if e.name == name {
			return e.found, nil
		}
	}
	return found{}, errNoEntry
}

func (d *historyDir) list(ctx context.Context) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		entries, err := d.entries(ctx)
		if err != nil {
			yield(entry{}, err)
			return
		}
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}
