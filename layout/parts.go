package layout

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Parts is what a stored manifest of any kind consists of and refers to.
type Parts struct {
	MediaType    string // what the registry reads it as
	ArtifactType string // of a manifest that is no image, or ""
	Size         int64

	Blobs    []Part // the config, then the layers
	Children []Part // the manifests of an index
	// Subject is the manifest this one refers to, or "". It is no part of it.
	Subject digest.Digest

	// Refused says why a registry of version 3 does not serve the manifest, though
	// what it consists of is known. It is ErrManifestInvalid or ErrTooLarge.
	Refused error
}

// Part is something that a manifest names.
type Part struct {
	Digest    digest.Digest
	MediaType string
	Size      int64
	// Elsewhere says that clients get it from other places: it need not be there.
	Elsewhere bool
}

// Parts reads the manifest d from the store and takes it apart. Whoever gets no
// error knows all that it names. It is BlobUnknownError if there is none,
// ErrCorrupt if its bytes have another digest, and ErrManifestInvalid or
// ErrTooLarge if what it names cannot be told for certain.
func (r *Registry) Parts(ctx context.Context, d digest.Digest) (Parts, error) {
	content, err := r.readBlob(ctx, d)
	if err != nil {
		return Parts{}, err
	}
	return takeApart(d, content)
}

// PartsSized is Parts for a manifest of known size, which is one request less.
func (r *Registry) PartsSized(ctx context.Context, d digest.Digest, size int64) (Parts, error) {
	content, err := r.readSized(ctx, d, size)
	if err != nil {
		return Parts{}, err
	}
	return takeApart(d, content)
}

func takeApart(d digest.Digest, content []byte) (Parts, error) {
	parts, err := partsOf(content)
	if err != nil {
		return Parts{}, fmt.Errorf("manifest %s: %w: %w", d, ErrManifestInvalid, err)
	}
	return parts, nil
}

func partsOf(content []byte) (Parts, error) {
	if _, err := splitTopLevel(content); err != nil {
		return Parts{}, err
	}
	var doc named
	if err := json.Unmarshal(content, &doc); err != nil {
		return Parts{}, err
	}
	var about described
	_ = json.Unmarshal(content, &about) // as far as it can be read
	p := Parts{MediaType: about.mediaType(), ArtifactType: about.artifactType(), Size: int64(len(content))}
	m, err := parseManifest(content)
	p.Refused = err

	layers := append(doc.Layers, doc.Blobs...)
	if doc.Config != nil {
		layers = append([]v1.Descriptor{*doc.Config}, layers...)
	}
	for _, desc := range layers {
		p.Blobs = append(p.Blobs, Part{desc.Digest, desc.MediaType, desc.Size, p.Refused == nil && !m.mustExist(desc)})
	}
	for _, l := range doc.FSLayers {
		p.Blobs = append(p.Blobs, Part{Digest: l.BlobSum})
	}
	for _, desc := range doc.Manifests {
		p.Children = append(p.Children, Part{Digest: desc.Digest, MediaType: desc.MediaType, Size: desc.Size})
	}
	for _, part := range append(p.Blobs[:len(p.Blobs):len(p.Blobs)], p.Children...) {
		if err := part.Digest.Validate(); err != nil {
			return Parts{}, fmt.Errorf("digest %.160q: %w", part.Digest, err)
		}
	}
	if doc.Subject != nil && doc.Subject.Digest.Validate() == nil {
		p.Subject = doc.Subject.Digest
	}
	return p, nil
}
