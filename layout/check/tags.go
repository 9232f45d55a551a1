package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// tag is a tag whose files are coming: its current link first, then its index.
type tag struct {
	name    layout.TagName
	dir     layout.RawPath
	current *layout.File // nil if there is none
	rest    []byte       // what is in it, if it is damaged

	last     layout.File // of the index
	entries  int
	only     digest.Digest // the first entry of the index
	onlyIs   bool          // there is something to read
	recorded bool          // the index has what current says
}

func (r *repository) tagFile(ctx context.Context, f layout.File) {
	if r.tag == nil {
		r.tag = &tag{name: f.Tag, dir: layout.RawPath(path.Dir(path.Dir(string(r.p.TagLink(f.Tag)))))}
	}
	t := r.tag
	if f.Kind == layout.FileTagCurrent {
		f, content, err := r.again(ctx, f)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			r.unreadable(f.Path, err)
		default:
			t.current, t.rest = &f, content
		}
		return
	}
	there, ok := r.link(ctx, f, Outdated)
	if !ok {
		return
	}
	t.last = f
	if t.entries++; t.entries == 1 {
		t.only, t.onlyIs = f.Name, there
	}
	if t.current != nil && t.current.Target == f.Name {
		t.recorded = true
	}
}

// endTag checks the tag whose files have come.
func (r *repository) endTag(ctx context.Context) {
	t := r.tag
	r.tag = nil
	if t == nil {
		return
	}
	onlyOne := t.entries == 1 && t.only.Algorithm() == digest.SHA256 && !r.partly.Load()
	r.c.tags.Add(1)
	link := r.p.TagLink(t.name)
	finding := Finding{Path: link, Tag: t.name}
	switch {
	case t.current == nil:
		if t.entries > 0 && r.pointsNowhere(ctx, t) {
			finding.Kind, finding.Detail = NoCurrent, fmt.Sprintf("the tag points nowhere; manifests in its history: %d", t.entries)
			r.found(finding)
			if onlyOne && t.onlyIs && r.revisions[layout.KeyOf(t.only)] {
				r.c.plan(Fix{Kind: NoCurrent, Do: WriteLink, Path: link, Link: t.only, current: true})
			}
		}
		return
	case t.current.Problem != nil:
		finding.Kind, finding.Detail = Damaged, t.current.Problem.Error()
		r.found(finding)
		if !onlyOne || !begins(t.only, t.rest) {
			return
		}
		r.c.plan(Fix{Kind: Damaged, Do: WriteLink, Path: link, Link: t.only, current: true})
		t.current.Target = t.only
	case !t.recorded && !r.partly.Load():
		finding.Kind, finding.Digest = Unrecorded, t.current.Target
		finding.Detail = fmt.Sprintf("the tag's history does not have %s", t.current.Target)
		r.found(finding)
	}
	r.pointsTo(ctx, t.current.Target, finding)
}

// pointsTo checks that what a tag points to can be pulled.
func (r *repository) pointsTo(ctx context.Context, d digest.Digest, finding Finding) {
	r.tagged[layout.KeyOf(d)] = true
	finding.Digest = d
	b, ok, err := r.c.blob(ctx, d)
	switch {
	case err != nil:
		r.unreadable(layout.RawBlob(d), err)
	case !ok:
		if r.hasMoved(ctx, finding.Path, d) {
			return
		}
		r.c.want(d, Dangling)
		finding.Kind, finding.Detail = Dangling, fmt.Sprintf("manifest %s is not in the store", d)
		r.found(finding)
	default:
		r.c.use(b)
		if _, linked := r.revisions[layout.KeyOf(d)]; linked || r.partly.Load() || !r.isAbsent(ctx, r.p.RevisionLink(d)) {
			return
		}
		if r.pause(ctx); r.hasMoved(ctx, finding.Path, d) {
			return
		}
		finding.Kind, finding.Detail = Unlinked, fmt.Sprintf("the repository does not have manifest %s; push it again, or remove the tag", d)
		r.found(finding)
	}
}

// pointsNowhere reports whether a tag without a current link is neither being made,
// for which its index is written first, nor being removed.
func (r *repository) pointsNowhere(ctx context.Context, t *tag) bool {
	r.c.settle(ctx, t.last.ModTime)
	r.pause(ctx)
	return r.isAbsent(ctx, r.p.TagLink(t.name)) && !r.isAbsent(ctx, t.last.Path)
}

// pause gives who deletes a manifest, or a tag, the time to do all of it. Of a store
// in which much is wrong it is once for each repository.
func (r *repository) pause(ctx context.Context) {
	if !r.paused {
		r.paused = true
		r.c.settle(ctx, time.Now().Add(time.Second-grace))
	}
}

// hasMoved reports whether a tag that pointed to d is gone, or points to another: a
// registry that deletes a manifest removes its tags after it.
func (r *repository) hasMoved(ctx context.Context, link layout.RawPath, d digest.Digest) bool {
	content, err := r.c.readLink(ctx, link)
	now := digest.Digest(content)
	return errors.Is(err, fs.ErrNotExist) || err == nil && now != d && now.Validate() == nil
}

// begins reports whether rest may be all that a crash has left of d.
func begins(d digest.Digest, rest []byte) bool {
	return strings.HasPrefix(string(d), string(bytes.Trim(rest, "\x00\r\n\t ")))
}

// isAbsent looks for a file once more, by itself.
func (r *repository) isAbsent(ctx context.Context, p layout.RawPath) bool {
	done, err := r.c.slot(ctx)
	if err != nil {
		return false
	}
	defer done()
	_, err = r.c.reg.Raw().Stat(ctx, p)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && ctx.Err() == nil {
		r.unreadable(p, err)
	}
	return errors.Is(err, fs.ErrNotExist)
}
