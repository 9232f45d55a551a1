package images

import (
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Media types of artifacts.
const (
	emptyType     types.MediaType = "application/vnd.oci.empty.v1+json"
	sbomType      types.MediaType = "application/spdx+json"
	signatureType types.MediaType = "application/vnd.dev.cosign.simplesigning.v1+json"
)

// Artifact makes an OCI 1.1 artifact that has subject as its subject.
func Artifact(subject *Content, payload Blob) (*Content, error) {
	config := NewBlob(emptyType, []byte("{}"))
	desc := subject.Descriptor()
	desc.Platform = nil
	return seal(types.OCIManifestSchema1, v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		ArtifactType:  string(payload.Type),
		Config:        config.descriptor(),
		Layers:        []v1.Descriptor{payload.descriptor()},
		Subject:       &desc,
	}, []Blob{config, payload})
}

// Fallback makes the index that a client keeps under FallbackTag when the
// registry has no referrers API: the very bytes that crane writes.
func Fallback(artifact *Content) (*Content, error) {
	desc := artifact.Descriptor()
	var m v1.Manifest
	if err := json.Unmarshal(artifact.Manifest, &m); err != nil {
		return nil, fmt.Errorf("artifact: %w", err)
	}
	desc.ArtifactType = m.ArtifactType
	raw, err := json.Marshal(v1.IndexManifest{
		SchemaVersion: 2,
		MediaType:     types.OCIImageIndex,
		Manifests:     []v1.Descriptor{desc},
	})
	if err != nil {
		return nil, fmt.Errorf("fallback index: %w", err)
	}
	return &Content{Type: types.OCIImageIndex, Manifest: raw, Children: []*Content{artifact}, digest: Sum(raw)}, nil
}

// FallbackTag is the tag of the index that lists what refers to c.
func FallbackTag(c *Content) string { return c.digest.Algorithm + "-" + c.digest.Hex }

// Signature makes an image as cosign stores a signature of c, under
// FallbackTag(c) + ".sig". It signs nothing.
func Signature(c *Content) (*Content, error) {
	payload := fmt.Sprintf(`{"critical":{"image":{"docker-manifest-digest":"%s"},"type":"cosign container image signature"}}`, c.digest)
	return Image{Layers: []Blob{NewBlob(signatureType, []byte(payload))}}.Build()
}
