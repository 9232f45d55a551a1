package fusefs

import (
	"context"
	"errors"
	"iter"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// namesDir is repositories/ (with an empty name) or a directory below it: a
// repository, or a part of the name of one, or both.
type namesDir struct {
	s    *fsys
	name layout.RepositoryName
}

var (
	_ = (folder)((*namesDir)(nil))
	_ = (timeSetter)((*namesDir)(nil))
	_ = (closed)((*namesDir)(nil))
)

// kindNames are a repository's own directories, in the order in which rm -r
// can take them: no tag goes after its manifest, no manifest after its blobs.
var kindNames = []string{"_tags", "_manifests", "_blobs"}

func (d *namesDir) path() string { return "/repositories" + slash(string(d.name)) }

// slash puts a slash before what is not empty.
func slash(s string) string {
	if s == "" {
		return ""
	}
	return "/" + s
}

func child(parent layout.RepositoryName, name string) layout.RepositoryName {
	if parent == "" {
		return layout.RepositoryName(name)
	}
	return parent + "/" + layout.RepositoryName(name)
}

func (d *namesDir) dir() layout.Dir { return layout.Dir{Kind: layout.DirRepository} }

func (d *namesDir) attr(ctx context.Context) (attr, error) {
	return d.s.repoDirAttr(ctx, d.path(), d.name, d.dir())
}

func (d *namesDir) setModTime(ctx context.Context, t time.Time) error {
	if d.name == "" {
		return errors.ErrUnsupported // the directory is of this mount
	}
	return d.s.reg.Repository(d.name).SetModTime(ctx, d.dir(), t)
}

func (d *namesDir) lookup(ctx context.Context, name string) (found, error) {
	if f, ok, err := d.kind(ctx, name); ok {
		return f, err
	}
	if !layout.ValidComponent(name) {
		return found{}, errNoEntry
	}
	sub := &namesDir{d.s, child(d.name, name)}
	e, err := d.s.reg.StatName(ctx, sub.name)
	if isAbsent(err) {
		if _, ok := d.s.locals.get(staleName{d.s.dirKey(d.path()), name}); !ok {
			return found{}, errNoEntry
		}
		e.ModTime, err = d.s.times.or(d.s.dirKey(sub.path()), epoch), nil
	}
	return found{key: d.s.dirKey(sub.path()), obj: sub, attr: dirAttr(e.ModTime, mutable)}, err
}

// kind returns one of the repository's own directories. They are there even
// where the listing does not show them, so that content can be put into them.
func (d *namesDir) kind(ctx context.Context, name string) (found, bool, error) {
	if d.name == "" {
		return found{}, false, nil
	}
	var dir directory
	switch name {
	case "_tags":
		dir = &tagsDir{d.s, d.s.reg.Repository(d.name)}
	case "_manifests":
		dir = &linksDir{s: d.s, repo: d.s.reg.Repository(d.name), kind: manifestLinks}
	case "_blobs":
		dir = &linksDir{s: d.s, repo: d.s.reg.Repository(d.name), kind: blobLinks}
	default:
		return found{}, false, nil
	}
	f, err := d.s.dir(ctx, d.path()+"/"+name, dir)
	return f, true, err
}

func (d *namesDir) list(ctx context.Context) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		isRepository, more := d.s.listChildren(ctx, d.name, d.path(), yield, func(sub layout.RepositoryName) directory { return &namesDir{d.s, sub} })
		if !more || !isRepository {
			return
		}
		for _, name := range kindNames {
			f, _, err := d.kind(ctx, name)
			if err != nil {
				f = found{} // the name is there: who looks it up is told why
			}
			if !yield(entry{name, f}, nil) {
				return
			}
		}
	}
}

// listChildren yields the names below a repository name: those of the store,
// and those made in this mount. It reports whether the name is that of a
// repository, and not only on the way to others, and if the caller wants more.
func (s *fsys) listChildren(ctx context.Context, name layout.RepositoryName, path string, yield func(entry, error) bool, object func(layout.RepositoryName) directory) (isRepository, more bool) {
	isRepository = s.isLocal(name)
	seen := map[string]bool{}
	for e, err := range s.reg.Names(ctx, name) {
		if err != nil && !isAbsent(err) {
			yield(entry{}, err)
			return false, false
		} else if err != nil {
			break
		}
		if e.Own {
			isRepository = true
			continue
		}
		seen[e.Name] = true
		f := found{key: s.dirKey(path + "/" + e.Name), obj: object(child(name, e.Name)), attr: dirAttr(e.ModTime, mutable)}
		if !yield(entry{e.Name, f}, nil) {
			return false, false
		}
	}
	parent := s.dirKey("/repositories" + slash(string(name)))
	for _, l := range s.locals.keys(func(n staleName) bool { return n.dir == parent }) {
		if !seen[l.name] && layout.ValidComponent(l.name) && !yield(entry{name: l.name}, nil) {
			return false, false
		}
	}
	return isRepository, true
}

// isLocal reports whether a repository was made in this mount.
func (s *fsys) isLocal(name layout.RepositoryName) bool {
	if name == "" {
		return false
	}
	up := &namesDir{s, parentName(name)}
	l, ok := s.locals.get(staleName{s.dirKey(up.path()), lastName(name)})
	return ok && !l.emptied
}

func (d *namesDir) mkdir(ctx context.Context, name string) (found, error) {
	if _, err := d.lookup(ctx, name); err == nil {
		return found{}, syscall.EEXIST
	}
	sub := child(d.name, name)
	if _, err := layout.ParseRepositoryName(string(sub)); err != nil {
		return found{}, err
	}
	d.s.makeLocal(d.path(), name)
	d.s.notify.stale(staleName{dir: d.s.dirKey("/info" + slash(string(d.name)))})
	return d.lookup(ctx, name)
}

func (d *namesDir) rmdir(ctx context.Context, name string) error {
	if f, ok, err := d.kind(ctx, name); err != nil {
		return err
	} else if ok {
		return d.rmdirKind(ctx, f)
	}
	local := staleName{d.s.dirKey(d.path()), name}
	sub := child(d.name, name)
	if d.s.hasUnfinished(sub) {
		return layout.ErrNotEmpty
	}
	if _, err := d.s.reg.StatName(ctx, sub); isAbsent(err) {
		if !d.s.locals.remove(local) {
			return errNoEntry
		}
		d.s.notify.stale(staleName{d.s.dirKey("/info" + slash(string(d.name))), name})
		return nil
	}
	if !d.s.opts.AllowDelete {
		return errNoDelete
	}
	err := d.s.reg.Repository(sub).RemoveDir(ctx, d.dir())
	if err != nil && !isAbsent(err) {
		return err
	}
	d.s.locals.remove(local)
	d.s.notify.stale(staleName{d.s.dirKey("/info" + slash(string(d.name))), name})
	return nil
}

// hasUnfinished tells whether a repository's directory has anything in it that
// exists in this mount only.
func (s *fsys) hasUnfinished(name layout.RepositoryName) bool {
	for _, n := range s.touched(name) {
		if len(s.drafts.in(n.dir)) > 0 {
			return true
		}
		if len(s.locals.keys(func(l staleName) bool { return l.dir == n.dir })) > 0 {
			return true
		}
	}
	return false
}

// rmdirKind removes an emptied _tags, _manifests or _blobs from the store. It
// is there again as soon as somebody looks for it: it is part of the mount.
func (d *namesDir) rmdirKind(ctx context.Context, f found) error {
	if len(d.s.drafts.in(f.key)) > 0 {
		return layout.ErrNotEmpty
	}
	var dir layout.Dir
	switch obj := f.obj.(type) {
	case *tagsDir:
		dir = obj.dir()
	case *linksDir:
		dir = obj.dir()
	}
	repo := d.s.reg.Repository(d.name)
	if _, err := repo.ModTime(ctx, dir); isAbsent(err) {
		return nil
	}
	if !d.s.opts.AllowDelete {
		return errNoDelete
	}
	if err := repo.RemoveDir(ctx, dir); err != nil && !isAbsent(err) {
		return err
	}
	return nil
}

func (d *namesDir) closed() error {
	return refuse(syscall.EINVAL, "a repository's directory holds no files of its own",
		"put manifests into _tags or _manifests and layers into _blobs")
}

func parentName(name layout.RepositoryName) layout.RepositoryName {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '/' {
			return name[:i]
		}
	}
	return ""
}

func lastName(name layout.RepositoryName) string {
	parent := parentName(name)
	if parent == "" {
		return string(name)
	}
	return string(name[len(parent)+1:])
}

// repoDirAttr is the attributes of a repository's directory: the time is that
// of the directory behind it in the store, where there is one.
func (s *fsys) repoDirAttr(ctx context.Context, path string, name layout.RepositoryName, dir layout.Dir) (attr, error) {
	if name == "" {
		return dirAttr(s.times.or(s.dirKey(path), epoch), fixed), nil
	}
	if s.reg.IsRemote() {
		// There is no such directory, nor any time of it but one that was set.
		return dirAttr(time.Time{}, mutable), nil
	}
	mtime, err := s.reg.Repository(name).ModTime(ctx, dir)
	if isAbsent(err) {
		// Not in the store yet. When it comes to be there its time changes
		// without a request that would tell the kernel so.
		return dirAttr(s.times.or(s.dirKey(path), epoch), transient), nil
	}
	return dirAttr(mtime, mutable), err
}

// touched are the directories of a repository whose times may change when
// something is put into it: those that did not exist in the store come to.
func (s *fsys) touched(name layout.RepositoryName) []staleName {
	top := "/repositories/" + string(name)
	var out []staleName
	for _, dir := range []string{"", "/_tags", "/_manifests", "/_manifests/sha256", "/_blobs", "/_blobs/sha256"} {
		out = append(out, staleName{dir: s.dirKey(top + dir)})
	}
	return out
}

// makeLocal makes a directory of this mount. It keeps the time of its making
// when the store comes to have it.
func (s *fsys) makeLocal(dir, name string) {
	now := time.Now()
	s.locals.put(staleName{s.dirKey(dir), name}, localDir{}, maxLocals)
	s.times.set(s.dirKey(dir+"/"+name), now)
}

// algorithmOf is the algorithm of the digests that the directory's names are.
func algorithmOf(obj object) digest.Algorithm {
	if d, ok := obj.(*linksDir); ok {
		return d.alg
	}
	return ""
}
