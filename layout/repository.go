package layout

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
)

// Repository is one repository: a name, which costs nothing to make and need
// not exist.
type Repository struct {
	r    *Registry
	name RepositoryName
}

// Name is the repository's name.
func (p Repository) Name() RepositoryName { return p.name }

// Tags are the repository's tags.
func (p Repository) Tags() TagStore { return TagStore{p} }

// Manifests are the repository's revisions, tagged or not.
func (p Repository) Manifests() ManifestStore { return ManifestStore{p} }

// Blobs are the layers and configs linked in the repository.
func (p Repository) Blobs() LinkedBlobStore { return LinkedBlobStore{p} }

// DirKind is a kind of directory of a repository.
type DirKind int

const (
	// DirRepository is the repository itself.
	DirRepository DirKind = iota
	// DirTags holds the tags.
	DirTags
	// DirManifests holds the algorithms of the revisions.
	DirManifests
	// DirRevisions holds the revisions of one algorithm.
	DirRevisions
	// DirBlobs holds the algorithms of the linked blobs.
	DirBlobs
	// DirLayers holds the linked blobs of one algorithm.
	DirLayers
	// DirUploads holds the uploads in progress.
	DirUploads
)

// Dir is one directory of a repository.
type Dir struct {
	Kind      DirKind
	Algorithm digest.Algorithm // of DirRevisions and DirLayers
}

func (p Repository) dirPath(d Dir) string {
	switch d.Kind {
	case DirRepository:
		return repositoryPath(p.name)
	case DirTags:
		return tagsPath(p.name)
	case DirManifests:
		return revisionsPath(p.name)
	case DirRevisions:
		return revisionsPath(p.name) + "/" + algorithmPath(d.Algorithm)
	case DirBlobs:
		return layersPath(p.name)
	case DirLayers:
		return layersPath(p.name) + "/" + algorithmPath(d.Algorithm)
	case DirUploads:
		return uploadsPath(p.name)
	}
	panic(fmt.Sprintf("layout: no directory kind %d", d.Kind))
}

// ModTime is the time of the directory in the store. It is fs.ErrNotExist if
// there is none, and the zero time where the store keeps no time for it.
func (p Repository) ModTime(ctx context.Context, d Dir) (time.Time, error) {
	info, err := p.r.driver.Stat(ctx, p.dirPath(d))
	if err != nil {
		return time.Time{}, fmt.Errorf("time of a directory of %s: %w", p.name, err)
	}
	return info.ModTime(), nil
}

// SetModTime sets the time of the directory in the store. It is fs.ErrNotExist
// if there is none, errors.ErrUnsupported where the store keeps none.
func (p Repository) SetModTime(ctx context.Context, d Dir, t time.Time) error {
	if err := drivers.Chtimes(ctx, p.r.driver, p.dirPath(d), t); err != nil {
		return fmt.Errorf("set time of a directory of %s: %w", p.name, err)
	}
	return nil
}

// Uploads yields the uploads in progress, by id. Size and time are those of the
// data so far; where a store does not show it, 0 and when the upload started.
func (p Repository) Uploads(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for info, err := range drivers.ListInfo(ctx, p.r.driver, uploadsPath(p.name)) {
			if isAbsent(err) {
				return
			}
			if err != nil {
				yield(Entry{}, fmt.Errorf("list uploads of %s: %w", p.name, err))
				return
			}
			if !info.IsDir() {
				continue
			}
			e, err := p.upload(ctx, baseName(info.Path()))
			if err != nil {
				yield(Entry{}, err)
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (p Repository) upload(ctx context.Context, id string) (Entry, error) {
	e := Entry{Name: id}
	info, err := p.r.driver.Stat(ctx, uploadDataPath(p.name, id))
	if err == nil {
		e.Size, e.ModTime = info.Size(), info.ModTime()
		return e, nil
	}
	if !isAbsent(err) {
		return Entry{}, fmt.Errorf("stat upload %s of %s: %w", id, p.name, err)
	}
	started, err := p.r.driver.GetContent(ctx, uploadStartedAtPath(p.name, id))
	if err != nil && !isAbsent(err) {
		return Entry{}, fmt.Errorf("read start of upload %s of %s: %w", id, p.name, err)
	}
	if t, err := time.Parse(time.RFC3339, string(started)); err == nil {
		e.ModTime = t
	}
	return e, nil
}

// OpenUpload opens the data of an upload in progress, as much as there is. It
// is fs.ErrNotExist if the store does not show any.
func (p Repository) OpenUpload(ctx context.Context, id string) (*BlobReader, error) {
	if !validComponent(id) {
		return nil, fmt.Errorf("upload %q: %w", id, ErrNameInvalid)
	}
	b, err := p.r.openFile(ctx, uploadDataPath(p.name, id))
	if err != nil {
		return nil, fmt.Errorf("open upload %s of %s: %w", id, p.name, err)
	}
	return b, nil
}
