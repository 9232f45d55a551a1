package images

import (
	"crypto/sha256"
	"encoding/hex"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Content is what a client pushes under one name: a manifest, the blobs it
// names and, for an index, the manifests it lists.
type Content struct {
	Type     types.MediaType
	Manifest []byte
	Blobs    []Blob
	Children []*Content

	digest   v1.Hash
	platform *v1.Platform
}

// Digest is the manifest's digest.
func (c *Content) Digest() v1.Hash { return c.digest }

// MediaType is Type; with RawManifest it makes a Content a remote.Taggable.
func (c *Content) MediaType() (types.MediaType, error) { return c.Type, nil }

// RawManifest returns the manifest's bytes.
func (c *Content) RawManifest() ([]byte, error) { return c.Manifest, nil }

// Descriptor describes the manifest, as an index does.
func (c *Content) Descriptor() v1.Descriptor {
	return v1.Descriptor{MediaType: c.Type, Size: int64(len(c.Manifest)), Digest: c.digest, Platform: c.platform}
}

// Blob is a layer or a config.
type Blob struct {
	Data   []byte // nil if the blob has been stored by other means
	Size   int64
	Type   types.MediaType
	Digest v1.Hash
	DiffID v1.Hash // of a layer: the digest before compression
}

// NewBlob makes a blob that is not compressed.
func NewBlob(t types.MediaType, data []byte) Blob {
	d := Sum(data)
	return Blob{Data: data, Size: int64(len(data)), Type: t, Digest: d, DiffID: d}
}

func (b Blob) descriptor() v1.Descriptor {
	return v1.Descriptor{MediaType: b.Type, Size: b.Size, Digest: b.Digest}
}

// Sum is the digest of data.
func Sum(data []byte) v1.Hash {
	s := sha256.Sum256(data)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(s[:])}
}
