package layout

import (
	"context"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
	"registryfs/layout/ahead"
)

// A link is a file that holds a digest and nothing else, no newline either.

// parseLink is strict, as the registry is: anything but one digest makes it
// answer 500 and its garbage collection stop. The error is ErrLinkInvalid.
func parseLink(content []byte) (digest.Digest, error) {
	d := digest.Digest(content)
	if err := validate(d); err != nil {
		return "", fmt.Errorf("%w: %.80q: %w", ErrLinkInvalid, content, err)
	}
	return d, nil
}

// link is one link file as it was found.
type link struct {
	digest  digest.Digest // "" with a problem
	raw     []byte
	modTime time.Time
	asked   time.Time // when the store was asked
	problem error     // ErrCorrupt
}

// readLink reads the link at path with one request. A link that is damaged is
// no error but has a problem; one that is not there is fs.ErrNotExist.
func (r *Registry) readLink(ctx context.Context, path string) (link, error) {
	asked := time.Now()
	content, info, err := drivers.GetContentInfo(ctx, r.driver, path)
	if err != nil {
		return link{}, fmt.Errorf("read link: %w", err)
	}
	if t := ahead.Asked(info); !t.IsZero() {
		asked = t
	}
	l := link{raw: content, modTime: info.ModTime(), asked: asked}
	if l.digest, err = parseLink(content); err != nil {
		l.problem = fmt.Errorf("link %s: %w: %w", path, ErrCorrupt, err)
	}
	return l, nil
}

// holds reports whether the link at path is there and says d.
func (r *Registry) holds(ctx context.Context, path string, d digest.Digest) (bool, error) {
	l, err := r.readLink(ctx, path)
	if isAbsent(err) {
		return false, nil
	}
	return l.digest == d, err
}

// follow describes what the link leads to.
func (r *Registry) follow(ctx context.Context, l link) (Descriptor, error) {
	return r.lead(ctx, l, r.statBlob)
}

// lead is follow with another way to look at the blob.
func (r *Registry) lead(ctx context.Context, l link, stat func(context.Context, digest.Digest) (blobStat, error)) (Descriptor, error) {
	desc := Descriptor{Digest: l.digest, ModTime: l.modTime, Problem: l.problem}
	if l.problem != nil {
		return desc, nil
	}
	b, err := stat(ctx, l.digest)
	if isAbsent(err) {
		desc.Problem = withRemedy(fmt.Errorf("%w: its blob %s is not in the store", ErrCorrupt, l.digest),
			"put the blob back, or remove the name that leads there")
		return desc, nil
	}
	if err != nil {
		return Descriptor{}, err
	}
	desc.Size = b.size
	if !b.modTime.IsZero() {
		desc.ModTime = b.modTime
	}
	return desc, nil
}

func linkContent(path string, d digest.Digest) drivers.Content {
	return drivers.Content{Path: path, Bytes: []byte(d)}
}
