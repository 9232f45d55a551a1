package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"registryfs/scripts/compat/internal/images"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Planted is one thing that Corrupt has left in a store.
type Planted struct {
	What string
	Path string // below the store's rootdirectory
}

// Corrupt plants what crashes, full disks, old releases and other programs
// leave behind, each in a repository of its own under "broken", and says what
// it planted. Everything else in the store stays as it is.
func (s *Store) Corrupt() ([]Planted, error) {
	layer, err := images.NewLayer(images.File{Name: "etc/motd", Mode: 0o644, Data: []byte("broken\n")})
	if err != nil {
		return nil, err
	}
	good, err := images.Image{Platform: v1.Platform{OS: "linux", Architecture: "amd64"}, Layers: []images.Blob{layer}}.Build()
	if err != nil {
		return nil, err
	}
	c := corruptor{store: s, good: good}
	for _, plant := range []func() error{c.links, c.manifests, c.strays, c.uploads, c.blobs, c.repositories} {
		if err := plant(); err != nil {
			return nil, fmt.Errorf("corrupt: %w", err)
		}
	}
	return c.planted, nil
}

type corruptor struct {
	store   *Store
	good    *images.Content
	planted []Planted
}

const (
	absentHex = "00000000000000000000000000000000000000000000000000000000deadbeef"
	uuid      = "0197f7d2-3c1b-7a54-9c9f-2d6f0a3b1c5e"
)

// repository pushes a sound image to broken/<name> and returns its directory.
func (c *corruptor) repository(name string) (string, error) {
	name = "broken/" + name
	return c.store.repository(name), c.store.Push(name, "good", c.good)
}

// write plants a file.
func (c *corruptor) write(what, path string, data []byte) error {
	c.note(what, path)
	return write(path, data)
}

func (c *corruptor) note(what, path string) {
	root := strings.TrimSuffix(c.store.root, filepath.Join("docker", "registry", "v2"))
	c.planted = append(c.planted, Planted{What: what, Path: strings.TrimPrefix(path, root)})
}

// links plants links of every wrong kind: as the tag "bad", as a revision and
// as a layer.
func (c *corruptor) links() error {
	d := c.good.Digest().String()
	for _, l := range []struct{ name, what, content string }{
		{"empty-link", "empty link", ""},
		{"newline-link", "link with a newline", d + "\n"},
		{"short-link", "link cut short", d[:40]},
		{"absent-link", "link to a missing blob", "sha256:" + absentHex},
		{"other-link", "link to another digest than its name", d},
	} {
		dir, err := c.repository(l.name)
		if err != nil {
			return err
		}
		for _, path := range []string{
			"_manifests/tags/bad/current/link",
			"_manifests/tags/bad/index/sha256/" + absentHex + "/link",
			"_manifests/revisions/sha256/" + absentHex + "/link",
			"_layers/sha256/" + absentHex + "/link",
		} {
			if err := c.write(l.what, filepath.Join(dir, path), []byte(l.content)); err != nil {
				return err
			}
		}
	}

	// A blob pushed by its sha512 is kept under both names, and both links
	// hold the sha256.
	dir, err := c.repository("sha512")
	if err != nil {
		return err
	}
	alias := filepath.Join(dir, "_layers", "sha512", strings.Repeat(absentHex, 2), "link")
	return c.write("sha512 alias link", alias, []byte(c.good.Blobs[1].Digest.String()))
}

// manifests plants tagged manifests that cannot be used.
func (c *corruptor) manifests() error {
	large, err := json.Marshal(v1.IndexManifest{
		SchemaVersion: 2,
		MediaType:     types.OCIImageIndex,
		Manifests:     []v1.Descriptor{},
		Annotations:   map[string]string{"padding": strings.Repeat("x", 5<<20)},
	})
	if err != nil {
		return err
	}
	sparse, err := json.Marshal(v1.IndexManifest{
		SchemaVersion: 2,
		MediaType:     types.OCIImageIndex,
		Manifests: []v1.Descriptor{c.good.Descriptor(), {
			MediaType: types.OCIManifestSchema1,
			Size:      424,
			Digest:    v1.Hash{Algorithm: "sha256", Hex: absentHex},
			Platform:  &v1.Platform{OS: "linux", Architecture: "s390x"},
		}},
	})
	if err != nil {
		return err
	}
	schema1 := fmt.Appendf(nil, `{"schemaVersion":1,"name":"broken/schema1","tag":"bad","architecture":"amd64",`+
		`"fsLayers":[{"blobSum":"%s"}],"history":[{"v1Compatibility":"{}"}],"signatures":[]}`, c.good.Blobs[1].Digest)

	for _, m := range []struct {
		name, what string
		data       []byte
	}{
		{"large", "manifest of more than 4 MiB", large},
		{"sparse", "index with an absent child", sparse},
		{"schema1", "schema 1 manifest", schema1},
		{"not-json", "manifest that is not JSON", []byte("not a manifest\n")},
	} {
		if err := c.manifest(m.name, m.what, m.data); err != nil {
			return err
		}
	}
	if err := c.signatures(schema1); err != nil {
		return err
	}

	// The blob is empty, as a crash of registry 2.8 leaves it; its digest is
	// not that of no bytes.
	content := []byte(`{"schemaVersion":2,"gone":true}`)
	if err := c.manifest("empty-manifest", "empty manifest blob", content); err != nil {
		return err
	}
	return os.Truncate(c.store.blobData(images.Sum(content)), 0)
}

// manifest stores and tags data, whatever it is.
func (c *corruptor) manifest(name, what string, data []byte) error {
	dir, err := c.repository(name)
	if err != nil {
		return err
	}
	d := images.Sum(data)
	if err := c.write(what, c.store.blobData(d), data); err != nil {
		return err
	}
	if err := writeLink(filepath.Join(dir, "_manifests", "revisions", d.Algorithm, d.Hex), d); err != nil {
		return err
	}
	return c.store.tag("broken/"+name, "bad", d)
}

// signatures plants the signature that registries up to 2.4 kept.
func (c *corruptor) signatures(manifest []byte) error {
	signature := []byte(`{"header":{"alg":"ES256"},"signature":"none","protected":""}`)
	if err := c.store.writeBlob(images.Sum(signature), signature); err != nil {
		return err
	}
	dir := filepath.Join(c.store.repository("broken/schema1"), "_manifests", "revisions", "sha256", images.Sum(manifest).Hex,
		"signatures", "sha256", images.Sum(signature).Hex)
	return c.write("signature of a schema 1 manifest", filepath.Join(dir, "link"), []byte(images.Sum(signature).String()))
}

// strays plants files and directories that no registry knows.
func (c *corruptor) strays() error {
	dir, err := c.repository("strays")
	if err != nil {
		return err
	}
	d := c.good.Digest()
	for _, f := range []struct{ what, path string }{
		{"stray file in tags", "_manifests/tags/.DS_Store"},
		{"stray file in a tag", "_manifests/tags/good/README"},
		{"stray directory with a name that is no tag", "_manifests/tags/not a tag/current/link"},
		{"tag without current", "_manifests/tags/no-current/index/sha256/" + d.Hex + "/link"},
		{"temporary file of a crashed write", "_manifests/tags/good/current/link." + uuid + ".tmp"},
		{"temporary file of a crashed write", "_layers/sha256/" + d.Hex + "/link." + uuid + ".tmp"},
		{"unknown directory of a repository", "_referrers/subjects/sha256/" + d.Hex + "/sha256/" + d.Hex + "/link"},
		{"revision with a name that is no digest", "_manifests/revisions/sha256/not-hex/link"},
		{"link where a directory belongs", "_layers/sha256/link"},
	} {
		if err := c.write(f.what, filepath.Join(dir, f.path), []byte(d.String())); err != nil {
			return err
		}
	}
	return nil
}

func (c *corruptor) uploads() error {
	dir, err := c.repository("uploads")
	if err != nil {
		return err
	}
	uploads := filepath.Join(dir, "_uploads")
	if err := c.write("upload without startedat", filepath.Join(uploads, uuid, "data"), []byte("half a layer")); err != nil {
		return err
	}
	return c.write("temporary file of a crashed upload", filepath.Join(uploads, uuid+"-2", "startedat."+uuid+".tmp"), nil)
}

func (c *corruptor) blobs() error {
	blobs := filepath.Join(c.store.root, "blobs")
	md5 := "d41d8cd98f00b204e9800998ecf8427e"
	return errors.Join(
		c.write("blob of an unknown algorithm", filepath.Join(blobs, "md5", md5[:2], md5, "data"), nil),
		c.write("temporary file of a crashed blob", filepath.Join(blobs, "sha256", "00", absentHex, "data."+uuid+".tmp"), []byte("half")),
		c.write("stray file among the shards", filepath.Join(blobs, "sha256", "README"), []byte("stray")),
		c.write("stray file with a name that no driver allows", filepath.Join(c.store.root, "a stray: file"), []byte("stray")),
	)
}

func (c *corruptor) repositories() error {
	// A push that failed: layers, but no manifest.
	if err := c.store.writeBlob(c.good.Blobs[0].Digest, c.good.Blobs[0].Data); err != nil {
		return err
	}
	if err := c.store.linkLayer("broken/no-manifests", c.good.Blobs[0].Digest); err != nil {
		return err
	}
	c.note("repository without _manifests", c.store.repository("broken/no-manifests"))

	for _, l := range []struct{ name, what, target string }{
		{"symlinked", "symlinked repository", "strays"},
		{"dangling", "symlink to nothing", "gone"},
	} {
		path := c.store.repository("broken/" + l.name)
		c.note(l.what, path)
		if err := os.Symlink(l.target, path); err != nil {
			return err
		}
	}

	empty := c.store.repository("broken/empty")
	c.note("empty repository directory", empty)
	return os.MkdirAll(empty, 0o777)
}
