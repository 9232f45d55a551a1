package layout

import (
	"context"
	"fmt"
	"iter"

	"github.com/opencontainers/go-digest"
)

// ManifestStore is the revisions of one repository, tagged or not.
type ManifestStore struct {
	p Repository
}

// Algorithms lists the digest algorithms there are revisions of, sorted. sha256
// is always there.
func (s ManifestStore) Algorithms(ctx context.Context) ([]digest.Algorithm, error) {
	return s.p.r.algorithms(ctx, revisionsPath(s.p.name))
}

// All yields the revisions of one algorithm by the hex part of their digests,
// in no order. A repository that is missing has none. One that somebody has half
// removed may be among them: Stat tells.
func (s ManifestStore) All(ctx context.Context, alg digest.Algorithm) iter.Seq2[string, error] {
	return s.p.r.hexNames(ctx, s.p.dirPath(Dir{DirRevisions, alg}), alg)
}

// Stat describes the revision named d. Without a link it is
// ManifestUnknownError; one whose link is damaged or leads nowhere has a
// Problem.
func (s ManifestStore) Stat(ctx context.Context, d digest.Digest) (Descriptor, error) {
	l, err := s.link(ctx, d)
	if err != nil {
		return Descriptor{}, err
	}
	desc, err := s.p.r.follow(ctx, l)
	if err != nil {
		return Descriptor{}, fmt.Errorf("manifest %s of %s: %w", d, s.p.name, err)
	}
	return desc, nil
}

// Get reads the revision named d whole, however large, and verifies it. The
// bytes are shared: the caller must not change them. A damaged one is
// ErrCorrupt.
func (s ManifestStore) Get(ctx context.Context, d digest.Digest) ([]byte, error) {
	l, err := s.link(ctx, d)
	if err != nil {
		return nil, err
	}
	if l.problem != nil {
		return nil, fmt.Errorf("manifest %s of %s: %w", d, s.p.name, l.problem)
	}
	content, err := s.p.r.readBlob(ctx, l.digest)
	if isAbsent(err) {
		return nil, fmt.Errorf("manifest %s of %s: %w: its blob %s is not in the store", d, s.p.name, ErrCorrupt, l.digest)
	}
	if err != nil {
		return nil, fmt.Errorf("manifest %s of %s: %w", d, s.p.name, err)
	}
	return content, nil
}

func (s ManifestStore) link(ctx context.Context, d digest.Digest) (link, error) {
	if err := validate(d); err != nil {
		return link{}, ManifestUnknownError{Repository: s.p.name, Digest: d}
	}
	l, err := s.p.r.readLink(ctx, revisionLinkPath(s.p.name, d))
	if isAbsent(err) {
		return link{}, ManifestUnknownError{Repository: s.p.name, Digest: d}
	}
	if err != nil {
		return link{}, fmt.Errorf("manifest %s of %s: %w", d, s.p.name, err)
	}
	return l, nil
}
