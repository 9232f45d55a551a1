package fusefs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// rawDir is raw/ or a directory below it: the store's own tree.
type rawDir struct {
	s    *fsys
	path layout.RawPath
}

var (
	_ = (container)((*rawDir)(nil))
	_ = (remover)((*rawDir)(nil))
	_ = (folder)((*rawDir)(nil))
	_ = (timeSetter)((*rawDir)(nil))
)

func rawMountPath(p layout.RawPath) string { return strings.TrimSuffix("/raw"+string(p), "/") }

func (d *rawDir) key() key { return d.s.dirKey(rawMountPath(d.path)) }

func (d *rawDir) attr(ctx context.Context) (attr, error) {
	e, err := d.s.reg.Raw().Stat(ctx, d.path)
	if isAbsent(err) { // made in this mount, or an empty store
		return dirAttr(d.s.times.or(d.key(), epoch), mutable), nil
	}
	if d.path == "/" { // a driver sets no time of its root
		e.ModTime = d.s.times.or(d.key(), e.ModTime)
	}
	return dirAttr(e.ModTime, mutable), err
}

func (d *rawDir) setModTime(ctx context.Context, t time.Time) error {
	if d.path == "/" {
		return errors.ErrUnsupported // a driver sets no time of its root
	}
	return d.s.reg.Raw().SetModTime(ctx, d.path, t)
}

func (d *rawDir) found(e *layout.RawEntry) found {
	p := d.path.Join(e.Name)
	switch {
	case e.Dir:
		return found{d.s.dirKey(rawMountPath(p)), &rawDir{d.s, p}, dirAttr(e.ModTime, mutable)}
	case e.Blob != "":
		return d.s.digestFound(&layout.Descriptor{Digest: e.Blob, Size: e.Size, ModTime: e.ModTime})
	}
	f := &rawFile{d.s, p, e.Size, e.ModTime, e.Link}
	return found{f.key(), f, fileAttr(e.Size, e.ModTime, mutable)}
}

func (d *rawDir) lookup(ctx context.Context, name string) (found, error) {
	e, err := d.s.reg.Raw().Stat(ctx, d.path.Join(name))
	if err == nil {
		return d.found(&e), nil
	}
	if toErrno(err) != syscall.ENOENT && toErrno(err) != syscall.EINVAL {
		return found{}, err
	}
	if _, ok := d.s.locals.get(staleName{d.key(), name}); !ok {
		return found{}, errNoEntry
	}
	sub := &rawDir{d.s, d.path.Join(name)}
	if name == stagingName {
		return d.s.dir(ctx, rawMountPath(sub.path), &stagingDir{d.s, rawMountPath(sub.path)})
	}
	return d.s.dir(ctx, rawMountPath(sub.path), sub)
}

func (d *rawDir) list(ctx context.Context) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		seen := map[string]bool{}
		local := d.s.locals.keys(func(n staleName) bool { return n.dir == d.key() })
		for e, err := range d.s.reg.Raw().List(ctx, d.path) {
			if isAbsent(err) {
				break
			}
			if err != nil {
				yield(entry{}, err)
				return
			}
			if len(local) > 0 {
				seen[e.Name] = true
			}
			if !yield(entry{e.Name, d.found(&e)}, nil) {
				return
			}
		}
		for _, l := range local {
			if !seen[l.name] && !yield(entry{name: l.name}, nil) {
				return
			}
		}
	}
}

// place implements container. A name that the store cannot hold can still be
// the name of a file on its way to another.
func (d *rawDir) place(ctx context.Context, name string, _ bool) (place, error) {
	p := d.path.Join(name)
	if err := d.s.reg.Raw().Check(p); err != nil {
		if temporary(name) {
			return nil, nil
		}
		return nil, err
	}
	return &rawPlace{d, name, p}, nil
}

func (d *rawDir) unlink(ctx context.Context, name string) error {
	p := d.path.Join(name)
	if err := d.s.reg.Raw().Delete(ctx, p); err != nil {
		return err
	}
	d.s.notify.stale(d.s.rawNames(p)...)
	return nil
}

func (d *rawDir) mkdir(ctx context.Context, name string) (found, error) {
	if _, err := d.lookup(ctx, name); err == nil {
		return found{}, fs.ErrExist
	}
	if err := d.s.reg.Raw().Check(d.path.Join(name)); err != nil && name != stagingName {
		return found{}, err
	}
	d.s.makeLocal(rawMountPath(d.path), name)
	return d.lookup(ctx, name)
}

func (d *rawDir) rmdir(ctx context.Context, name string) error {
	p := d.path.Join(name)
	sub := d.s.dirKey(rawMountPath(p))
	if len(d.s.drafts.in(sub)) > 0 || len(d.s.locals.keys(func(n staleName) bool { return n.dir == sub })) > 0 {
		return layout.ErrNotEmpty
	}
	local := d.s.locals.remove(staleName{d.key(), name})
	_, err := d.s.reg.Raw().Stat(ctx, p)
	switch {
	case err != nil && local: // also one that was emptied: its other names are to go
	case err != nil:
		return err
	case !d.s.opts.AllowDelete:
		return errNoDelete
	default:
		if err := d.s.reg.Raw().RemoveDir(ctx, p); err != nil {
			return err
		}
	}
	d.s.notify.stale(d.s.rawNames(p)...)
	for repo := d.s.reg.Raw().Names(p).Repository; repo != ""; repo = parentName(repo) {
		up := slash(string(parentName(repo)))
		d.s.notify.stale(staleName{d.s.dirKey("/repositories" + up), lastName(repo)})
	}
	return nil
}

// rawNames are the names elsewhere that change with a file of the store.
func (s *fsys) rawNames(p layout.RawPath) []staleName {
	n := s.reg.Raw().Names(p)
	var out []staleName
	repo := string(n.Repository)
	if n.Repository != "" {
		out = s.newRepository(n.Repository)
	}
	if n.Tag != "" {
		out = append(s.tagNames(s.reg.Repository(n.Repository), n.Tag), out...)
		out = append(out, staleName{s.dirKey("/repositories/" + repo + "/_tags"), string(n.Tag)})
	}
	if n.Manifest != "" {
		out = append(out, staleName{s.dirKey("/repositories/" + repo + "/_manifests/" + string(n.Manifest.Algorithm())), n.Manifest.Encoded()})
	}
	if n.Layer != "" {
		out = append(out, staleName{s.dirKey("/repositories/" + repo + "/_blobs/" + string(n.Layer.Algorithm())), n.Layer.Encoded()})
	}
	if n.Blob != "" {
		hex := n.Blob.Encoded()
		out = append(out, s.newBlob(n.Blob)...)
		out = append(out, staleName{s.dirKey("/blobs/" + string(n.Blob.Algorithm()) + "/" + hex[:2]), hex})
	}
	return out
}

// rawFile is any file of the store but a blob's data. Other content is another
// rawFile, with a node of its own.
type rawFile struct {
	s     *fsys
	path  layout.RawPath
	size  int64
	mtime time.Time
	link  digest.Digest // what it leads to, if we have just put it
}

var (
	_ = (opener)((*rawFile)(nil))
	_ = (replaceable)((*rawFile)(nil))
	_ = (timeSetter)((*rawFile)(nil))
)

// key has the second of a remote file only: its listing may tell more of the time
// than an answer about it alone.
func (f *rawFile) key() key {
	mtime := f.mtime.UnixNano()
	if f.s.reg.IsRemote() {
		mtime = f.mtime.Unix()
	}
	return f.s.secret.of("raw", string(f.path), fmt.Sprint(f.size, mtime))
}

// attr gives the time that the file has by now: it may have been set, by us or
// by others, while the kernel still knows this node.
func (f *rawFile) attr(ctx context.Context) (attr, error) {
	a := fileAttr(f.size, f.mtime, mutable)
	if e, err := f.s.reg.Raw().Stat(ctx, f.path); err == nil && e.Size == f.size {
		a.mtime = e.ModTime
	}
	return a, nil
}

// open makes sure that what it opens is what this node stands for: the pages
// that the kernel keeps are those of the node. Else the name is looked up again.
// A link needs no such care and is read only when it is asked for: it is one
// page, so that it is never read in two states, and all links have one size. Of a
// remote store no page of it is kept: a walk may have listed the node of what the
// link was before, and each read asks how it is now, as old as Reading allows.
func (f *rawFile) open(ctx context.Context, _ *node) (reader, uint32, error) {
	r := f.reader()
	if strings.HasSuffix(string(f.path), "/link") {
		if f.s.reg.IsRemote() {
			return r, fuse.FOPEN_DIRECT_IO, nil
		}
		return r, 0, nil
	}
	b, e, err := f.s.reg.Raw().OpenInfo(ctx, f.path, f.size)
	if err != nil {
		return nil, 0, err
	}
	r.blob = b
	if e.Size == f.size && sameTime(e.ModTime, f.mtime) {
		return r, 0, nil
	}
	if caller, ok := fuse.FromContext(ctx); ok && f.s.again.first(caller.Pid) {
		r.close()
		return nil, 0, syscall.ESTALE
	}
	return r, fuse.FOPEN_DIRECT_IO, nil // past the pages of this node
}

// sameTime compares times of which one may have been cut to seconds: what gives
// the content of an object and what lists it may differ in that.
func sameTime(a, b time.Time) bool {
	if a.Nanosecond() == 0 || b.Nanosecond() == 0 {
		return a.Unix() == b.Unix()
	}
	return a.Equal(b)
}

func (f *rawFile) reader() *lazyReader {
	return &lazyReader{size: f.size, openBlob: func(ctx context.Context) (*layout.BlobReader, error) {
		return f.s.reg.Raw().OpenSized(ctx, f.path, f.size)
	}}
}

func (f *rawFile) content() (*lazyReader, bool) { return f.reader(), false }
func (f *rawFile) system() *fsys                { return f.s }

// setModTime makes the file another node.
func (f *rawFile) setModTime(ctx context.Context, t time.Time) error {
	err := f.s.reg.Raw().SetModTime(ctx, f.path, t)
	if errors.Is(err, errors.ErrUnsupported) {
		return err // as it was
	}
	i := strings.LastIndexByte(string(f.path), '/')
	f.s.notify.stale(staleName{f.s.dirKey(rawMountPath(f.path[:i])), string(f.path[i+1:])})
	return err
}

// rawPlace is a path of the store.
type rawPlace struct {
	d    *rawDir
	name string
	path layout.RawPath
}

func (p *rawPlace) want() digest.Digest { return p.d.s.reg.Raw().Want(p.path) }
func (p *rawPlace) limit() int64        { return 0 }

// emptyIsContent: an empty upload is a file as any other; an empty link or
// blob is one that has not been written yet.
func (p *rawPlace) emptyIsContent() bool {
	if want := p.want(); want != "" {
		return isEmptyDigest(want)
	}
	return p.name != "link"
}

func (p *rawPlace) commit(ctx context.Context, c content) (committed, error) {
	s := p.d.s
	u := c.upload
	if u == nil {
		u = s.reg.NewUpload(p.want())
		defer u.Close()
		if err := s.copyWhole(ctx, u, c.ref); err != nil {
			return committed{}, err
		}
	}
	e, err := s.reg.Raw().Put(ctx, p.path, u, c.mtime)
	if err != nil {
		return committed{}, err
	}
	s.landed(ctx, p.d.path)
	return committed{found: p.d.found(&e), digest: e.Blob, stale: s.rawNames(p.path)}, nil
}
