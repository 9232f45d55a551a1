package gc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"registryfs/drivers"
	"registryfs/drivers/inmemory"
	"registryfs/layout"
)

const root = "/docker/registry/v2"

// scene is a store that tests write as a registry does.
type scene struct {
	t *testing.T
	d drivers.StorageDriver
}

func newScene(t *testing.T) scene { return scene{t, inmemory.New()} }

func (s scene) put(path, content string) {
	s.t.Helper()
	if err := s.d.PutContent(s.t.Context(), path, []byte(content)); err != nil {
		s.t.Fatal(err)
	}
}

func blobPath(d digest.Digest) string {
	return root + "/blobs/" + string(d.Algorithm()) + "/" + d.Encoded()[:2] + "/" + d.Encoded() + "/data"
}

func linkPath(repo, dir string, d digest.Digest) string {
	return root + "/repositories/" + repo + "/" + dir + "/" + string(d.Algorithm()) + "/" + d.Encoded() + "/link"
}

func (s scene) blob(content string) digest.Digest {
	s.t.Helper()
	d := digest.FromString(content)
	s.put(blobPath(d), content)
	return d
}

func (s scene) layer(repo, content string) digest.Digest {
	s.t.Helper()
	d := s.blob(content)
	s.put(linkPath(repo, "_layers", d), string(d))
	return d
}

func (s scene) manifest(repo, content string) digest.Digest {
	s.t.Helper()
	d := s.blob(content)
	s.put(linkPath(repo, "_manifests/revisions", d), string(d))
	return d
}

func (s scene) tag(repo, tag string, d digest.Digest) {
	s.t.Helper()
	dir := "_manifests/tags/" + tag
	s.put(linkPath(repo, dir+"/index", d), string(d))
	s.put(root+"/repositories/"+repo+"/"+dir+"/current/link", string(d))
}

// image is what was pushed as one.
type image struct {
	manifest digest.Digest
	blobs    []digest.Digest
	content  string
}

func (i image) all() []digest.Digest { return append([]digest.Digest{i.manifest}, i.blobs...) }

// push pushes an image of two layers, one of which is the same in all images; it is
// tagged if tag is not "".
func (s scene) push(repo, tag, name string) image {
	s.t.Helper()
	return s.pushFor(repo, tag, name, "")
}

// pushFor is push of what refers to subject, if that is not "".
func (s scene) pushFor(repo, tag, name string, subject digest.Digest) image {
	s.t.Helper()
	img := image{blobs: []digest.Digest{
		s.layer(repo, `{"created":"2024-01-02T03:04:05Z","config":{"Labels":{"name":"`+name+`"}}}`),
		s.layer(repo, "layer of "+name), s.layer(repo, "layer of all"),
	}}
	m := v1.Manifest{MediaType: v1.MediaTypeImageManifest, Config: v1.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: img.blobs[0]}}
	m.SchemaVersion = 2
	for _, d := range img.blobs[1:] {
		m.Layers = append(m.Layers, v1.Descriptor{MediaType: v1.MediaTypeImageLayerGzip, Digest: d})
	}
	if subject != "" {
		m.Subject = &v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: subject}
	}
	img.content = toJSON(m)
	img.manifest = s.manifest(repo, img.content)
	if tag != "" {
		s.tag(repo, tag, img.manifest)
	}
	return img
}

// index pushes an index of manifests.
func (s scene) index(repo, tag string, children ...digest.Digest) digest.Digest {
	s.t.Helper()
	var index v1.Index
	index.SchemaVersion, index.MediaType = 2, v1.MediaTypeImageIndex
	for _, d := range children {
		index.Manifests = append(index.Manifests, v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: d})
	}
	d := s.manifest(repo, toJSON(index))
	if tag != "" {
		s.tag(repo, tag, d)
	}
	return d
}

func toJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// age makes every file below a path so much older.
func (s scene) age(path string, by time.Duration) {
	s.t.Helper()
	for _, info := range s.files(path) {
		if err := drivers.Chtimes(s.t.Context(), s.d, info.Path(), info.ModTime().Add(-by)); err != nil {
			s.t.Fatal(err)
		}
	}
}

// later makes everything so much older, as if the time had passed.
func (s scene) later(by time.Duration) {
	s.t.Helper()
	s.age("/docker", by)
	for shard := range shards {
		r := newCollector(s.registry(), Options{})
		all, err := r.readNotes(s.t.Context(), shard)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, n := range all {
			if !n.Since.IsZero() {
				n.Since = n.Since.Add(-by)
			}
		}
		if err := r.writeNotes(s.t.Context(), shard, all); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s scene) files(path string) []drivers.FileInfo {
	s.t.Helper()
	var infos []drivers.FileInfo
	for info, err := range drivers.WalkInfo(context.Background(), s.d, path, "") {
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			s.t.Fatal(err)
		}
		infos = append(infos, info)
	}
	return infos
}

func (s scene) registry() *layout.Registry { return layout.New(s.d, layout.Options{}) }

func (s scene) run(o Options) *Report {
	s.t.Helper()
	report, err := Run(s.t.Context(), s.registry(), o)
	if err != nil {
		s.t.Fatal(err)
	}
	return report
}

func (s scene) has(path string) bool {
	_, err := s.d.Stat(context.Background(), path)
	return err == nil
}

// wantBlobs checks that these blobs are there and no others.
func (s scene) wantBlobs(lists ...[]digest.Digest) {
	s.t.Helper()
	want := map[string]bool{}
	for _, d := range slices.Concat(lists...) {
		want[blobPath(d)] = true
		if !s.has(blobPath(d)) {
			s.t.Errorf("blob %s is gone", d)
		}
	}
	for _, info := range s.files(root + "/blobs") {
		if !want[info.Path()] {
			content, _ := s.d.GetContent(s.t.Context(), info.Path())
			s.t.Errorf("%s is there: %.200q", info.Path(), content)
		}
	}
}

// wantPulled checks that a registry serves all there is of an image.
func (s scene) wantPulled(repo string, img image) {
	s.t.Helper()
	if missing := s.missing(repo, img); missing != "" {
		s.t.Errorf("%s is not whole: %s", repo, missing)
	}
}

// missing names what a registry needs to serve the image and does not find.
func (s scene) missing(repo string, img image) string {
	var gone []string
	for i, d := range img.all() {
		dir := "_layers"
		if i == 0 {
			dir = "_manifests/revisions"
		}
		for _, path := range []string{blobPath(d), linkPath(repo, dir, d)} {
			if !s.has(path) {
				gone = append(gone, path)
			}
		}
	}
	return strings.Join(gone, ", ")
}

func (s scene) wantClean(r *Report) {
	s.t.Helper()
	for _, list := range [][]error{r.Kept, r.Held, r.Failed} {
		if len(list) > 0 {
			s.t.Errorf("the report has %v", list)
		}
	}
	if len(r.Lost) > 0 {
		s.t.Errorf("lost: %q", r.Lost)
	}
}

func describe(r *Report) string {
	return fmt.Sprintf("swept %v noted %v waiting %v unreferenced %v links %d tags %d restored %d kept %v held %v failed %v lost %v",
		r.Swept, r.Noted, r.Waiting, r.Unreferenced, r.Links, r.Tags, r.Restored, r.Kept, r.Held, r.Failed, r.Lost)
}
