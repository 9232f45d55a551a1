package layout

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"registryfs/drivers"
)

// File is one file of a repository's own directories, as a job over the whole
// store meets it.
type File struct {
	Path    RawPath
	Kind    FileKind
	Size    int64
	ModTime time.Time

	// Tag is set for the two links of a tag.
	Tag TagName
	// Upload is the id, for what belongs to an upload.
	Upload string

	// Name is what a link is named after; "" for a tag's current link.
	Name digest.Digest
	// Target is what a link says, which may be another digest than its name; ""
	// with a Problem.
	Target digest.Digest
	// Problem says that a link is damaged. It is ErrCorrupt.
	Problem error
}

// Raw is the file as one of the store's own tree.
func (f File) Raw() RawFile {
	e := Entry{Name: baseName(string(f.Path)), Size: f.Size, ModTime: f.ModTime}
	return RawFile{f.Path, RawEntry{Entry: e}}
}

// FileKind says what a file is for.
type FileKind int

const (
	// FileOther is not understood, or of no use to a registry of version 3.
	FileOther FileKind = iota
	// FileLayer links a layer or config.
	FileLayer
	// FileRevision links a manifest.
	FileRevision
	// FileTagCurrent is what a tag points to.
	FileTagCurrent
	// FileTagIndex is something a tag has pointed to.
	FileTagIndex
	// FileUpload is a part of an upload in progress.
	FileUpload
)

// IsLink reports whether files of the kind hold a digest.
func (k FileKind) IsLink() bool {
	return k == FileLayer || k == FileRevision || k == FileTagCurrent || k == FileTagIndex
}

// filesAtOnce is how many files are looked at together. It is a page of a
// listing, so that what their ETags prove of each other is proven.
const filesAtOnce = 1000

// Files yields every file of the repository: what is below its directories that
// begin with '_', but not its nested repositories. Links have been read, past what
// a walk has listed before; what the ETag of a listing proves is not asked for.
//
// An error that comes with a Path is of that file alone. One without ends the
// directory, of which more files may be, and the next one follows; or all, if the
// directories could not be listed. What vanishes on the way is passed over.
func (p Repository) Files(ctx context.Context) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		for dir, err := range drivers.ListInfo(ctx, p.r.driver, repositoryPath(p.name)) {
			if isAbsent(err) {
				return
			}
			if err != nil {
				yield(File{}, fmt.Errorf("list repository %s: %w", p.name, err))
				return
			}
			if !dir.IsDir() || !strings.HasPrefix(baseName(dir.Path()), "_") {
				continue
			}
			if !p.filesBelow(ctx, dir.Path(), yield) {
				return
			}
		}
	}
}

// filesBelow yields the files of one directory, and tells whether to go on.
func (p Repository) filesBelow(ctx context.Context, dir string, yield func(File, error) bool) bool {
	var batch []drivers.FileInfo
	flush := func() bool {
		files, errs := p.readFiles(ctx, batch)
		batch = batch[:0]
		for i, f := range files {
			if isAbsent(errs[i]) {
				continue
			}
			if !yield(f, errs[i]) {
				return false
			}
		}
		return true
	}
	for info, err := range drivers.WalkInfo(ctx, p.r.driver, dir, "") {
		if isAbsent(err) {
			break
		}
		if err != nil {
			return flush() && yield(File{}, fmt.Errorf("list files of %s: %w", p.name, err)) && ctx.Err() == nil
		}
		if batch = append(batch, info); len(batch) == filesAtOnce && !flush() {
			return false
		}
	}
	return flush()
}

// readFiles understands a batch of files. An error is of the file at its place.
func (p Repository) readFiles(ctx context.Context, batch []drivers.FileInfo) ([]File, []error) {
	files := make([]File, len(batch))
	errs := make([]error, len(batch))
	index := make(map[string]digest.Digest) // by the ETags of tags' indexes
	for i, info := range batch {
		files[i] = p.file(info)
		if f := files[i]; f.Kind == FileTagIndex && drivers.ETag(info) != "" {
			index[drivers.ETag(info)] = f.Name
		}
	}
	var g errgroup.Group
	g.SetLimit(parallel)
	for i, info := range batch {
		f := &files[i]
		if !f.Kind.IsLink() {
			continue
		}
		want := f.Name
		if f.Kind == FileTagCurrent {
			want = index[drivers.ETag(info)]
		}
		if proves(info, want) {
			f.Target = want
			continue
		}
		g.Go(func() error {
			errs[i] = f.read(ctx, p.r.driver)
			return nil
		})
	}
	_ = g.Wait() // each error has its place
	return files, errs
}

// proves reports whether the listing that info comes from says that the file
// holds want and nothing else.
func proves(info drivers.FileInfo, want digest.Digest) bool {
	if want == "" || info.Size() != int64(len(want)) {
		return false
	}
	sum := md5.Sum([]byte(want))
	return drivers.ETag(info) == hex.EncodeToString(sum[:])
}

// maxLink is how long a link may be to be read: the longest digest has 135 bytes.
const maxLink = 256

// read reads a link.
func (f *File) read(ctx context.Context, d drivers.StorageDriver) error {
	if f.Size > maxLink {
		f.Problem = fmt.Errorf("link %s: %w: %w: it has %d bytes", f.Path, ErrCorrupt, ErrLinkInvalid, f.Size)
		return nil
	}
	content, err := d.GetContent(ctx, string(f.Path))
	if err != nil {
		return fmt.Errorf("read link %s: %w", f.Path, err)
	}
	if f.Target, err = parseLink(content); err != nil {
		f.Problem = fmt.Errorf("link %s: %w: %w", f.Path, ErrCorrupt, err)
	}
	return nil
}

// ReadLink reads the layer or revision link that is named d as it is now. It is
// fs.ErrNotExist if there is none.
func (p Repository) ReadLink(ctx context.Context, kind FileKind, d digest.Digest) (File, error) {
	path := layerLinkPath(p.name, d)
	if kind == FileRevision {
		path = revisionLinkPath(p.name, d)
	}
	return p.readNamed(ctx, File{Path: RawPath(path), Kind: kind, Name: d})
}

// ReadHistoryLink is ReadLink for an entry of a tag's index.
func (p Repository) ReadHistoryLink(ctx context.Context, tag TagName, d digest.Digest) (File, error) {
	return p.readNamed(ctx, File{Path: p.HistoryLink(tag, d), Kind: FileTagIndex, Tag: tag, Name: d})
}

// readNamed fills in what the link f says.
func (p Repository) readNamed(ctx context.Context, f File) (File, error) {
	l, err := p.r.readLink(ctx, string(f.Path))
	if err != nil {
		return File{}, err
	}
	f.Size, f.ModTime, f.Target, f.Problem = int64(len(l.raw)), l.modTime, l.digest, l.problem
	return f, nil
}

// file tells by a path what the file is.
func (p Repository) file(info drivers.FileInfo) File {
	f := File{Path: RawPath(info.Path()), Size: info.Size(), ModTime: info.ModTime()}
	parts := strings.Split(strings.TrimPrefix(info.Path(), repositoryPath(p.name)+"/"), "/")
	if parts[0] == "_uploads" {
		f.Kind = FileUpload
		if len(parts) > 2 {
			f.Upload = parts[1]
		}
		return f
	}
	d := digestFromPath(info.Path())
	switch {
	case d != "" && info.Path() == layerLinkPath(p.name, d):
		f.Kind, f.Name = FileLayer, d
	case d != "" && info.Path() == revisionLinkPath(p.name, d):
		f.Kind, f.Name = FileRevision, d
	case len(parts) > 3 && parts[1] == "tags":
		tag, err := ParseTagName(parts[2])
		switch {
		case err != nil:
		case info.Path() == tagCurrentLinkPath(p.name, tag):
			f.Kind, f.Tag = FileTagCurrent, tag
		case d != "" && info.Path() == tagIndexLinkPath(p.name, tag, d):
			f.Kind, f.Tag, f.Name = FileTagIndex, tag, d
		}
	}
	return f
}
