package fusefs

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// base is the file under a name that is opened for writing.
//
// For a digest-named file, what is written is compared with what is there: the
// usual copy of a blob onto itself stores nothing. The first difference turns
// the comparison into an upload, which is how a truncated blob is repaired.
type base struct {
	found
	digest digest.Digest // of the content, or "" where it is not known
	named  bool          // the name is the digest: only the same bytes can be right

	in        *lazyReader
	truncated bool  // by O_TRUNC or ftruncate(0): nothing of it is wanted
	same      int64 // bytes from 0 on that were written and are equal
}

// visible is the size as the writer sees it.
func (b *base) visible() int64 {
	if b.truncated {
		return b.same
	}
	return b.attr.size
}

func (b *base) clear() { b.truncated, b.same = true, 0 }

func (b *base) close() { b.in.close() }

// read reads what is stored, and not what a cache says of it: a damaged blob
// that cannot be read otherwise is what a writer is here to replace.
func (b *base) read(ctx context.Context, p []byte, off int64) (int, error) {
	return b.in.read(layout.PastCaches(ctx), p[:min(int64(len(p)), max(0, b.visible()-off))], off)
}

// compare reports whether p is what stands at off already.
func (b *base) compare(ctx context.Context, p []byte, off int64) (bool, error) {
	if !b.named || off+int64(len(p)) > b.attr.size || (b.truncated && off != b.same) {
		return false, nil
	}
	there := make([]byte, len(p))
	if n, err := b.in.read(layout.PastCaches(ctx), there, off); n < len(p) {
		_ = err // what cannot be read cannot be equal: it is to be replaced
		return false, nil
	}
	if !bytes.Equal(there, p) {
		if !b.truncated && off > b.same {
			return false, fmt.Errorf("the bytes written at %d are not those of %s: %w", off, b.digest, layout.ErrDigestMismatch)
		}
		return false, nil
	}
	if off == b.same {
		b.same += int64(len(p))
	}
	return true, nil
}

// isWhole tells whether a commit of nothing but equal bytes is the file as it
// stands. Fewer may be what it should be: the stored blob may have got longer.
func (b *base) isWhole() bool { return !b.truncated || b.same == b.attr.size }

// copyTo puts what the writer sees of the base into an upload.
func (b *base) copyTo(ctx context.Context, u *layout.Upload) error {
	return copyRange(layout.PastCaches(ctx), u, b.in, b.visible())
}

// copyRange copies the first n bytes of in.
func copyRange(ctx context.Context, u *layout.Upload, in *lazyReader, n int64) error {
	buf := make([]byte, min(n, 1<<20))
	for off := int64(0); off < n; {
		got, err := in.read(ctx, buf[:min(int64(len(buf)), n-off)], off)
		if got == 0 {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if _, err := u.WriteAt(ctx, buf[:got], off); err != nil {
			return err
		}
		off += int64(got)
	}
	return nil
}
