package layout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
)

// SourceError says that a copy has failed for the store it was to be made from.
type SourceError struct{ Err error }

func (e SourceError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e SourceError) Unwrap() error { return e.Err }

// CopyFrom makes a file what it is in another store, with its time where this one
// can. Nothing shows before all of it is there and verified: the data of a blob
// has the digest of its path, a file named link is a link. Only large files that
// an object store copies itself are not read, but compared by what it tells of
// them. What is wrong with the source is a SourceError.
func (t RawTree) CopyFrom(ctx context.Context, from RawTree, f RawFile) error {
	err := t.copyFrom(ctx, from, f)
	t.forget(f.Path)
	if err != nil {
		return fmt.Errorf("copy %s: %w", f.Path, err)
	}
	return t.setTime(ctx, f.Path, f.ModTime)
}

func (t RawTree) copyFrom(ctx context.Context, from RawTree, f RawFile) error {
	if f.Size <= maxContent {
		content, err := from.r.driver.GetContent(ctx, string(f.Path))
		if err != nil {
			return SourceError{err}
		}
		if err := f.verify(content); err != nil {
			return SourceError{err}
		}
		return t.r.driver.PutContent(ctx, string(f.Path), content)
	}
	source := drivers.CopySource(from.r.driver, string(f.Path))
	if err := drivers.CopyFrom(ctx, t.r.driver, source, string(f.Path)); err == nil || ctx.Err() != nil {
		return err
	}
	// It cannot, or may not for a reason that does not matter to a stream.
	return t.stream(ctx, from, f)
}

// verify checks what a whole file has to be.
func (f RawFile) verify(content []byte) error {
	if f.Blob != "" {
		return checkStored(f.Blob, f.Blob.Algorithm().FromBytes(content))
	}
	if baseName(string(f.Path)) == "link" {
		_, err := parseLink(content)
		return err
	}
	return nil
}

// checkStored is ErrCorrupt if what is stored as want has the digest got.
func checkStored(want, got digest.Digest) error {
	if want != got {
		return fmt.Errorf("%w: its bytes have digest %s", ErrCorrupt, got)
	}
	return nil
}

// stream copies a file that is too large to be held.
func (t RawTree) stream(ctx context.Context, from RawTree, f RawFile) (err error) {
	select {
	case t.r.streams <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-t.r.streams }()
	b, err := from.r.openSized(PastCaches(ctx), string(f.Path), f.Size)
	if err != nil {
		return SourceError{err}
	}
	defer b.Close() // it is only read
	w, err := t.r.driver.Writer(ctx, string(f.Path), false)
	if err != nil {
		return err
	}
	alg := digest.Canonical
	if f.Blob != "" {
		alg = f.Blob.Algorithm()
	}
	sum := alg.Digester()
	if err = pour(ctx, io.MultiWriter(sum.Hash(), w), b); err == nil && f.Blob != "" {
		if err = checkStored(f.Blob, sum.Digest()); err != nil {
			err = SourceError{err}
		}
	}
	if err == nil {
		err = w.Commit(ctx)
	} else {
		err = errors.Join(err, w.Cancel(ctx))
	}
	return errors.Join(err, w.Close())
}

// pour writes all of b to w.
func pour(ctx context.Context, w io.Writer, b *BlobReader) error {
	buf := make([]byte, copyBuffer)
	for off := int64(0); ; {
		n, err := b.ReadAt(ctx, buf, off)
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		off += int64(n)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return SourceError{err}
		}
	}
}

// PutLinks writes links of repositories as another store has them, in that order,
// with their times where this one can.
func (t RawTree) PutLinks(ctx context.Context, links []File) error {
	contents := make([]drivers.Content, len(links))
	for i, l := range links {
		contents[i] = linkContent(string(l.Path), l.Target)
	}
	if err := drivers.PutContents(ctx, t.r.driver, contents); err != nil {
		return fmt.Errorf("put links: %w", err)
	}
	for _, l := range links {
		if err := t.setTime(ctx, l.Path, l.ModTime); err != nil {
			return err
		}
	}
	return nil
}

// setTime is SetModTime where the store can.
func (t RawTree) setTime(ctx context.Context, p RawPath, mtime time.Time) error {
	if mtime.IsZero() {
		return nil
	}
	if err := t.SetModTime(ctx, p, mtime); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}
