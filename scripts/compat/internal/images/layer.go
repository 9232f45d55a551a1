package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

// File is one entry of a layer.
type File struct {
	Name string // a directory if it ends in "/"
	Mode int64
	Data []byte
	Link string // the target, if it is a symbolic link
}

// NewLayer packs files into a gzipped tar. The tar is stored, not compressed,
// so that no version of the compressor changes a digest.
func NewLayer(files ...File) (Blob, error) {
	var tarred bytes.Buffer
	tw := tar.NewWriter(&tarred)
	for _, f := range files {
		if err := tw.WriteHeader(f.header()); err != nil {
			return Blob{}, fmt.Errorf("layer file %s: %w", f.Name, err)
		}
		if _, err := tw.Write(f.Data); err != nil {
			return Blob{}, fmt.Errorf("layer file %s: %w", f.Name, err)
		}
	}
	if err := tw.Close(); err != nil {
		return Blob{}, fmt.Errorf("layer: %w", err)
	}

	var packed bytes.Buffer
	zw, err := gzip.NewWriterLevel(&packed, gzip.NoCompression)
	if err != nil {
		return Blob{}, fmt.Errorf("layer: %w", err)
	}
	if _, err := zw.Write(tarred.Bytes()); err != nil {
		return Blob{}, fmt.Errorf("layer: %w", err)
	}
	if err := zw.Close(); err != nil {
		return Blob{}, fmt.Errorf("layer: %w", err)
	}
	blob := NewBlob(types.OCILayer, packed.Bytes())
	blob.DiffID = Sum(tarred.Bytes())
	return blob, nil
}

func (f File) header() *tar.Header {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: f.Name, Mode: f.Mode, Size: int64(len(f.Data)), ModTime: created}
	switch {
	case f.Link != "":
		h.Typeflag, h.Linkname = tar.TypeSymlink, f.Link
	case f.Name[len(f.Name)-1] == '/':
		h.Typeflag = tar.TypeDir
	}
	return h
}
