package images

import (
	"encoding/json"
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// created is the one time in everything made here.
var created = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Image says what an image is made of.
type Image struct {
	Docker   bool // docker's schema 2 instead of OCI
	Platform v1.Platform
	Config   v1.Config
	Layers   []Blob
}

// Build makes the config and the manifest.
func (i Image) Build() (*Content, error) {
	mediaType, configType, layerType := types.OCIManifestSchema1, types.OCIConfigJSON, types.OCILayer
	if i.Docker {
		mediaType, configType, layerType = types.DockerManifestSchema2, types.DockerConfigJSON, types.DockerLayer
	}

	config := v1.ConfigFile{
		Architecture: i.Platform.Architecture,
		OS:           i.Platform.OS,
		Variant:      i.Platform.Variant,
		Created:      v1.Time{Time: created},
		Config:       i.Config,
		RootFS:       v1.RootFS{Type: "layers"},
	}
	m := v1.Manifest{SchemaVersion: 2, MediaType: mediaType}
	for _, l := range i.Layers {
		if l.Type == types.OCILayer {
			l.Type = layerType
		}
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.DiffID)
		config.History = append(config.History, v1.History{Created: v1.Time{Time: created}, CreatedBy: "registryfs"})
		m.Layers = append(m.Layers, l.descriptor())
	}
	raw, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	configBlob := NewBlob(configType, raw)
	m.Config = configBlob.descriptor()

	c, err := seal(mediaType, m, append([]Blob{configBlob}, i.Layers...))
	if err != nil {
		return nil, err
	}
	platform := i.Platform
	c.platform = &platform
	return c, nil
}

// Index makes an index or, if its children are docker's, a manifest list.
func Index(children ...*Content) (*Content, error) {
	m := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	if children[0].Type == types.DockerManifestSchema2 {
		m.MediaType = types.DockerManifestList
	}
	for _, c := range children {
		m.Manifests = append(m.Manifests, c.Descriptor())
	}
	c, err := seal(m.MediaType, m, nil)
	if err != nil {
		return nil, err
	}
	c.Children = children
	return c, nil
}

// seal makes the manifest's bytes, indented to be read by people.
func seal(t types.MediaType, manifest any, blobs []Blob) (*Content, error) {
	raw, err := json.MarshalIndent(manifest, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	return &Content{Type: t, Manifest: raw, Blobs: blobs, digest: Sum(raw)}, nil
}
