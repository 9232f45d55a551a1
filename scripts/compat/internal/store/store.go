package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"registryfs/scripts/compat/internal/images"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Store is a registry's storage. It is not safe for concurrent use.
type Store struct {
	root string // the directory that holds blobs and repositories
}

var _ images.Pusher = (*Store)(nil)

// New returns the store in a registry's rootdirectory, which need not exist.
func New(rootdirectory string) *Store {
	return &Store{root: filepath.Join(rootdirectory, "docker", "registry", "v2")}
}

// Push stores what c refers to, c itself and then the tag, in a registry's order.
func (s *Store) Push(repository, tag string, c *images.Content) error {
	for _, child := range c.Children {
		if err := s.Push(repository, "", child); err != nil {
			return err
		}
	}
	for _, b := range c.Blobs {
		if err := s.writeBlob(b.Digest, b.Data); err != nil {
			return err
		}
		if err := s.linkLayer(repository, b.Digest); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(s.repository(repository), "_uploads"), 0o777); err != nil {
		return err
	}
	if err := s.writeBlob(c.Digest(), c.Manifest); err != nil {
		return err
	}
	revision := filepath.Join(s.repository(repository), "_manifests", "revisions", c.Digest().Algorithm, c.Digest().Hex)
	if err := writeLink(revision, c.Digest()); err != nil {
		return err
	}
	if tag == "" {
		return nil
	}
	return s.tag(repository, tag, c.Digest())
}

func (s *Store) tag(repository, tag string, d v1.Hash) error {
	dir := filepath.Join(s.repository(repository), "_manifests", "tags", tag)
	if err := writeLink(filepath.Join(dir, "index", d.Algorithm, d.Hex), d); err != nil {
		return err
	}
	return writeLink(filepath.Join(dir, "current"), d)
}

func (s *Store) linkLayer(repository string, d v1.Hash) error {
	return writeLink(filepath.Join(s.repository(repository), "_layers", d.Algorithm, d.Hex), d)
}

func (s *Store) repository(name string) string {
	return filepath.Join(s.root, "repositories", filepath.FromSlash(name))
}

// blobData is the path of a blob's bytes.
func (s *Store) blobData(d v1.Hash) string {
	return filepath.Join(s.root, "blobs", d.Algorithm, d.Hex[:2], d.Hex, "data")
}

func (s *Store) writeBlob(d v1.Hash, data []byte) error {
	path := s.blobData(d)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return write(path, data)
}

// writeLink writes the file "link" of a directory: the digest, and no newline.
func writeLink(dir string, d v1.Hash) error {
	return write(filepath.Join(dir, "link"), []byte(d.String()))
}

// write writes a file with the modes of the registry's filesystem driver.
func write(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if err := os.WriteFile(path, data, 0o666); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}
