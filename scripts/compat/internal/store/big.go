package store

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"

	"registryfs/scripts/compat/internal/images"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// PushBig adds an image of one layer with size random bytes, without holding
// them in memory.
func (s *Store) PushBig(repository, tag string, size int64, seed uint64) error {
	blob, err := s.writeBig(size, seed)
	if err != nil {
		return fmt.Errorf("big layer: %w", err)
	}
	c, err := images.Image{
		Platform: v1.Platform{OS: "linux", Architecture: "amd64"},
		Layers:   []images.Blob{blob},
	}.Build()
	if err != nil {
		return err
	}
	return s.Push(repository, tag, c) // finds the layer in its place and links it
}

// writeBig stores an uncompressed layer.
func (s *Store) writeBig(size int64, seed uint64) (images.Blob, error) {
	temp := filepath.Join(s.root, "big.tmp")
	if err := os.MkdirAll(s.root, 0o777); err != nil {
		return images.Blob{}, err
	}
	f, err := os.Create(temp)
	if err != nil {
		return images.Blob{}, err
	}
	h := sha256.New()
	length, err := writeBigTar(io.MultiWriter(f, h), size, seed)
	if err := errors.Join(err, f.Close()); err != nil {
		return images.Blob{}, errors.Join(err, os.Remove(temp))
	}

	d := v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
	path := s.blobData(d)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return images.Blob{}, err
	}
	blob := images.Blob{Size: length, Type: types.OCIUncompressedLayer, Digest: d, DiffID: d}
	return blob, os.Rename(temp, path)
}

// writeBigTar writes a tar of one random file and returns the tar's length.
func writeBigTar(w io.Writer, size int64, seed uint64) (int64, error) {
	counted := &countingWriter{w: w}
	tw := tar.NewWriter(counted)
	if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "big", Mode: 0o644, Size: size}); err != nil {
		return 0, err
	}
	key := [32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(size >> 20)}
	if _, err := io.CopyN(tw, rand.NewChaCha8(key), size); err != nil {
		return 0, err
	}
	err := tw.Close()
	return counted.n, err
}

type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
