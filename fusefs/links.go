package fusefs

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"slices"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// linkKind tells a repository's manifests from its blobs.
type linkKind int

const (
	manifestLinks linkKind = iota
	blobLinks
)

// linksDir is a repository's _manifests or _blobs, or with an algorithm the
// directory of digests in it. The two kinds differ in what may be put into
// them and in which links of the repository they show.
type linksDir struct {
	s    *fsys
	repo layout.Repository
	kind linkKind
	alg  digest.Algorithm // "" for _manifests and _blobs themselves
}

var (
	_ = (container)((*linksDir)(nil))
	_ = (remover)((*linksDir)(nil))
	_ = (folder)((*linksDir)(nil))
	_ = (timeSetter)((*linksDir)(nil))
)

// linkStore is what the manifests and the blobs of a repository have in common.
type linkStore interface {
	Algorithms(ctx context.Context) ([]digest.Algorithm, error)
	All(ctx context.Context, alg digest.Algorithm) iter.Seq2[string, error]
	Stat(ctx context.Context, d digest.Digest) (layout.Descriptor, error)
	Unlink(ctx context.Context, d digest.Digest) error
}

func (d *linksDir) store() linkStore {
	if d.kind == manifestLinks {
		return d.repo.Manifests()
	}
	return d.repo.Blobs()
}

func (d *linksDir) top() string {
	name := "_blobs"
	if d.kind == manifestLinks {
		name = "_manifests"
	}
	return "/repositories/" + string(d.repo.Name()) + "/" + name
}

func (d *linksDir) path() string { return d.top() + slash(string(d.alg)) }

func (d *linksDir) dir() layout.Dir {
	switch {
	case d.kind == manifestLinks && d.alg == "":
		return layout.Dir{Kind: layout.DirManifests}
	case d.kind == manifestLinks:
		return layout.Dir{Kind: layout.DirRevisions, Algorithm: d.alg}
	case d.alg == "":
		return layout.Dir{Kind: layout.DirBlobs}
	}
	return layout.Dir{Kind: layout.DirLayers, Algorithm: d.alg}
}

func (d *linksDir) attr(ctx context.Context) (attr, error) {
	return d.s.repoDirAttr(ctx, d.path(), d.repo.Name(), d.dir())
}

func (d *linksDir) setModTime(ctx context.Context, t time.Time) error {
	return d.repo.SetModTime(ctx, d.dir(), t)
}

func (d *linksDir) sub(ctx context.Context, alg digest.Algorithm) (found, error) {
	sub := *d
	sub.alg = alg
	return d.s.dir(ctx, sub.path(), &sub)
}

func (d *linksDir) lookup(ctx context.Context, name string) (found, error) {
	if a, ok := d.s.aliases.get(staleName{d.s.dirKey(d.path()), name}); ok {
		return d.stat(ctx, a)
	}
	if name == stagingName {
		return d.s.stagingDirIn(d.path(), name)
	}
	if d.alg == "" {
		return d.lookupAlgorithm(ctx, digest.Algorithm(name))
	}
	dgst, err := layout.ParseHex(d.alg, name)
	if err != nil {
		return found{}, errNoEntry
	}
	return d.stat(ctx, dgst)
}

func (d *linksDir) lookupAlgorithm(ctx context.Context, name digest.Algorithm) (found, error) {
	if name == digest.SHA256 {
		return d.sub(ctx, name) // always there
	}
	algs, err := d.algorithms(ctx)
	if err != nil {
		return found{}, err
	}
	for _, alg := range algs {
		if alg == name {
			return d.sub(ctx, alg)
		}
	}
	return found{}, errNoEntry
}

// algorithms are those in the store, and those made in this mount.
func (d *linksDir) algorithms(ctx context.Context) ([]digest.Algorithm, error) {
	algs, err := d.store().Algorithms(ctx)
	if err != nil {
		return nil, err
	}
	if _, ok := d.s.locals.get(staleName{d.s.dirKey(d.top()), string(digest.SHA512)}); ok {
		for _, alg := range algs {
			if alg == digest.SHA512 {
				return algs, nil
			}
		}
		algs = append(algs, digest.SHA512)
	}
	return algs, nil
}

func (d *linksDir) stat(ctx context.Context, dgst digest.Digest) (found, error) {
	desc, err := d.store().Stat(ctx, dgst)
	if err != nil {
		return found{}, err
	}
	return d.s.linkFound(d.path(), dgst, &desc), nil
}

func (d *linksDir) list(ctx context.Context) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		if d.alg == "" {
			algs, err := d.algorithms(ctx)
			if err != nil {
				yield(entry{}, err)
				return
			}
			for _, alg := range algs {
				f, err := d.sub(ctx, alg)
				if !yield(entry{string(alg), f}, err) {
					return
				}
			}
			return
		}
		for hex, err := range d.store().All(ctx, d.alg) {
			if !yield(entry{name: hex}, err) || err != nil {
				return
			}
		}
	}
}

// place implements container. Beside the digests any name is taken; the file
// is then found under its digest.
func (d *linksDir) place(_ context.Context, name string, _ bool) (place, error) {
	if d.alg == "" {
		if temporary(name) {
			return nil, nil
		}
		return &linkPlace{d: d, name: name}, nil
	}
	dgst, err := layout.ParseHex(d.alg, name)
	if err != nil && temporary(name) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if d.kind == manifestLinks && d.alg != digest.SHA256 {
		return nil, refuse(syscall.EINVAL, "a registry stores manifests under their sha256 digest only",
			"copy the manifest into _manifests/sha256")
	}
	return &linkPlace{d: d, name: name, digest: dgst}, nil
}

func (d *linksDir) unlink(ctx context.Context, name string) error {
	if d.alg == "" {
		return errNoEntry
	}
	dgst, err := layout.ParseHex(d.alg, name)
	if err != nil {
		return errNoEntry
	}
	var stale []staleName
	if d.kind == manifestLinks && d.s.nodes.find(d.s.dirKey(referrersPath(d.repo.Name())+"/"+string(d.alg))) != nil {
		parts, _ := d.s.reg.Parts(ctx, dgst) // one that cannot be read refers to nothing
		stale = d.s.referrerNames(d.repo.Name(), parts.Subject, dgst)
	}
	if err := d.store().Unlink(ctx, dgst); err != nil {
		return err
	}
	d.s.notify.stale(stale...)
	return nil
}

func (d *linksDir) mkdir(ctx context.Context, name string) (found, error) {
	if d.alg != "" || name == stagingName {
		return d.s.makeStagingDir(d.path(), name)
	}
	if _, err := d.lookup(ctx, name); err == nil {
		return found{}, fs.ErrExist
	}
	if name != string(digest.SHA512) || d.kind == manifestLinks {
		return found{}, refuse(syscall.EINVAL, "the directories here are named after digest algorithms",
			"copy the files into sha256")
	}
	d.s.makeLocal(d.path(), name)
	return d.lookup(ctx, name)
}

// rmdir of an emptied directory of digests always succeeds.
func (d *linksDir) rmdir(ctx context.Context, name string) error {
	if d.alg != "" || name == stagingName {
		return d.s.removeStagingDir(d.path(), name)
	}
	f, err := d.lookupAlgorithm(ctx, digest.Algorithm(name))
	if err != nil {
		return err
	}
	sub := f.obj.(*linksDir)
	if len(d.s.drafts.in(f.key)) > 0 {
		return layout.ErrNotEmpty
	}
	d.s.locals.remove(staleName{d.s.dirKey(d.path()), name})
	if _, err := d.repo.ModTime(ctx, sub.dir()); isAbsent(err) {
		return nil
	}
	if !d.s.opts.AllowDelete {
		return errNoDelete
	}
	if err := d.repo.RemoveDir(ctx, sub.dir()); err != nil && !isAbsent(err) {
		return err
	}
	return nil
}

// linkPlace is a name in _manifests or _blobs.
type linkPlace struct {
	d      *linksDir
	name   string
	digest digest.Digest // "" where any name is taken
}

func (p *linkPlace) want() digest.Digest { return p.digest }

func (p *linkPlace) limit() int64 {
	if p.d.kind == manifestLinks {
		return layout.MaxManifestSize
	}
	return 0
}

// emptyIsContent: the empty blob is a blob as any other, if it is meant.
func (p *linkPlace) emptyIsContent() bool { return isEmptyDigest(p.digest) }

func isEmptyDigest(d digest.Digest) bool {
	return d != "" && d.Validate() == nil && d == d.Algorithm().FromBytes(nil)
}

func (p *linkPlace) commit(ctx context.Context, c content) (committed, error) {
	put, err := p.put(ctx, c)
	if err != nil {
		return committed{}, err
	}
	s, d := p.d.s, p.d
	name := p.digest
	if name == "" {
		name = put.Digest
		// install and copy2 go on to change times and modes by this path.
		s.aliases.put(staleName{s.dirKey(d.path()), p.name}, put.Digest, maxAliases)
	}
	desc := layout.Descriptor{Digest: put.Digest, Size: put.Size, ModTime: put.ModTime}
	if put.ModTime.IsZero() {
		if desc, err = d.store().Stat(ctx, name); err != nil {
			return committed{}, err
		}
	}
	s.keepTimes(ctx, d.repo)
	sha := d.top() + "/" + string(name.Algorithm())
	return committed{
		found:  s.linkFound(d.path(), name, &desc),
		digest: put.Digest,
		stale: append(slices.Concat(s.newRepository(d.repo.Name()), s.newBlob(put.Digest), s.referrerNames(d.repo.Name(), put.Subject, put.Digest)),
			staleName{s.dirKey(sha), name.Encoded()}),
		undo: undoLink(put, d.store().Unlink),
	}, nil
}

func (p *linkPlace) put(ctx context.Context, c content) (layout.Put, error) {
	if p.d.kind == manifestLinks {
		return putManifest(ctx, p.d.repo, c, layout.PutOptions{Want: p.digest, ModTime: c.mtime})
	}
	blobs, s := p.d.repo.Blobs(), p.d.s
	if c.ref != "" && (p.digest == "" || p.digest == c.ref) {
		newLink, err := blobs.Link(ctx, c.ref)
		return layout.Put{Digest: c.ref, NewLink: newLink}, err
	}
	u := c.upload
	if c.ref != "" {
		// Under a name of another algorithm: only the bytes tell.
		u = s.reg.NewUpload(p.digest)
		defer u.Close()
		if err := s.copyWhole(ctx, u, c.ref); err != nil {
			return layout.Put{}, err
		}
	}
	put, err := blobs.Put(ctx, u, p.digest)
	if err != nil || c.mtime.IsZero() {
		return put, err
	}
	err = s.reg.Blobs().SetModTime(ctx, put.Digest, c.mtime)
	if errors.Is(err, errors.ErrUnsupported) {
		return put, nil // the draft keeps it
	}
	put.ModTime = time.Time{}
	return put, err
}

// aliases are the names under which files were put into _manifests or _blobs.
// They are not listed: the files are there under their digests.
type aliases struct {
	boundedMap[staleName, digest.Digest]
}

const maxAliases = 1_000

// linkFound is a digest-named file: the blob itself, which is one file under
// all its names, or what is wrong with it.
func (s *fsys) linkFound(dir string, name digest.Digest, desc *layout.Descriptor) found {
	if desc.Problem != nil {
		return found{
			key:  s.secret.of("broken", dir, string(name)),
			obj:  &brokenFile{s, desc.Problem, desc.ModTime},
			attr: fileAttr(0, desc.ModTime, mutable),
		}
	}
	return s.digestFound(desc)
}

func (s *fsys) digestFound(desc *layout.Descriptor) found {
	var size [8]byte
	for i := range size {
		size[i] = byte(desc.Size >> (8 * i))
	}
	return found{
		key:  s.secret.of("digest", string(desc.Digest), string(size[:])),
		obj:  &digestFile{s, desc.Digest, desc.Size},
		attr: digestAttr(desc.Size, desc.ModTime),
	}
}

// digestFile is a blob or a manifest under its digest.
type digestFile struct {
	s      *fsys
	digest digest.Digest
	size   int64
}

var (
	_ = (opener)((*digestFile)(nil))
	_ = (replaceable)((*digestFile)(nil))
	_ = (timeSetter)((*digestFile)(nil))
)

func (f *digestFile) attr(ctx context.Context) (attr, error) {
	desc, err := f.s.reg.Blobs().Stat(ctx, f.digest)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && desc.Size != f.size) {
		// Collected, or repaired: this node stands for what it was.
		return digestAttr(f.size, epoch), nil
	}
	return digestAttr(f.size, desc.ModTime), err
}

func (f *digestFile) open(_ context.Context, n *node) (reader, uint32, error) {
	switch dir := f.s.nodes.parentObject(n).(type) {
	case *linksDir:
		if dir.kind == manifestLinks {
			f.s.reg.Served(dir.repo.Name(), f.digest)
		}
	case *historyDir:
		f.s.reg.Served(dir.repo.Name(), f.digest)
	}
	return f.s.blobReader(f.digest, f.size), 0, nil
}

func (f *digestFile) content() (*lazyReader, bool) { return f.s.blobReader(f.digest, f.size), true }
func (f *digestFile) system() *fsys                { return f.s }

func (f *digestFile) setModTime(ctx context.Context, t time.Time) error {
	return f.s.reg.Blobs().SetModTime(ctx, f.digest, t)
}
