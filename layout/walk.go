package layout

import (
	"context"
	"fmt"
	"io"
	"iter"

	"registryfs/drivers"
)

// RawFile is a file of the store's own tree and where it lies.
type RawFile struct {
	Path RawPath
	RawEntry
}

// BlobFile is the data of a blob.
func BlobFile(desc Descriptor) RawFile {
	e := Entry{Name: "data", Size: desc.Size, ModTime: desc.ModTime}
	return RawFile{RawBlob(desc.Digest), RawEntry{Entry: e, Blob: desc.Digest}}
}

// Walk yields every file below a directory, in the order of their paths. An error
// ends it; a directory that is missing has none. On a remote store it is a request
// for a thousand files.
func (t RawTree) Walk(ctx context.Context, p RawPath) iter.Seq2[RawFile, error] {
	return func(yield func(RawFile, error) bool) {
		if err := t.Check(p); err != nil {
			yield(RawFile{}, err)
			return
		}
		t.files(drivers.WalkInfo(ctx, t.r.driver, string(p), ""), p, yield)
	}
}

// Leftovers yields the files below a directory that writes have left which never
// ended. No other method shows them; a registry does not look at them either.
func (t RawTree) Leftovers(ctx context.Context, p RawPath) iter.Seq2[RawFile, error] {
	return func(yield func(RawFile, error) bool) {
		if err := t.Check(p); err != nil {
			yield(RawFile{}, err)
			return
		}
		t.files(drivers.LeftoversOf(t.r.driver).All(ctx, string(p)), p, yield)
	}
}

func (t RawTree) files(infos iter.Seq2[drivers.FileInfo, error], p RawPath, yield func(RawFile, error) bool) {
	for info, err := range infos {
		if isAbsent(err) {
			return
		}
		if err != nil {
			yield(RawFile{}, fmt.Errorf("list files below %s: %w", p, err))
			return
		}
		if !yield(RawFile{RawPath(info.Path()), rawEntryOf(info)}, nil) {
			return
		}
	}
}

// OpenLeftover reads a leftover. It is fs.ErrNotExist if it is none.
func (t RawTree) OpenLeftover(ctx context.Context, p RawPath) (io.ReadCloser, error) {
	r, err := drivers.LeftoversOf(t.r.driver).Open(ctx, string(p))
	if err != nil {
		return nil, fmt.Errorf("open leftover %s: %w", p, err)
	}
	return r, nil
}

// RemoveLeftover removes a leftover. It is fs.ErrNotExist if it is none.
func (t RawTree) RemoveLeftover(ctx context.Context, p RawPath) error {
	if err := drivers.LeftoversOf(t.r.driver).Remove(ctx, string(p)); err != nil {
		return fmt.Errorf("remove leftover %s: %w", p, err)
	}
	return nil
}

// RemoveEmpty removes a directory if nothing is in it, and tells whether it did. It
// takes nothing away that somebody puts there meanwhile, as RemoveDir may.
func (t RawTree) RemoveEmpty(ctx context.Context, p RawPath) (bool, error) {
	ok, err := drivers.LeftoversOf(t.r.driver).RemoveDir(ctx, string(p))
	if err != nil {
		return false, fmt.Errorf("remove empty directory %s: %w", p, err)
	}
	return ok, nil
}

// RemoveAll removes a directory and all in it, leftovers too. It is fs.ErrNotExist
// if there is none.
func (t RawTree) RemoveAll(ctx context.Context, p RawPath) error {
	if err := t.Check(p); err != nil {
		return err
	}
	return t.remove(ctx, p)
}
