package store

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
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

// writeBig stores a layer.
func (s *Store) writeBig(size int64, seed uint64) (images.Blob, error) {
	temp := filepath.Join(s.root, "big.tmp")
	if err := os.MkdirAll(s.root, 0o777); err != nil {
		return images.Blob{}, err
	}
	f, err := os.Create(temp)
	if err != nil {
		return images.Blob{}, err
	}
	packed := &digester{w: f, hash: sha256.New()}
	tarred, err := writeBigLayer(packed, size, seed)
	if err := errors.Join(err, f.Close()); err != nil {
		return images.Blob{}, errors.Join(err, os.Remove(temp))
	}

	blob := images.Blob{Size: packed.size, Type: types.OCILayer, Digest: packed.digest(), DiffID: tarred}
	path := s.blobData(blob.Digest)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return images.Blob{}, err
	}
	return blob, os.Rename(temp, path)
}

// writeBigLayer writes a tar of one random file, stored as gzip, and returns
// the tar's digest.
func writeBigLayer(w io.Writer, size int64, seed uint64) (v1.Hash, error) {
	zw, err := gzip.NewWriterLevel(w, gzip.NoCompression)
	if err != nil {
		return v1.Hash{}, err
	}
	tarred := &digester{w: zw, hash: sha256.New()}
	tw := tar.NewWriter(tarred)
	if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "big", Mode: 0o644, Size: size}); err != nil {
		return v1.Hash{}, err
	}
	key := [32]byte{byte(seed), byte(seed >> 8), byte(size >> 20), byte(size >> 28)}
	if _, err := io.CopyN(tw, rand.NewChaCha8(key), size); err != nil {
		return v1.Hash{}, err
	}
	if err := errors.Join(tw.Close(), zw.Close()); err != nil {
		return v1.Hash{}, err
	}
	return tarred.digest(), nil
}

// digester counts and digests what it passes on.
type digester struct {
	w    io.Writer
	hash hash.Hash
	size int64
}

func (d *digester) Write(p []byte) (int, error) {
	n, err := d.w.Write(p)
	d.hash.Write(p[:n])
	d.size += int64(n)
	return n, err
}

func (d *digester) digest() v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(d.hash.Sum(nil))}
}
