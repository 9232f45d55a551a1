package layout

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// MaxManifestSize is the largest manifest that is taken, in bytes, as by the
// registry. Larger ones that are stored are shown and read.
const MaxManifestSize = 4 << 20

// Media types besides those of the OCI image specification.
const (
	dockerManifest     = "application/vnd.docker.distribution.manifest.v2+json"
	dockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerForeignLayer = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	ociArtifact        = "application/vnd.oci.artifact.manifest.v1+json"

	ociForeignLayer     = "application/vnd.oci.image.layer.nondistributable.v1.tar"
	ociForeignLayerGzip = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
)

// manifest is what the rules need of one. Its bytes are never made from it.
type manifest struct {
	mediaType string
	config    *v1.Descriptor  // of an image
	layers    []v1.Descriptor // of an image
	children  []v1.Descriptor // of an index
	subject   digest.Digest   // or ""
}

// topLevel are the members that decide what a document is. Each may be there
// once: parsers differ in which of two they take.
var topLevel = []string{
	"schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "blobs", "subject", "annotations", "fsLayers",
}

// parseManifest checks a manifest for writing, by the rules of the registry's
// parser and verifier for the media type that the registry would find in these
// bytes when it reads them back. The error is ErrManifestInvalid or ErrTooLarge.
func parseManifest(content []byte) (manifest, error) {
	if len(content) > MaxManifestSize {
		return manifest{}, fmt.Errorf("put %d bytes: %w", len(content), ErrTooLarge)
	}
	m, err := decodeManifest(content)
	if err != nil {
		return manifest{}, fmt.Errorf("%w: %w", ErrManifestInvalid, err)
	}
	return m, nil
}

func decodeManifest(content []byte) (manifest, error) {
	members, err := splitTopLevel(content)
	if err != nil {
		return manifest{}, err
	}
	var doc struct {
		SchemaVersion int             `json:"schemaVersion"`
		MediaType     string          `json:"mediaType"`
		Config        *v1.Descriptor  `json:"config"`
		Layers        []v1.Descriptor `json:"layers"`
		Manifests     []v1.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(content, &doc); err != nil {
		return manifest{}, err
	}
	if err := checkVersion(doc.SchemaVersion, doc.MediaType, members); err != nil {
		return manifest{}, err
	}
	if members.has("layers") && members.has("manifests") {
		return manifest{}, errors.New("it has both layers and manifests, so that it is an image to one reader and an index to another")
	}
	m := manifest{mediaType: doc.MediaType, config: doc.Config, layers: doc.Layers, children: doc.Manifests}
	var subject v1.Descriptor
	if json.Unmarshal(members["subject"], &subject) == nil && subject.Digest.Validate() == nil {
		m.subject = subject.Digest // the registry takes whatever is there
	}
	if m.mediaType == "" {
		m.mediaType = v1.MediaTypeImageManifest
		if doc.Manifests != nil {
			m.mediaType = v1.MediaTypeImageIndex
		}
	}
	if err := m.checkShape(members); err != nil {
		return manifest{}, err
	}
	return m, m.checkReferences()
}

// checkVersion refuses what is no version 2, and says so of the formats that
// once were served.
func checkVersion(version int, mediaType string, members members) error {
	switch {
	case version == 1 || strings.HasPrefix(mediaType, "application/vnd.docker.distribution.manifest.v1+"):
		return errors.New("image manifests of schema version 1 are not served by the registry since version 3")
	case mediaType == ociArtifact:
		return errors.New("the media type " + ociArtifact + " was withdrawn from the OCI specification; artifacts are image manifests with an artifactType")
	case version != 2 && !members.has("schemaVersion"):
		return errors.New("schemaVersion is missing; it must be 2")
	case version != 2:
		return fmt.Errorf("schemaVersion is %d; it must be 2", version)
	}
	return nil
}

func (m *manifest) checkShape(members members) error {
	switch m.mediaType {
	case dockerManifest:
		m.children = nil
	case dockerManifestList:
		m.config, m.layers = nil, nil
	case v1.MediaTypeImageManifest:
		if members.has("manifests") {
			return errors.New("an image manifest has no manifests")
		}
	case v1.MediaTypeImageIndex:
		if members.has("config") || members.has("layers") {
			return errors.New("an image index has neither config nor layers")
		}
	default:
		return fmt.Errorf("mediaType %q is not one of the four that the registry serves", m.mediaType)
	}
	if m.isOCI() && members.has("annotations") {
		var annotations map[string]string
		if err := json.Unmarshal(members["annotations"], &annotations); err != nil {
			return fmt.Errorf("annotations: %w", err)
		}
	}
	if m.isIndex() {
		return nil
	}
	if m.config == nil {
		return errors.New("config is missing")
	}
	return nil
}

func (m manifest) isOCI() bool {
	return m.mediaType == v1.MediaTypeImageManifest || m.mediaType == v1.MediaTypeImageIndex
}

func (m manifest) isIndex() bool {
	return m.mediaType == v1.MediaTypeImageIndex || m.mediaType == dockerManifestList
}

// blobs are what an image refers to: the config, then the layers.
func (m manifest) blobs() []v1.Descriptor {
	if m.config == nil {
		return m.layers
	}
	return append([]v1.Descriptor{*m.config}, m.layers...)
}

func (m manifest) checkReferences() error {
	for _, desc := range append(m.blobs(), m.children...) {
		if err := desc.Digest.Validate(); err != nil {
			return fmt.Errorf("digest %.160q: %w", desc.Digest, err)
		}
		if desc.Size < 0 {
			return fmt.Errorf("size %d of %s is negative", desc.Size, desc.Digest)
		}
		if m.mediaType == dockerManifest && desc.MediaType == dockerForeignLayer && len(desc.URLs) == 0 {
			return fmt.Errorf("foreign layer %s has no urls", desc.Digest)
		}
	}
	return nil
}

// checkURLs refuses URLs that a new manifest may not carry: a client would
// fetch whatever is there.
func (m manifest) checkURLs(rules URLRules) error {
	for _, desc := range m.blobs() {
		if !m.hasURLRules(desc) {
			continue
		}
		for _, u := range desc.URLs {
			pu, err := url.Parse(u)
			if err != nil || pu.Scheme != "http" && pu.Scheme != "https" || pu.Fragment != "" || !rules.allows(u) {
				return withRemedy(fmt.Errorf("%w: url %.200q of layer %s is not allowed", ErrManifestInvalid, u, desc.Digest),
					"allow it in validation.manifests.urls of the registry's configuration")
			}
		}
	}
	return nil
}

// hasURLRules reports whether the registry looks at the URLs of desc.
func (m manifest) hasURLRules(desc v1.Descriptor) bool {
	if !m.isOCI() {
		return desc.MediaType == dockerForeignLayer
	}
	switch desc.MediaType {
	case v1.MediaTypeImageLayer, v1.MediaTypeImageLayerGzip, ociForeignLayer, ociForeignLayerGzip:
		return true
	}
	return false
}

// mustExist reports whether a blob of m has to be in the store: a layer that
// clients get elsewhere need not.
func (m manifest) mustExist(desc v1.Descriptor) bool {
	if !m.isOCI() {
		return desc.MediaType != dockerForeignLayer
	}
	foreign := desc.MediaType == ociForeignLayer || desc.MediaType == ociForeignLayerGzip
	return !foreign || len(desc.URLs) == 0
}

// members are the top-level members of interest of a document.
type members map[string]json.RawMessage

// has reports whether a member is there and is not null.
func (m members) has(name string) bool {
	return len(m[name]) > 0 && string(m[name]) != "null"
}

// splitTopLevel takes a JSON object apart and refuses what parsers could read
// in more than one way: a member twice, in whatever case, or bytes after it.
func splitTopLevel(content []byte) (members, error) {
	dec := json.NewDecoder(bytes.NewReader(content))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("it is no JSON object")
	}
	found := make(members)
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		for _, name := range topLevel {
			if !strings.EqualFold(name, key.(string)) {
				continue
			}
			if _, twice := found[name]; twice {
				return nil, fmt.Errorf("it has %s twice", name)
			}
			found[name] = value
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there are bytes after its end")
	}
	return found, nil
}

// named is what a stored manifest of any kind names.
type named struct {
	Config    *v1.Descriptor  `json:"config"`
	Layers    []v1.Descriptor `json:"layers"`
	Manifests []v1.Descriptor `json:"manifests"`
	Blobs     []v1.Descriptor `json:"blobs"` // of an OCI artifact manifest
	FSLayers  []struct {      // of schema 1
		BlobSum digest.Digest `json:"blobSum"`
	} `json:"fsLayers"`
	Subject *v1.Descriptor `json:"subject"`
}

// referencesOf lists every digest that a stored manifest of any kind names as a
// part of itself, as far as it can be read. It refuses nothing: what the
// registry has taken in once is there.
func referencesOf(content []byte) []digest.Digest {
	var doc named
	// A member of the wrong type does not keep the others from being read.
	_ = json.Unmarshal(content, &doc)
	var refs []digest.Digest
	add := func(d digest.Digest) {
		if d.Validate() == nil {
			refs = append(refs, d)
		}
	}
	if doc.Config != nil {
		add(doc.Config.Digest)
	}
	for _, list := range [][]v1.Descriptor{doc.Layers, doc.Manifests, doc.Blobs} {
		for _, desc := range list {
			add(desc.Digest)
		}
	}
	for _, l := range doc.FSLayers {
		add(l.BlobSum)
	}
	return refs
}
