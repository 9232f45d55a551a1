package layout

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
)

// What follows removes for package gc, which has looked whether anybody needs it.
// That something is gone already is no error.

// Delete removes a blob's data from the store.
func (s BlobStore) Delete(ctx context.Context, d digest.Digest) error {
	if err := validate(d); err != nil {
		return fmt.Errorf("delete blob %q: %w: %w", d, ErrDigestInvalid, err)
	}
	defer s.r.cache.forget(d)
	if err := s.r.driver.Delete(ctx, blobDataPath(d)); err != nil && !isAbsent(err) {
		return fmt.Errorf("delete blob %s: %w", d, err)
	}
	return nil
}

// RemoveLink removes one of the repository's links: that of a layer, a revision or
// an entry of a tag's index.
func (p Repository) RemoveLink(ctx context.Context, link RawPath) error {
	if err := p.r.driver.Delete(ctx, string(link)); err != nil && !isAbsent(err) {
		return fmt.Errorf("remove link %s: %w", link, err)
	}
	return nil
}

// PutLink makes link hold d.
func (p Repository) PutLink(ctx context.Context, link RawPath, d digest.Digest) error {
	if err := drivers.PutContents(ctx, p.r.driver, []drivers.Content{linkContent(string(link), d)}); err != nil {
		return fmt.Errorf("put link %s: %w", link, err)
	}
	return nil
}

// UploadDir is where all there is of an upload in progress lies.
func (p Repository) UploadDir(id string) RawPath { return RawPath(uploadsPath(p.name)).Join(id) }

// RemoveUpload removes an upload in progress with all there is of it.
func (p Repository) RemoveUpload(ctx context.Context, id string) error {
	if err := p.r.driver.Delete(ctx, string(p.UploadDir(id))); err != nil && !isAbsent(err) {
		return fmt.Errorf("remove upload %s of %s: %w", id, p.name, err)
	}
	return nil
}

// HistoryLink is the link of an entry of a tag's index.
func (p Repository) HistoryLink(tag TagName, d digest.Digest) RawPath {
	return RawPath(tagIndexLinkPath(p.name, tag, d))
}
