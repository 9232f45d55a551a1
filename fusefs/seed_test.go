package fusefs

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"registryfs/layout"
)

// image is a manifest and all it needs.
type image struct {
	mediaType string
	manifest  []byte
	blobs     [][]byte // the config first
	children  []image
}

func (i image) digest() digest.Digest { return digest.FromBytes(i.manifest) }

// hex is the manifest's name in _manifests/sha256.
func (i image) hex() string { return i.digest().Encoded() }

func hexOf(content []byte) string { return digest.FromBytes(content).Encoded() }

func (i image) descriptor() v1.Descriptor {
	return v1.Descriptor{MediaType: i.mediaType, Digest: i.digest(), Size: int64(len(i.manifest))}
}

// blob is the digest of the n-th blob; the config is number 0.
func (i image) blob(n int) digest.Digest { return digest.FromBytes(i.blobs[n]) }

const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerConfig   = "application/vnd.docker.container.image.v1+json"
	dockerLayer    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
)

// newImage makes an OCI image with a config of its own and those layers.
func newImage(name string, layers ...[]byte) image {
	return imageOf(v1.MediaTypeImageManifest, v1.MediaTypeImageConfig, v1.MediaTypeImageLayerGzip, name, layers)
}

// newDockerImage makes a docker schema 2 image.
func newDockerImage(name string, layers ...[]byte) image {
	return imageOf(dockerManifest, dockerConfig, dockerLayer, name, layers)
}

func imageOf(mediaType, configType, layerType, name string, layers [][]byte) image {
	config := fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","config":{"Labels":{"name":%q}},"rootfs":{"type":"layers","diff_ids":[]}}`, name)
	m := v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: mediaType,
		Config:    descriptorOf(configType, config),
		Layers:    []v1.Descriptor{},
	}
	if mediaType == v1.MediaTypeImageManifest {
		m.Annotations = map[string]string{v1.AnnotationTitle: name}
	}
	for _, l := range layers {
		m.Layers = append(m.Layers, descriptorOf(layerType, l))
	}
	return image{mediaType: mediaType, manifest: marshal(m), blobs: append([][]byte{config}, layers...)}
}

func descriptorOf(mediaType string, content []byte) v1.Descriptor {
	return v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
}

// newIndex makes an OCI index.
func newIndex(children ...image) image { return indexOf(v1.MediaTypeImageIndex, children) }

// newDockerList makes a docker manifest list.
func newDockerList(children ...image) image { return indexOf(dockerList, children) }

func indexOf(mediaType string, children []image) image {
	m := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: mediaType}
	for i, c := range children {
		d := c.descriptor()
		d.Platform = &v1.Platform{OS: "linux", Architecture: []string{"amd64", "arm64", "s390x"}[i%3]}
		m.Manifests = append(m.Manifests, d)
	}
	return image{mediaType: mediaType, manifest: marshal(m), children: children}
}

func marshal(v any) []byte {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err)
	}
	return text
}

// layer makes content of that size that no other name gives.
func layer(name string, size int) []byte {
	return []byte(strings.Repeat(name+"\n", size/(len(name)+1)+1)[:size])
}

// put stores an image, not by way of the mount, and tags it.
func (m *mount) put(t testing.TB, repo string, i image, tags ...string) {
	t.Helper()
	for _, c := range i.children {
		m.put(t, repo, c)
	}
	p := m.reg.Repository(layout.RepositoryName(repo))
	for _, b := range i.blobs {
		m.putBlob(t, repo, b)
	}
	options := []layout.PutOptions{{Want: i.digest()}}
	for _, tag := range tags {
		options = append(options, layout.PutOptions{Want: i.digest(), Tag: layout.TagName(tag)})
	}
	for _, o := range options {
		u := m.upload(t, i.manifest)
		if _, err := p.Manifests().Put(t.Context(), u, o); err != nil {
			t.Fatalf("put %s:%s: %v", repo, o.Tag, err)
		}
		u.Close()
	}
}

// putBlob stores a blob, not by way of the mount.
func (m *mount) putBlob(t testing.TB, repo string, content []byte) digest.Digest {
	t.Helper()
	u := m.upload(t, content)
	defer u.Close()
	put, err := m.reg.Repository(layout.RepositoryName(repo)).Blobs().Put(t.Context(), u, digest.FromBytes(content))
	if err != nil {
		t.Fatalf("put a blob into %s: %v", repo, err)
	}
	return put.Digest
}

func (m *mount) upload(t testing.TB, content []byte) *layout.Upload {
	t.Helper()
	u := m.reg.NewUpload(digest.FromBytes(content))
	if _, err := u.WriteAt(t.Context(), content, 0); err != nil {
		t.Fatalf("upload: %v", err)
	}
	return u
}
