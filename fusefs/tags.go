package fusefs

import (
	"context"
	"iter"
	"slices"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// tagsDir is a repository's _tags.
type tagsDir struct {
	s    *fsys
	repo layout.Repository
}

var (
	_ = (container)((*tagsDir)(nil))
	_ = (remover)((*tagsDir)(nil))
	_ = (renamer)((*tagsDir)(nil))
	_ = (folder)((*tagsDir)(nil))
	_ = (timeSetter)((*tagsDir)(nil))
)

func (d *tagsDir) path() string { return "/repositories/" + string(d.repo.Name()) + "/_tags" }

func (d *tagsDir) dir() layout.Dir { return layout.Dir{Kind: layout.DirTags} }

func (d *tagsDir) attr(ctx context.Context) (attr, error) {
	return d.s.repoDirAttr(ctx, d.path(), d.repo.Name(), d.dir())
}

func (d *tagsDir) setModTime(ctx context.Context, t time.Time) error {
	return d.repo.SetModTime(ctx, d.dir(), t)
}

func (d *tagsDir) lookup(ctx context.Context, name string) (found, error) {
	tag, err := layout.ParseTagName(name)
	if err != nil {
		return d.s.stagingDirIn(d.path(), name)
	}
	t, err := d.repo.Tags().Get(ctx, tag)
	if err != nil {
		return found{}, err
	}
	return d.s.tagFound(d.repo, &t), nil
}

func (d *tagsDir) list(ctx context.Context) iter.Seq2[entry, error] {
	return d.s.listTags(ctx, d.repo)
}

func (s *fsys) listTags(ctx context.Context, repo layout.Repository) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		for tag, err := range repo.Tags().All(ctx) {
			if !yield(entry{name: string(tag)}, err) || err != nil {
				return
			}
		}
	}
}

// place implements container.
func (d *tagsDir) place(_ context.Context, name string, excl bool) (place, error) {
	tag, err := layout.ParseTagName(name)
	if err != nil {
		if temporary(name) {
			return nil, nil
		}
		return nil, err
	}
	return &tagPlace{d, tag, excl}, nil
}

// unlink removes the tag and leaves the manifest. What it was is kept for a
// moment: mv, install and tar remove a name before they write it anew, and if
// that fails the tag is put back.
func (d *tagsDir) unlink(ctx context.Context, name string) error {
	tag, err := layout.ParseTagName(name)
	if err != nil {
		return errNoEntry
	}
	old, err := d.repo.Tags().Untag(ctx, tag)
	if err != nil {
		return err
	}
	self := staleName{d.s.dirKey(d.path()), name}
	d.s.tags.remember(self, d.repo, old)
	d.s.notify.stale(d.s.tagNames(d.repo, tag)...)
	return nil
}

func (d *tagsDir) rename(ctx context.Context, oldName, newName string) error {
	from, err := layout.ParseTagName(oldName)
	if err != nil {
		return errNoEntry
	}
	to, err := layout.ParseTagName(newName)
	if err != nil {
		return err
	}
	f, err := d.lookup(ctx, oldName)
	if err != nil {
		return err
	}
	if err := d.repo.Tags().Rename(ctx, from, to); err != nil {
		return err
	}
	// The kernel goes on with the old node under the new name, but the name is
	// part of a tag's identity.
	d.s.notify.moved(f.key)
	d.s.notify.stale(d.s.tagNames(d.repo, from)...)
	d.s.notify.stale(d.s.tagNames(d.repo, to)...)
	return nil
}

func (d *tagsDir) mkdir(_ context.Context, name string) (found, error) {
	return d.s.makeStagingDir(d.path(), name)
}

func (d *tagsDir) rmdir(_ context.Context, name string) error {
	return d.s.removeStagingDir(d.path(), name)
}

// tagNames are the names elsewhere in the mount that change with a tag. Where
// one did not exist the kernel finds out within negativeTTL.
func (s *fsys) tagNames(repo layout.Repository, tag layout.TagName) []staleName {
	var out []staleName
	for _, view := range []string{"/_descriptors", "/_digests", "/_history"} {
		dir := s.dirKey("/info/" + string(repo.Name()) + view)
		out = append(out, staleName{dir, string(tag)}, staleName{dir: dir})
	}
	return append(out, s.referrerNames(repo.Name(), layout.TagSubject(tag), "")...)
}

func (s *fsys) tagKey(repo layout.RepositoryName, tag layout.TagName, d digest.Digest) key {
	return s.secret.of("tag", string(repo), string(tag), string(d))
}

// tagFound is a tag as a file. What it points to is part of its identity: no
// page of an old manifest can mix with a new one.
func (s *fsys) tagFound(repo layout.Repository, t *layout.Tag) found {
	k := s.tagKey(repo.Name(), t.Name, t.Digest)
	if t.Problem != nil {
		return found{key: k, obj: &brokenFile{s, t.Problem, t.Tagged}, attr: fileAttr(0, t.Tagged, mutable)}
	}
	f := &tagFile{s, repo, t.Name, t.Digest, t.Size, t.Tagged.UnixNano(), t.Asked}
	return found{key: k, obj: f, attr: fileAttr(t.Size, t.Tagged, mutable)}
}

// tagFile is a tag and the manifest it points to. A tag that is moved is
// another tagFile.
type tagFile struct {
	s      *fsys
	repo   layout.Repository
	tag    layout.TagName
	digest digest.Digest
	size   int64
	tagged int64     // Unix nanoseconds
	asked  time.Time // when the store said so
}

var (
	_ = (opener)((*tagFile)(nil))
	_ = (replaceable)((*tagFile)(nil))
	_ = (timeSetter)((*tagFile)(nil))
)

func (f *tagFile) attr(ctx context.Context) (attr, error) {
	t, err := f.repo.Tags().Digest(ctx, f.tag)
	if isAbsent(err) || (err == nil && t.Digest != f.digest) {
		// Moved or gone by now. Those who have it open keep what they opened.
		return fileAttr(f.size, time.Unix(0, f.tagged), mutable), nil
	}
	if err != nil {
		return attr{}, err
	}
	return fileAttr(f.size, t.Tagged, mutable), nil
}

// open looks at the tag again if what a walk's listing said of it is older than
// the kernel's own belief in a name would be. The name of one that has been moved
// is looked up again.
func (f *tagFile) open(ctx context.Context, _ *node) (reader, uint32, error) {
	t, err := f.s.tagNow(ctx, f.repo, &layout.Tag{Name: f.tag, Descriptor: layout.Descriptor{Digest: f.digest}, Asked: f.asked})
	if isAbsent(err) || err == nil && t.Digest != f.digest {
		if caller, ok := fuse.FromContext(ctx); ok && f.s.again.first(caller.Pid) {
			return nil, 0, syscall.ESTALE
		}
	} else if err != nil {
		return nil, 0, err
	}
	f.s.reg.Served(f.repo.Name(), f.digest)
	return f.s.blobReader(f.digest, f.size), 0, nil
}

func (f *tagFile) content() (*lazyReader, bool) { return f.s.blobReader(f.digest, f.size), false }
func (f *tagFile) system() *fsys                { return f.s }

func (f *tagFile) setModTime(ctx context.Context, t time.Time) error {
	return f.repo.Tags().SetModTime(ctx, f.tag, t)
}

// tagNow is the tag, or what it is by now if the store was asked for it longer
// ago than Options.TagTTL. A local store is not asked again: its names are never
// older than the kernel takes them to be.
func (s *fsys) tagNow(ctx context.Context, repo layout.Repository, t *layout.Tag) (layout.Tag, error) {
	if !s.reg.IsRemote() || time.Since(t.Asked) <= s.opts.TagTTL {
		return *t, nil
	}
	return repo.Tags().Digest(ctx, t.Name)
}

// brokenFile is a name whose content is missing or wrong: listed, so that it
// can be seen and removed, with size 0; reading says what is wrong.
type brokenFile struct {
	s       *fsys
	problem error
	mtime   time.Time
}

var (
	_ = (opener)((*brokenFile)(nil))
	_ = (replaceable)((*brokenFile)(nil))
)

func (f *brokenFile) attr(context.Context) (attr, error) { return fileAttr(0, f.mtime, mutable), nil }

func (f *brokenFile) open(context.Context, *node) (reader, uint32, error) {
	// Direct: of a file of size 0 in the page cache the kernel reads nothing.
	return brokenReader{refuse(syscall.EIO, f.problem.Error(), layout.Remedy(f.problem))}, fuse.FOPEN_DIRECT_IO, nil
}

func (f *brokenFile) content() (*lazyReader, bool) {
	return &lazyReader{openBlob: func(context.Context) (*layout.BlobReader, error) { return nil, f.problem }}, false
}

func (f *brokenFile) system() *fsys { return f.s }

// tagPlace is a tag's name: a commit moves the tag.
type tagPlace struct {
	d    *tagsDir
	tag  layout.TagName
	excl bool
}

func (p *tagPlace) want() digest.Digest  { return "" }
func (p *tagPlace) limit() int64         { return layout.MaxManifestSize }
func (p *tagPlace) emptyIsContent() bool { return false }

func (p *tagPlace) commit(ctx context.Context, c content) (committed, error) {
	o := layout.PutOptions{Tag: p.tag, Exclusive: p.excl, ModTime: c.mtime}
	put, err := putManifest(ctx, p.d.repo, c, o)
	if err != nil {
		return committed{}, err
	}
	p.excl = false // the name is ours from now on
	t := layout.Tag{Name: p.tag, Tagged: put.Tagged}
	t.Digest, t.Size = put.Digest, put.Size
	s := p.d.s
	s.keepTimes(ctx, p.d.repo)
	return committed{
		found:  s.tagFound(p.d.repo, &t),
		digest: put.Digest,
		stale: slices.Concat(s.tagNames(p.d.repo, p.tag), s.newRepository(p.d.repo.Name()), s.newBlob(put.Digest),
			s.referrerNames(p.d.repo.Name(), put.Subject, put.Digest)),
		undo: undoLink(put, p.d.repo.Manifests().Unlink),
	}, nil
}

// putManifest stores a draft's manifest, or refers to one that is stored.
func putManifest(ctx context.Context, repo layout.Repository, c content, o layout.PutOptions) (layout.Put, error) {
	if c.ref != "" {
		return repo.Manifests().Promote(ctx, c.ref, o)
	}
	return repo.Manifests().Put(ctx, c.upload, o)
}

// undoLink removes the link that a put has made; one that was there stays.
func undoLink(put layout.Put, unlink func(context.Context, digest.Digest) error) func(context.Context) error {
	if !put.NewLink {
		return nil
	}
	return func(ctx context.Context) error { return unlink(ctx, put.Digest) }
}

// newRepository ends the directories of this mount that are in the store now,
// and returns what the kernel may not know yet: the names, and the attributes
// that come from the store.
func (s *fsys) newRepository(name layout.RepositoryName) []staleName {
	out := s.touched(name)
	for ; name != ""; name = parentName(name) {
		up := slash(string(parentName(name)))
		s.locals.remove(staleName{s.dirKey("/repositories" + up), lastName(name)})
		for _, top := range []string{"/repositories", "/info"} {
			out = append(out, staleName{dir: s.dirKey(top + up)})
			// Only of a name that it does not know can the kernel believe that
			// there is none.
			if s.nodes.find(s.dirKey(top+slash(string(name)))) == nil {
				out = append(out, staleName{s.dirKey(top + up), lastName(name)})
			}
		}
	}
	return out
}

// newBlob are the directories of blobs/ that show a blob.
func (s *fsys) newBlob(d digest.Digest) []staleName {
	alg := "/blobs/" + string(d.Algorithm())
	return []staleName{{dir: s.dirKey(alg)}, {dir: s.dirKey(alg + "/" + d.Encoded()[:2])}}
}

// untagged are the tags removed a moment ago.
type untagged struct {
	s *fsys
	m boundedMap[staleName, removedTag]
}

type removedTag struct {
	repo layout.Repository
	old  layout.Untagged
	at   time.Time
}

// putBackWithin is how long after its removal a tag is put back if what was to
// replace it is refused. The tools do both within one run.
const putBackWithin = 10 * time.Second

const maxUntagged = 1_000

func (u *untagged) remember(n staleName, repo layout.Repository, old layout.Untagged) {
	u.m.put(n, removedTag{repo, old, time.Now()}, maxUntagged)
}

// putBack restores the tag whose replacement has just been refused.
func (u *untagged) putBack(ctx context.Context, dir key, name string) {
	n := staleName{dir, name}
	t, ok := u.m.get(n)
	if !ok || !u.m.remove(n) || time.Since(t.at) > putBackWithin {
		return
	}
	if err := t.repo.Tags().Restore(ctx, t.old); err != nil {
		u.s.refused.note("put back", string(t.repo.Name())+":"+name, err)
		return
	}
	u.s.log.Info("tag put back: its replacement was refused", "repository", t.repo.Name(), "tag", name)
	u.s.notify.stale(u.s.tagNames(t.repo, layout.TagName(name))...)
}
