package fusefs

import (
	"context"
	"iter"
	"slices"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"registryfs/layout"
)

// infoNamesDir is info/ or a directory below it: what can be derived from a
// repository, under its name.
type infoNamesDir struct {
	s    *fsys
	name layout.RepositoryName
}

// derived makes a directory of info/ refuse changes with the reason.
type derived struct{}

func (derived) closed() error { return errDerived }

var infoNames = []string{"_descriptors", "_digests", "_history", "_referrers", "_uploads"}

// parseInfoTag is ParseTagName for the directories of info/. There a tag named as
// one of them is not shown: a shell that goes through info/*/*/_digests asks for
// that name in each, which would take requests.
func parseInfoTag(name string) (layout.TagName, error) {
	if slices.Contains(infoNames, name) {
		return "", errNoEntry
	}
	return layout.ParseTagName(name)
}

func (s *fsys) listInfoTags(ctx context.Context, repo layout.Repository) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		for e, err := range s.listTags(ctx, repo) {
			if slices.Contains(infoNames, e.name) {
				continue
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func (d *infoNamesDir) closed() error { return errDerived }

func (d *infoNamesDir) path() string { return "/info" + slash(string(d.name)) }

func (d *infoNamesDir) attr(ctx context.Context) (attr, error) {
	return d.s.repoDirAttr(ctx, d.path(), d.name, layout.Dir{Kind: layout.DirRepository})
}

func (d *infoNamesDir) lookup(ctx context.Context, name string) (found, error) {
	if f, ok, err := d.kind(ctx, name); ok {
		return f, err
	}
	if name[0] == '_' {
		return found{}, errNoEntry
	}
	names := &namesDir{d.s, d.name}
	f, err := names.lookup(ctx, name)
	if err != nil {
		return found{}, err
	}
	sub := &infoNamesDir{d.s, child(d.name, name)}
	return found{key: d.s.dirKey(sub.path()), obj: sub, attr: f.attr}, nil
}

func (d *infoNamesDir) kind(ctx context.Context, name string) (found, bool, error) {
	if d.name == "" {
		return found{}, false, nil
	}
	repo := d.s.reg.Repository(d.name)
	var dir directory
	switch name {
	case "_descriptors":
		dir = &descriptorsDir{s: d.s, repo: repo}
	case "_digests":
		dir = &digestsDir{s: d.s, repo: repo}
	case "_history":
		dir = &historiesDir{s: d.s, repo: repo}
	case "_referrers":
		dir = &referrersDir{s: d.s, repo: repo}
	case "_uploads":
		dir = &uploadsDir{s: d.s, repo: repo}
	default:
		return found{}, false, nil
	}
	f, err := d.s.dir(ctx, d.path()+"/"+name, dir)
	return f, true, err
}

func (d *infoNamesDir) list(ctx context.Context) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		isRepository, more := d.s.listChildren(ctx, d.name, d.path(), yield, func(sub layout.RepositoryName) directory { return &infoNamesDir{d.s, sub} })
		if !more || !isRepository {
			return
		}
		for _, name := range infoNames {
			f, _, err := d.kind(ctx, name)
			if !yield(entry{name, f}, err) {
				return
			}
		}
	}
}

// digestsDir is _digests: a symlink for each tag, so that ls -l shows which
// tag is which digest.
type digestsDir struct {
	derived
	s    *fsys
	repo layout.Repository
}

func (d *digestsDir) attr(ctx context.Context) (attr, error) {
	return d.s.repoDirAttr(ctx, "", d.repo.Name(), layout.Dir{Kind: layout.DirTags})
}

func (d *digestsDir) lookup(ctx context.Context, name string) (found, error) {
	tag, err := parseInfoTag(name)
	if err != nil {
		return found{}, errNoEntry
	}
	t, err := d.repo.Tags().Digest(ctx, tag)
	if err != nil {
		return found{}, err
	}
	l := &symlink{d, t}
	a, err := l.attr(ctx)
	return found{d.s.secret.of("symlink", string(d.repo.Name()), name, d.target(&t)), l, a}, err
}

// target is where the symlink of a tag leads.
func (d *digestsDir) target(t *layout.Tag) string {
	if t.Digest == "" {
		return "unreadable-link"
	}
	return manifestTarget(d.repo.Name(), 1, t.Digest)
}

func (d *digestsDir) list(ctx context.Context) iter.Seq2[entry, error] {
	return d.s.listInfoTags(ctx, d.repo)
}

// symlink is a tag as a symbolic link to its manifest.
type symlink struct {
	d   *digestsDir
	tag layout.Tag
}

var _ = (linkTarget)((*symlink)(nil))

func (l *symlink) attr(context.Context) (attr, error) {
	size := int64(len(l.d.target(&l.tag)))
	return attr{mode: syscall.S_IFLNK | 0o777, size: size, mtime: l.tag.Tagged, nlink: 1, ttl: mutable}, nil
}

func (l *symlink) readlink(ctx context.Context) (string, error) {
	t, err := l.d.s.tagNow(ctx, l.d.repo, &l.tag)
	if err != nil {
		return "", err
	}
	return l.d.target(&t), nil
}

// uploadsDir is _uploads: the uploads that clients have begun.
type uploadsDir struct {
	derived
	s    *fsys
	repo layout.Repository
}

func (d *uploadsDir) attr(ctx context.Context) (attr, error) {
	return d.s.repoDirAttr(ctx, "", d.repo.Name(), layout.Dir{Kind: layout.DirUploads})
}

func (d *uploadsDir) found(e *layout.Entry) found {
	return found{
		key:  d.s.secret.of("upload", string(d.repo.Name()), e.Name),
		obj:  &uploadFile{d.s, d.repo, e.Name, *e},
		attr: readOnlyAttr(e.Size, e.ModTime, mutable),
	}
}

func (d *uploadsDir) lookup(ctx context.Context, name string) (found, error) {
	if slices.Contains(infoNames, name) {
		return found{}, errNoEntry // no upload has such an id
	}
	for e, err := range d.repo.Uploads(ctx) {
		if err != nil {
			return found{}, err
		}
		if e.Name == name {
			return d.found(&e), nil
		}
	}
	return found{}, errNoEntry
}

func (d *uploadsDir) list(ctx context.Context) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		for e, err := range d.repo.Uploads(ctx) {
			if isAbsent(err) {
				return
			}
			if !yield(entry{e.Name, d.found(&e)}, err) || err != nil {
				return
			}
		}
	}
}

// uploadFile is what has come of an upload so far.
type uploadFile struct {
	s    *fsys
	repo layout.Repository
	id   string
	seen layout.Entry
}

var _ = (opener)((*uploadFile)(nil))

func (f *uploadFile) attr(context.Context) (attr, error) {
	return readOnlyAttr(f.seen.Size, f.seen.ModTime, mutable), nil
}

func (f *uploadFile) open(ctx context.Context, _ *node) (reader, uint32, error) {
	blob, err := f.repo.OpenUpload(ctx, f.id)
	if isAbsent(err) && f.seen.Size == 0 {
		return textReader(""), fuse.FOPEN_DIRECT_IO, nil // begun, and nothing sent yet
	}
	// Direct: the file grows.
	return &lazyReader{size: f.seen.Size, blob: blob}, fuse.FOPEN_DIRECT_IO, err
}
