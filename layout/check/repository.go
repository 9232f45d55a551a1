package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// repository is one that is being checked.
type repository struct {
	c *checker
	p layout.Repository

	newest time.Time   // of its files
	partly atomic.Bool // not all links of it are known
	unread atomic.Bool // what some manifest names is not known
	tag    *tag        // whose files are coming
	upload *upload
	paused bool
	dir    layout.RawPath // unknown one that has been reported

	revisions map[layout.Key]bool // links by their name: there is something to read
	young     map[layout.Key]bool // revisions whose tag, or index, may be on its way
	tagged    map[layout.Key]bool // what tags point to

	aliases map[layout.Key]digest.Digest // what layer links say that are not named by sha256

	mu     sync.Mutex                  // guards the following while manifests are read
	layers map[layout.Key]bool         // links by their name
	edges  map[layout.Key][]layout.Key // to children, and from subjects to referrers
}

// checkRepository checks all links of a repository, then its manifests.
func (c *checker) checkRepository(ctx context.Context, p layout.Repository) error {
	r := &repository{
		c: c, p: p,
		layers:    map[layout.Key]bool{},
		revisions: map[layout.Key]bool{},
		young:     map[layout.Key]bool{},
		tagged:    map[layout.Key]bool{},
		aliases:   map[layout.Key]digest.Digest{},
		edges:     map[layout.Key][]layout.Key{},
	}
	for f, err := range p.Files(ctx) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch {
		case err == nil:
			r.file(ctx, f)
		case f.Path == "":
			r.unreadable(p.Path(), err)
		default:
			r.unreadable(f.Path, err)
		}
	}
	r.endTag(ctx)
	r.endUpload()
	if len(r.revisions)+len(r.tagged) == 0 && !r.partly.Load() && c.isOld(r.newest) {
		r.found(Finding{Kind: NoManifest, Path: p.Path(), Detail: "it has neither manifests nor tags: a push has failed, or all were deleted"})
	}
	if err := r.checkManifests(ctx); err != nil {
		return err
	}
	r.findUntagged()
	return nil
}

// file takes in the next file.
func (r *repository) file(ctx context.Context, f layout.File) {
	if f.ModTime.After(r.newest) {
		r.newest = f.ModTime
	}
	if r.tag != nil && !strings.HasPrefix(string(f.Path), string(r.tag.dir)+"/") {
		r.endTag(ctx)
	}
	if r.upload != nil && r.upload.id != f.Upload {
		r.endUpload()
	}
	switch f.Kind {
	case layout.FileLayer:
		if _, ok := r.link(ctx, f, Dangling); ok {
			r.layers[layout.KeyOf(f.Name)] = true
		}
	case layout.FileRevision:
		there, ok := r.link(ctx, f, Dangling)
		if ok && f.Name.Algorithm() == digest.SHA256 { // by others no registry stores manifests
			r.revisions[layout.KeyOf(f.Name)] = there
			if !r.c.isOld(f.ModTime) {
				r.young[layout.KeyOf(f.Name)] = true
			}
		}
	case layout.FileTagCurrent, layout.FileTagIndex:
		r.tagFile(ctx, f)
	case layout.FileUpload:
		r.uploadFile(f)
	default:
		r.other(f)
	}
}

// link checks a link that is named after a digest. there says that it leads to a
// blob, or will once it is repaired; ok that it is a link at all.
func (r *repository) link(ctx context.Context, f layout.File, lost Kind) (there, ok bool) {
	f, _, err := r.again(ctx, f)
	if errors.Is(err, fs.ErrNotExist) {
		return false, false
	}
	if err != nil {
		r.unreadable(f.Path, err)
		return false, false
	}
	finding := Finding{Path: f.Path, Tag: f.Tag, Digest: f.Name}
	canonical := f.Name.Algorithm() == digest.SHA256
	fix := Fix{Do: WriteLink, Path: f.Path, Link: f.Name}
	switch {
	case f.Problem != nil:
		finding.Kind, finding.Detail = Damaged, f.Problem.Error()
		r.found(finding)
		if !canonical {
			return false, true // the name does not say what it held
		}
		fix.Kind = Damaged
		r.c.plan(fix)
		f.Target = f.Name
	case canonical && f.Target != f.Name:
		finding.Kind, finding.Detail = Misnamed, "it says "+string(f.Target)
		r.found(finding)
		fix.Kind, fix.Cached = Misnamed, f.Kind != layout.FileTagIndex
		r.c.plan(fix)
		f.Target = f.Name
	}
	if f.Kind == layout.FileLayer && !canonical {
		r.aliases[layout.KeyOf(f.Name)] = f.Target
	}
	look := r.c.blob
	if lost == Outdated {
		look = r.c.optional
	}
	b, found, err := look(ctx, f.Target)
	if err != nil {
		r.unreadable(layout.RawBlob(f.Target), err)
		return true, true
	}
	if found {
		r.c.use(b)
		return true, true
	}
	if lost == Dangling {
		if finding.Kind == "" && r.isAbsent(ctx, f.Path) {
			return false, false // both were removed meanwhile
		}
		r.c.want(f.Target, Dangling)
	}
	finding.Kind, finding.Digest, finding.Detail = lost, f.Target, fmt.Sprintf("blob %s is not in the store", f.Target)
	r.found(finding)
	return false, true
}

// again reads a link that is damaged once more: registries up to 3.0 write in
// place. It returns the bytes as well.
func (r *repository) again(ctx context.Context, f layout.File) (layout.File, []byte, error) {
	if f.Problem == nil {
		return f, nil, nil
	}
	r.c.settle(ctx, f.ModTime)
	content, err := r.c.readLink(ctx, f.Path)
	if err != nil {
		return f, nil, err
	}
	if d := digest.Digest(content); d.Validate() == nil {
		f.Target, f.Problem = d, nil
		return f, content, nil
	}
	f.Problem = fmt.Errorf("it holds %.90q and not one digest", content)
	return f, content, nil
}

// readLink reads what is in a link, as far as that can be one.
func (c *checker) readLink(ctx context.Context, p layout.RawPath) ([]byte, error) {
	done, err := c.slot(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return readLink(ctx, c.reg, p)
}

func readLink(ctx context.Context, reg *layout.Registry, p layout.RawPath) ([]byte, error) {
	b, err := reg.Raw().Open(ctx, p)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	content := make([]byte, 256) // the longest digest has 135
	n, err := b.ReadAt(ctx, content, 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	return content[:n], nil
}

// other takes in a file that a registry of version 3 has no use for.
func (r *repository) other(f layout.File) {
	rest := strings.TrimPrefix(string(f.Path), string(r.p.Path())+"/")
	top, rest, _ := strings.Cut(rest, "/")
	dir := r.p.Path().Join(top)
	parts := strings.Split(rest, "/")
	switch {
	case top != "_manifests" && top != "_layers":
		if r.dir != dir {
			r.dir = dir
			r.found(Finding{Kind: Stray, Path: dir, Detail: "no release of the registry makes this directory; it is left alone"})
		}
	case len(parts) == 7 && parts[0] == "revisions" && parts[3] == "signatures" && parts[6] == "link":
		if d, err := layout.ParseHex(digest.Algorithm(parts[4]), parts[5]); err == nil {
			if b, ok, _ := r.c.blobs.find(layout.KeyOf(d)); ok {
				r.c.use(b)
			}
		}
	default:
		r.c.stray(f.Path, layout.Entry{ModTime: f.ModTime}, "no registry looks at this file")
	}
}

// upload is an upload whose files are coming.
type upload struct {
	id      string
	started bool // it says when
	newest  time.Time
	data    layout.RawPath // "" if it has none
}

func (r *repository) uploadFile(f layout.File) {
	if f.Upload == "" {
		r.c.stray(f.Path, layout.Entry{ModTime: f.ModTime}, "a file among the uploads")
		return
	}
	if r.upload == nil {
		r.upload = &upload{id: f.Upload}
	}
	u := r.upload
	switch path.Base(string(f.Path)) {
	case "startedat":
		u.started = saysWhen(f.Size)
	case "data":
		u.data = f.Path
		r.c.addSource(f.Path, false)
	}
	if f.ModTime.After(u.newest) {
		u.newest = f.ModTime
	}
}

// saysWhen reports whether that many bytes can be the time at which an upload began.
func saysWhen(size int64) bool { return size >= int64(len("2006-01-02T15:04:05Z")) }

// endUpload reports an upload that no registry will ever clean up.
func (r *repository) endUpload() {
	u := r.upload
	r.upload = nil
	if u == nil || u.started || !r.c.isOld(u.newest) {
		return
	}
	dir := r.p.Path().Join("_uploads").Join(u.id)
	r.found(Finding{Kind: Leftover, Path: dir, Detail: "an upload that does not say when it began: no registry removes it"})
	r.c.plan(Fix{Kind: Leftover, Do: RemoveAll, Path: dir, source: u.data})
}

// unreadable reports what the store does not show.
func (r *repository) unreadable(p layout.RawPath, err error) {
	r.partly.Store(true)
	r.found(Finding{Kind: Unreadable, Path: p, Detail: err.Error()})
}

func (r *repository) found(f Finding) {
	f.Repository = r.p.Name()
	r.c.found(f)
}
