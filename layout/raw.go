package layout

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
)

// RawTree is the store's own tree, as the registry beside it sees it, for the
// backup and migration of everything: all names are as they are stored.
type RawTree struct {
	r *Registry
}

// RawPath is a path of the store itself: "/" or "/a/b". It may be any string;
// one the store cannot have is ErrNameInvalid where it is used.
type RawPath string

// Join is the path of the child name of p.
func (p RawPath) Join(name string) RawPath {
	if p == "/" {
		return p + RawPath(name)
	}
	return p + "/" + RawPath(name)
}

// RawEntry is one name of the store's own tree.
type RawEntry struct {
	Entry
	// Blob is set for a blob's data at its canonical path: what a registry
	// serves under that digest.
	Blob digest.Digest
	// Link is what a link that was just put leads to.
	Link digest.Digest
}

func rawEntryOf(info drivers.FileInfo) RawEntry {
	e := RawEntry{Entry: entryOf(info)}
	if !info.IsDir() {
		e.Blob = blobFromPath(info.Path())
	}
	return e
}

// Check says whether the store can have a file or directory of that path: the
// error is ErrNameInvalid and names the part that it cannot.
func (t RawTree) Check(p RawPath) error {
	if p == "/" || drivers.ValidPath(string(p)) {
		return nil
	}
	for part := range strings.SplitSeq(strings.TrimPrefix(string(p), "/"), "/") {
		if !validComponent(part) {
			return fmt.Errorf("%.300q in %.300s: a name in the store has only letters, digits, '.', '_' and '-': %w", part, p, ErrNameInvalid)
		}
	}
	return fmt.Errorf("path %.300q: %w: it does not begin with a slash", p, ErrNameInvalid)
}

// Stat describes a file or directory. It is fs.ErrNotExist if there is none.
func (t RawTree) Stat(ctx context.Context, p RawPath) (RawEntry, error) {
	if err := t.Check(p); err != nil {
		return RawEntry{}, err
	}
	info, err := t.r.statNamed(ctx, string(p))
	if err != nil {
		return RawEntry{}, fmt.Errorf("stat %s: %w", p, err)
	}
	return rawEntryOf(info), nil
}

// List yields what is in a directory, in no order. It is fs.ErrNotExist if there
// is none.
func (t RawTree) List(ctx context.Context, p RawPath) iter.Seq2[RawEntry, error] {
	return func(yield func(RawEntry, error) bool) {
		if err := t.Check(p); err != nil {
			yield(RawEntry{}, err)
			return
		}
		for info, err := range drivers.ListInfo(ctx, t.r.driver, string(p)) {
			if err != nil {
				yield(RawEntry{}, fmt.Errorf("list %s: %w", p, err))
				return
			}
			if !yield(rawEntryOf(info), nil) {
				return
			}
		}
	}
}

// Open opens a file for reading. It is fs.ErrNotExist if there is none.
func (t RawTree) Open(ctx context.Context, p RawPath) (*BlobReader, error) {
	if err := t.Check(p); err != nil {
		return nil, err
	}
	b, err := t.r.openFile(ctx, string(p))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", p, err)
	}
	return b, nil
}

// OpenSized is Open for a file of known size: in a remote store that is no
// request, and fs.ErrNotExist may come of the first read instead.
func (t RawTree) OpenSized(ctx context.Context, p RawPath, size int64) (*BlobReader, error) {
	if err := t.Check(p); err != nil {
		return nil, err
	}
	b, err := t.r.openSized(ctx, string(p), size)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", p, err)
	}
	return b, nil
}

// OpenInfo is OpenSized with the description of what was opened. In a remote
// store that is one request, and a small file is read by it.
func (t RawTree) OpenInfo(ctx context.Context, p RawPath, size int64) (*BlobReader, RawEntry, error) {
	if err := t.Check(p); err != nil {
		return nil, RawEntry{}, err
	}
	b, info, err := t.r.openInfo(ctx, string(p), size)
	if err != nil {
		return nil, RawEntry{}, fmt.Errorf("open %s: %w", p, err)
	}
	return b, rawEntryOf(info), nil
}

// Want is the digest that the content of p must have, known before it is
// written, or "".
func (t RawTree) Want(p RawPath) digest.Digest {
	return blobFromPath(string(p))
}

// Put stores the upload's content as the file p, and its time if mtime is set
// and the store can. A blob's data must have the digest of its path, any file
// named link must be a link; it may lead nowhere. All else is stored as it is.
func (t RawTree) Put(ctx context.Context, p RawPath, u *Upload, mtime time.Time) (RawEntry, error) {
	if err := t.Check(p); err != nil {
		return RawEntry{}, err
	}
	done, err := u.acquire(ctx)
	if err != nil {
		return RawEntry{}, err
	}
	defer done()
	want, link, err := t.checkContent(ctx, p, u)
	if err != nil {
		return RawEntry{}, fmt.Errorf("put %s: %w", p, err)
	}
	defer t.forget(p)
	files, _, err := u.store(ctx, string(p), want)
	if err == nil && len(files) > 0 {
		err = drivers.PutContents(ctx, t.r.driver, files)
	}
	if err != nil {
		return RawEntry{}, fmt.Errorf("put %s: %w", p, err)
	}
	if !mtime.IsZero() {
		err := drivers.Chtimes(ctx, t.r.driver, string(p), mtime)
		if err != nil && !errors.Is(err, errors.ErrUnsupported) {
			t.r.log.Warn("time of a file not set", "path", p, "error", err)
		}
	}
	e, err := t.Stat(ctx, p)
	if err != nil {
		// It is stored. Somebody else may have removed it since.
		e = RawEntry{Entry: Entry{Name: baseName(string(p)), Size: u.Size(), ModTime: mtime}, Blob: t.Want(p)}
	}
	e.Link = link
	return e, nil
}

// checkContent finds the digest that the content of p must have, and refuses
// what has another, or is to be a link and is none.
func (t RawTree) checkContent(ctx context.Context, p RawPath, u *Upload) (want, link digest.Digest, err error) {
	switch baseName(string(p)) {
	case "link":
		content, err := u.linkBytes()
		if err != nil {
			return "", "", err
		}
		link, err = parseLink(content)
		return "", link, err
	case "data":
		if !strings.HasPrefix(string(p), blobsPath+"/") {
			return "", "", nil
		}
		want := digestFromPath(string(p))
		if want == "" {
			return "", "", nil
		}
		got, err := u.digest(ctx, want.Algorithm())
		if err != nil {
			return "", "", err
		}
		return want, "", checkDigest(want, got)
	}
	return "", "", nil
}

// linkBytes is the content as far as it can be a link.
func (u *Upload) linkBytes() ([]byte, error) {
	if u.Size() > maxLink {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrLinkInvalid, u.Size())
	}
	return u.bytes()
}

// Delete removes a file. It is fs.ErrNotExist if there is none.
func (t RawTree) Delete(ctx context.Context, p RawPath) error {
	if err := t.Check(p); err != nil {
		return err
	}
	e, err := t.Stat(ctx, p)
	if err != nil {
		return err
	}
	if e.Dir {
		return fmt.Errorf("remove %s: %w: it is a directory", p, fs.ErrInvalid)
	}
	return t.remove(ctx, p)
}

// RemoveDir removes an empty directory. It is ErrNotEmpty if there is anything
// in it.
func (t RawTree) RemoveDir(ctx context.Context, p RawPath) error {
	if err := t.Check(p); err != nil {
		return err
	}
	for e, err := range t.List(ctx, p) {
		if err != nil {
			return err
		}
		return fmt.Errorf("remove %s: %w: %s is there", p, ErrNotEmpty, e.Name)
	}
	return t.remove(ctx, p)
}

func (t RawTree) remove(ctx context.Context, p RawPath) error {
	defer t.forget(p)
	if err := t.r.driver.Delete(ctx, string(p)); err != nil {
		return fmt.Errorf("remove %s: %w", p, err)
	}
	return nil
}

// SetModTime sets the time of a file or directory, where the store can.
func (t RawTree) SetModTime(ctx context.Context, p RawPath, mtime time.Time) error {
	if err := t.Check(p); err != nil {
		return err
	}
	defer t.forget(p)
	if err := drivers.Chtimes(ctx, t.r.driver, string(p), mtime); err != nil {
		return fmt.Errorf("set time of %s: %w", p, err)
	}
	return nil
}

// forget drops what is cached of p.
func (t RawTree) forget(p RawPath) {
	if d := t.Want(p); d != "" {
		t.r.cache.forget(d)
	}
}

// Names are the public names that a change of one raw path touches. What is ""
// is not touched.
type Names struct {
	Repository RepositoryName
	Tag        TagName       // of Repository
	Manifest   digest.Digest // of Repository
	Layer      digest.Digest // of Repository
	Blob       digest.Digest // in the whole store
}

// Names tells what a change of p changes in the other views. A path inside a
// repository that is not understood is a change of the repository.
func (t RawTree) Names(p RawPath) Names {
	if d := blobFromPath(string(p)); d != "" {
		return Names{Blob: d}
	}
	rest, ok := strings.CutPrefix(string(p), repositoriesPath+"/")
	if !ok {
		return Names{}
	}
	repo, rest := splitRepository(rest)
	if repo == "" {
		return Names{}
	}
	n := Names{Repository: repo}
	parts := strings.Split(rest, "/")
	switch {
	case len(parts) >= 3 && parts[0] == "_manifests" && parts[1] == "tags":
		if tag, err := ParseTagName(parts[2]); err == nil {
			n.Tag = tag
		}
	case len(parts) >= 4 && parts[0] == "_manifests" && parts[1] == "revisions":
		n.Manifest, _ = ParseHex(digest.Algorithm(parts[2]), parts[3])
	case len(parts) >= 3 && parts[0] == "_layers":
		n.Layer, _ = ParseHex(digest.Algorithm(parts[1]), parts[2])
	}
	return n
}

// splitRepository takes the repository's name off a path below repositories/:
// all before the first component that begins with '_'.
func splitRepository(path string) (name RepositoryName, rest string) {
	for path != "" {
		part, after, _ := strings.Cut(path, "/")
		next, ok := name.Join(part)
		if !ok {
			break
		}
		name, path = next, after
	}
	return name, path
}
