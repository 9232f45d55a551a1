package layout

import (
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"registryfs/drivers"
	"registryfs/drivers/inmemory"
)

// collect ranges over seq to its end.
func collect[T any](t *testing.T, seq iter.Seq2[T, error]) []T {
	t.Helper()
	var all []T
	for v, err := range seq {
		if err != nil {
			t.Fatalf("after %d: %v", len(all), err)
		}
		all = append(all, v)
	}
	return all
}

// put writes files straight into the driver.
func put(t *testing.T, d drivers.StorageDriver, path, content string) {
	t.Helper()
	if err := d.PutContent(t.Context(), path, []byte(content)); err != nil {
		t.Fatalf("PutContent(%s): %v", path, err)
	}
}

// has reports whether the driver has a file at path.
func has(t *testing.T, d drivers.StorageDriver, path string) bool {
	t.Helper()
	_, err := d.Stat(t.Context(), path)
	if err != nil && !isAbsent(err) {
		t.Fatalf("Stat(%s): %v", path, err)
	}
	return err == nil
}

// paths lists every file of the driver.
func paths(t *testing.T, d drivers.StorageDriver) []string {
	t.Helper()
	var all []string
	for _, info := range collect(t, drivers.WalkInfo(t.Context(), d, "/", "")) {
		all = append(all, info.Path())
	}
	return all
}

func newRegistry(t *testing.T, o Options) (*Registry, drivers.StorageDriver) {
	t.Helper()
	d := inmemory.New()
	return New(d, testOptions(t, o)), d
}

// smallSpool is how much of an upload stays in memory in tests of what does not.
const smallSpool = 64 << 10

func newSmallSpool(t *testing.T, d drivers.StorageDriver, o Options) *Registry {
	t.Helper()
	r := New(d, testOptions(t, o))
	r.spool.each = smallSpool
	return r
}

func testOptions(t *testing.T, o Options) Options {
	if o.SpoolDir == "" {
		o.SpoolDir = t.TempDir()
	}
	return o
}

// upload is an upload of content, closed with the test.
func upload(t *testing.T, r *Registry, want digest.Digest, content string) *Upload {
	t.Helper()
	u := r.NewUpload(want)
	t.Cleanup(func() { u.Close() })
	if _, err := u.WriteAt(t.Context(), []byte(content), 0); err != nil {
		t.Fatalf("WriteAt: %v", err)
	}
	return u
}

// image is an image with its blobs, not stored anywhere.
type image struct {
	manifest string
	blobs    []string // config first
}

func (i image) digest() digest.Digest { return digest.FromString(i.manifest) }

func newImage(name string, layers int) image {
	config := fmt.Sprintf(`{"architecture":"amd64","os":"linux","created":"2024-05-06T07:08:09Z","config":{"Labels":{"name":%q}}}`, name)
	img := image{blobs: []string{config}}
	m := v1.Manifest{
		MediaType: v1.MediaTypeImageManifest,
		Config:    descriptorOf(v1.MediaTypeImageConfig, config),
	}
	m.SchemaVersion = 2
	for l := range layers {
		layer := fmt.Sprintf("layer %d of %s", l, name)
		img.blobs = append(img.blobs, layer)
		m.Layers = append(m.Layers, descriptorOf(v1.MediaTypeImageLayerGzip, layer))
	}
	img.manifest = toJSON(m)
	return img
}

func newIndex(children ...image) image {
	var index v1.Index
	index.SchemaVersion = 2
	index.MediaType = v1.MediaTypeImageIndex
	for i, c := range children {
		desc := descriptorOf(v1.MediaTypeImageManifest, c.manifest)
		desc.Platform = &v1.Platform{OS: "linux", Architecture: []string{"amd64", "arm64", "s390x"}[i]}
		index.Manifests = append(index.Manifests, desc)
	}
	return image{manifest: toJSON(index)}
}

func descriptorOf(mediaType, content string) v1.Descriptor {
	return v1.Descriptor{MediaType: mediaType, Digest: digest.FromString(content), Size: int64(len(content))}
}

func toJSON(v any) string {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err)
	}
	return string(b)
}

// putBlobs stores the image's blobs in the repository.
func putBlobs(t *testing.T, p Repository, img image) {
	t.Helper()
	for _, b := range img.blobs {
		if _, err := p.Blobs().Put(t.Context(), upload(t, p.r, "", b), ""); err != nil {
			t.Fatalf("Put blob: %v", err)
		}
	}
}

// putImage stores the image in the repository, tagged if tag is not "".
func putImage(t *testing.T, p Repository, tag TagName, img image) Put {
	t.Helper()
	putBlobs(t, p, img)
	put, err := p.Manifests().Put(t.Context(), upload(t, p.r, "", img.manifest), PutOptions{Tag: tag})
	if err != nil {
		t.Fatalf("Put manifest: %v", err)
	}
	return put
}

// hexOf is a digest that nothing has.
func hexOf(digit string) digest.Digest {
	return digest.Digest("sha256:" + strings.Repeat(digit, 64))
}

var day2020 = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
