package layout

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
)

// LinkedBlobStore is the layers and configs that one repository has linked.
type LinkedBlobStore struct {
	p Repository
}

// Algorithms lists the digest algorithms there are links of, sorted. sha256 is
// always there.
func (s LinkedBlobStore) Algorithms(ctx context.Context) ([]digest.Algorithm, error) {
	return s.p.r.algorithms(ctx, layersPath(s.p.name))
}

// All yields the linked blobs of one algorithm by the hex part of their
// digests, in no order. A repository that is missing has none. One that somebody
// has half removed may be among them: Stat tells.
func (s LinkedBlobStore) All(ctx context.Context, alg digest.Algorithm) iter.Seq2[string, error] {
	return s.p.r.hexNames(ctx, s.p.dirPath(Dir{DirLayers, alg}), alg)
}

// Stat describes the blob linked as d. Without a link it is BlobUnknownError;
// one whose link is damaged or leads nowhere has a Problem.
func (s LinkedBlobStore) Stat(ctx context.Context, d digest.Digest) (Descriptor, error) {
	l, err := s.link(ctx, d)
	if err != nil {
		return Descriptor{}, err
	}
	desc, err := s.p.r.follow(ctx, l)
	if err != nil {
		return Descriptor{}, fmt.Errorf("blob %s of %s: %w", d, s.p.name, err)
	}
	return desc, nil
}

func (s LinkedBlobStore) link(ctx context.Context, d digest.Digest) (link, error) {
	if err := validate(d); err != nil {
		return link{}, BlobUnknownError{Repository: s.p.name, Digest: d}
	}
	l, err := s.p.r.readLink(ctx, layerLinkPath(s.p.name, d))
	if isAbsent(err) {
		return link{}, BlobUnknownError{Repository: s.p.name, Digest: d}
	}
	if err != nil {
		return link{}, fmt.Errorf("blob %s of %s: %w", d, s.p.name, err)
	}
	return l, nil
}

// Put stores the upload's content and links it. It must have the digest want,
// unless that is "". Whatever algorithm want is of, the blob is stored under
// its sha256 digest, and a link of either name holds that, as the registry does
// it. A stored blob that is no longer whole is replaced.
func (s LinkedBlobStore) Put(ctx context.Context, u *Upload, want digest.Digest) (Put, error) {
	done, err := u.acquire(ctx)
	if err != nil {
		return Put{}, err
	}
	defer done()
	d, err := u.digest(ctx, digest.Canonical)
	if err != nil {
		return Put{}, err
	}
	if err := s.checkWant(ctx, u, want, d); err != nil {
		return Put{}, fmt.Errorf("blob of repository %s: %w", s.p.name, err)
	}
	links, err := s.missingLinks(ctx, d, want)
	if err != nil {
		return Put{}, err
	}
	files, isNew, err := u.store(ctx, blobDataPath(d), d)
	if err != nil {
		return Put{}, fmt.Errorf("put blob %s: %w", d, err)
	}
	put := Put{Digest: d, Size: u.Size(), NewLink: len(links) > 0, NewBlob: isNew}
	var told sync.WaitGroup
	if len(files) == 0 { // the blob is there: a remote store tells while the links are put
		told.Go(func() { s.tell(ctx, &put) })
	}
	if all := append(files, links...); len(all) > 0 {
		err = drivers.PutContents(ctx, s.p.r.driver, all)
	}
	told.Wait()
	if err != nil {
		s.p.r.cache.forget(d)
		return Put{}, fmt.Errorf("put blob %s: %w", d, err)
	}
	if len(files) > 0 {
		s.tell(ctx, &put)
	}
	return put, nil
}

// tell fills in the time of a blob that has been put. What was just written is
// looked at again by who asks next.
func (s LinkedBlobStore) tell(ctx context.Context, put *Put) {
	if put.NewBlob {
		defer s.p.r.cache.forget(put.Digest)
	}
	if b, err := s.p.r.statBlobNow(ctx, put.Digest); err == nil {
		put.ModTime = b.modTime
	}
}

// checkWant is ErrDigestMismatch if the content, whose sha256 digest is d, has
// not the digest want.
func (s LinkedBlobStore) checkWant(ctx context.Context, u *Upload, want, d digest.Digest) error {
	if want == "" {
		return nil
	}
	if err := want.Validate(); err != nil {
		return fmt.Errorf("%w: %q", ErrDigestInvalid, want)
	}
	if want.Algorithm() == digest.Canonical {
		return checkDigest(want, d)
	}
	got, err := u.digest(ctx, want.Algorithm())
	if err != nil {
		return err
	}
	return checkDigest(want, got)
}

// missingLinks are those of the blob d, also known as alias if that is another
// digest, which the repository does not have.
func (s LinkedBlobStore) missingLinks(ctx context.Context, d, alias digest.Digest) ([]drivers.Content, error) {
	names := []digest.Digest{d}
	if alias != "" && alias != d {
		names = append(names, alias)
	}
	var links []drivers.Content
	for _, name := range names {
		path := layerLinkPath(s.p.name, name)
		have, err := s.p.r.holds(ctx, path, d)
		if err != nil {
			return nil, fmt.Errorf("link blob %s to %s: %w", name, s.p.name, err)
		}
		if !have {
			links = append(links, linkContent(path, d))
		}
	}
	return links, nil
}

// Link links a blob of the store, as the registry's cross-repository mount
// does. It is BlobUnknownError if there is none. newLink tells whether the
// repository did not have it.
func (s LinkedBlobStore) Link(ctx context.Context, d digest.Digest) (newLink bool, err error) {
	if err := validate(d); err != nil {
		return false, fmt.Errorf("link blob %q: %w: %w", d, ErrDigestInvalid, err)
	}
	if _, err := s.p.r.statBlobNow(ctx, d); err != nil {
		return false, err
	}
	links, err := s.missingLinks(ctx, d, "")
	if err != nil || len(links) == 0 {
		return false, err
	}
	if err := drivers.PutContents(ctx, s.p.r.driver, links); err != nil {
		return false, fmt.Errorf("link blob %s to %s: %w", d, s.p.name, err)
	}
	return true, nil
}
