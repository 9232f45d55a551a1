package layout

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Description is what a manifest says about itself.
type Description struct {
	MediaType string
	// ArtifactType is what a manifest that is no image holds, or "".
	ArtifactType string
	// Subject is the manifest this one refers to, or "".
	Subject digest.Digest
	// Platform is os/arch[/variant]; of an index a list joined by commas.
	Platform string
	// Created is RFC 3339 as the image has it, or "".
	Created     string
	Size        int64
	Annotations map[string]string
}

// described is a manifest of any kind, read as far as it can be.
type described struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        *v1.Descriptor    `json:"config"`
	Manifests     []v1.Descriptor   `json:"manifests"`
	Subject       *v1.Descriptor    `json:"subject"`
	Annotations   map[string]string `json:"annotations"`
}

// Describe tells what is in a manifest of the store, and in its config. What
// cannot be found out is left empty: of a blob that is no manifest, all but the
// size. It is ManifestUnknownError if there is no such blob, ErrTooLarge if it is
// larger than 64 MiB, and ErrCorrupt if it is damaged.
func (r *Registry) Describe(ctx context.Context, manifest digest.Digest) (Description, error) {
	if desc, ok := r.cache.descriptions.get(manifest); ok {
		return desc, nil
	}
	content, err := r.readSmall(ctx, manifest)
	if errors.Is(err, ErrTooLarge) {
		content, err = r.readBlob(ctx, manifest) // it is shown all the same
	}
	if isAbsent(err) {
		return Description{}, ManifestUnknownError{Digest: manifest}
	}
	if err != nil {
		return Description{}, fmt.Errorf("describe manifest: %w", err)
	}
	var m described
	// A member of the wrong type does not keep the others from being read.
	if err := json.Unmarshal(content, &m); errors.As(err, new(*json.SyntaxError)) || m.SchemaVersion == 0 && m.MediaType == "" {
		desc := Description{Size: int64(len(content))}
		r.cache.descriptions.put(manifest, desc, desc.cost())
		return desc, nil
	}
	desc := Description{
		MediaType:    m.mediaType(),
		ArtifactType: m.artifactType(),
		Size:         int64(len(content)),
		Annotations:  m.Annotations,
		Created:      timestamp(m.Annotations[v1.AnnotationCreated]),
	}
	if m.Subject != nil && m.Subject.Digest.Validate() == nil {
		desc.Subject = m.Subject.Digest
	}
	whole := true
	switch {
	case len(m.Manifests) > 0:
		desc.Platform = platforms(m.Manifests)
	case m.hasImageConfig():
		config, err := r.imageConfig(ctx, *m.Config)
		if err != nil && !isAbsent(err) && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrTooLarge) {
			return Description{}, fmt.Errorf("describe manifest %s: %w", manifest, err)
		}
		whole = err == nil
		desc.Platform = platform(config.Platform)
		desc.Created = cmp.Or(timestamp(config.Created), desc.Created)
	}
	if whole {
		r.cache.descriptions.put(manifest, desc, desc.cost())
	}
	return desc, nil
}

// cost is about what desc takes in memory.
func (desc Description) cost() int {
	n := entryCost + len(desc.MediaType) + len(desc.ArtifactType) + len(desc.Platform)
	for k, v := range desc.Annotations {
		n += len(k) + len(v) + 64
	}
	return n
}

// mediaType is what the registry reads the manifest as.
func (m described) mediaType() string {
	switch {
	case m.MediaType != "":
		return m.MediaType
	case m.SchemaVersion == 1:
		return "application/vnd.docker.distribution.manifest.v1+json"
	case m.Manifests != nil:
		return v1.MediaTypeImageIndex
	}
	return v1.MediaTypeImageManifest
}

// artifactType is the one given or, of a manifest that is no image, the type of
// its config, as the OCI specification has it.
func (m described) artifactType() string {
	if m.ArtifactType != "" || m.Config == nil || m.hasImageConfig() {
		return m.ArtifactType
	}
	return m.Config.MediaType
}

func (m described) hasImageConfig() bool {
	return m.Config != nil && (m.Config.MediaType == v1.MediaTypeImageConfig ||
		m.Config.MediaType == "application/vnd.docker.container.image.v1+json")
}

// imageConfig is what is shown of an image's config. The time is text, since one
// that is none would keep the rest from being read.
type imageConfig struct {
	Created string `json:"created"`
	v1.Platform
}

func (r *Registry) imageConfig(ctx context.Context, desc v1.Descriptor) (imageConfig, error) {
	content, err := r.readSmall(ctx, desc.Digest)
	if err != nil {
		return imageConfig{}, err
	}
	var config imageConfig
	_ = json.Unmarshal(content, &config) // as far as it can be read
	return config, nil
}

// timestamp is s if that is a time of RFC 3339, else "".
func timestamp(s string) string {
	if _, err := time.Parse(time.RFC3339, s); err != nil {
		return ""
	}
	return s
}

func platform(p v1.Platform) string {
	if p.OS == "" && p.Architecture == "" {
		return ""
	}
	s := cmp.Or(p.OS, "unknown") + "/" + cmp.Or(p.Architecture, "unknown")
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

func platforms(children []v1.Descriptor) string {
	var list []string
	for _, child := range children {
		if child.Platform == nil {
			continue
		}
		if s := platform(*child.Platform); s != "" && !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return strings.Join(list, ",")
}
