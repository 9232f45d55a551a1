package layout

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
)

// Upload is content on its way into the store. It shows nowhere before one of
// the Put methods has stored it, and can be changed and put again afterwards.
//
// The first bytes stay in memory. What becomes too large, or finds no room in
// the memory all uploads share, goes on in one of these ways:
//
//   - A blob whose digest is known, and which comes in order, is sent to its
//     final place at once, to be committed if the digest is right. From then on
//     it can be continued at its end only.
//   - If that blob exists in a local store, it is compared with what is there.
//   - All else goes to a temporary file.
type Upload struct {
	r    *Registry
	want digest.Digest
	size atomic.Int64

	// turn is held while the following are used, for the whole of a Put: the
	// content must not change between its digest and its storing. As a channel
	// it lets a writer give up.
	turn   chan struct{}
	place  place // nil after Close
	sum    hash.Hash
	summed int64 // how many bytes, from the first, are in sum
}

// NewUpload begins an upload, of the blob want if that is known already.
func (r *Registry) NewUpload(want digest.Digest) *Upload {
	return &Upload{
		r:     r,
		want:  want,
		turn:  make(chan struct{}, 1),
		place: &memory{budget: r.spool},
		sum:   sha256.New(),
	}
}

// acquire waits for the upload's turn, which done gives back.
func (u *Upload) acquire(ctx context.Context) (done func(), err error) {
	select {
	case u.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if u.place == nil {
		<-u.turn
		return nil, fmt.Errorf("upload: %w", fs.ErrClosed)
	}
	return func() { <-u.turn }, nil
}

// Size is the size so far.
func (u *Upload) Size() int64 { return u.size.Load() }

// WriteAt writes p at off; a gap before it is zeros. It is ErrOutOfOrder if the
// bytes before have been sent on and off is among them.
func (u *Upload) WriteAt(ctx context.Context, p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("write upload at %d: %w", off, fs.ErrInvalid)
	}
	done, err := u.acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	if len(p) == 0 {
		return 0, nil
	}
	write := func(at place) error { return at.writeAt(ctx, p, off, u.Size()) }
	if err := u.change(ctx, off == u.Size(), write); err != nil {
		return 0, err
	}
	if off > u.Size() && u.isStream() {
		u.summed = u.sumZeros(off - u.Size())
	}
	switch {
	case off == u.summed:
		u.sum.Write(p)
		u.summed += int64(len(p))
	case off < u.summed:
		u.resetSum()
	}
	u.size.Store(max(u.Size(), off+int64(len(p))))
	return len(p), nil
}

// Truncate makes the size n, adding zeros or cutting off.
func (u *Upload) Truncate(n int64) error {
	if n < 0 {
		return fmt.Errorf("truncate upload to %d: %w", n, fs.ErrInvalid)
	}
	ctx := context.Background()
	done, err := u.acquire(ctx)
	if err != nil {
		return err
	}
	defer done()
	if n == 0 && !u.isMemory() {
		if err := u.place.close(); err != nil {
			u.r.log.Warn("an upload that was begun anew was not dropped", "error", err)
		}
		u.place = &memory{budget: u.r.spool}
	}
	resize := func(at place) error { return at.truncate(ctx, n, u.Size()) }
	if err := u.change(ctx, false, resize); err != nil {
		return err
	}
	if n > u.Size() && u.isStream() {
		u.summed = u.sumZeros(n - u.Size())
	}
	if n < u.summed {
		u.resetSum()
	}
	u.size.Store(n)
	return nil
}

// ReadAt reads as io.ReaderAt does. It is errors.ErrUnsupported once the bytes
// have been sent on.
func (u *Upload) ReadAt(p []byte, off int64) (int, error) {
	done, err := u.acquire(context.Background())
	if err != nil {
		return 0, err
	}
	defer done()
	return u.content().ReadAt(p, off)
}

// Digest is the digest of the content so far.
func (u *Upload) Digest(alg digest.Algorithm) (digest.Digest, error) {
	ctx := context.Background()
	done, err := u.acquire(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	return u.digest(ctx, alg)
}

// Close drops what was not stored. It may be called more than once.
func (u *Upload) Close() error {
	done, err := u.acquire(context.Background())
	if err != nil {
		return nil // closed before
	}
	defer done()
	err = u.place.close()
	u.place = nil
	if err != nil {
		return fmt.Errorf("drop upload: %w", err)
	}
	return nil
}

func (u *Upload) isMemory() bool {
	_, ok := u.place.(*memory)
	return ok
}

func (u *Upload) isStream() bool {
	_, ok := u.place.(*stream)
	return ok
}

// content reads what is there so far.
func (u *Upload) content() *io.SectionReader {
	return io.NewSectionReader(u.place, 0, u.Size())
}

// change applies fn to the place of the bytes, after moving them to one that
// can take the change.
func (u *Upload) change(ctx context.Context, inOrder bool, fn func(place) error) error {
	err := fn(u.place)
	if !errors.Is(err, errElsewhere) {
		return err
	}
	if u.isStream() {
		return withRemedy(fmt.Errorf("upload of %s: %w", u.want, ErrOutOfOrder),
			"write the file in order, or write it elsewhere and copy it here")
	}
	for _, open := range u.nextPlaces(inOrder) {
		next, err := open(ctx)
		if err != nil {
			return err
		}
		if next == nil {
			continue
		}
		err = u.fill(ctx, next)
		if err == nil {
			err = fn(next)
		}
		if err != nil {
			err = errors.Join(err, next.close())
		}
		if errors.Is(err, errElsewhere) {
			continue
		}
		if err != nil {
			return err
		}
		if err := u.place.close(); err != nil {
			u.r.log.Warn("the former place of an upload was not dropped", "error", err)
		}
		u.place = next
		return nil
	}
	return errElsewhere // not reached: a temporary file takes everything
}

// nextPlaces are where the bytes may go, in order of preference; a function
// that returns no place says that it does not apply.
func (u *Upload) nextPlaces(inOrder bool) []func(context.Context) (place, error) {
	temp := func(context.Context) (place, error) { return newTempFile(u.r.opts.SpoolDir) }
	// Only sha256 is stored under its own name.
	if !inOrder || u.summed != u.Size() || u.want.Validate() != nil || u.want.Algorithm() != digest.Canonical {
		return []func(context.Context) (place, error){temp}
	}
	path := blobDataPath(u.want)
	remote := false
	compare := func(ctx context.Context) (place, error) {
		if _, ok := u.place.(storedBlob); ok {
			return nil, nil
		}
		b, err := u.r.openFile(PastCaches(ctx), path) // the stored bytes may be damaged
		if isAbsent(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("compare with blob %s: %w", u.want, err)
		}
		if b.File() == nil {
			remote = true
			return nil, b.Close()
		}
		return storedBlob{b}, nil
	}
	send := func(ctx context.Context) (place, error) {
		if remote {
			return nil, nil // most likely there is nothing to send
		}
		done, ok := u.r.spool.beginStream()
		if !ok {
			return nil, nil
		}
		// The writer outlives the request that opens it.
		w, err := u.r.driver.Writer(context.WithoutCancel(ctx), path, false)
		if err != nil {
			done()
			return nil, fmt.Errorf("send upload on: %w", err)
		}
		return &stream{w: w, done: done}, nil
	}
	return []func(context.Context) (place, error){compare, send, temp}
}

// fill copies what is there so far to next.
func (u *Upload) fill(ctx context.Context, next place) error {
	buf := make([]byte, min(u.Size(), copyBuffer))
	content := u.content()
	for off := int64(0); off < u.Size(); {
		n, err := io.ReadFull(content, buf[:min(u.Size()-off, int64(len(buf)))])
		if err != nil {
			return fmt.Errorf("move upload: %w", err)
		}
		if err := next.writeAt(ctx, buf[:n], off, off); err != nil {
			return err
		}
		off += int64(n)
	}
	return nil
}

func (u *Upload) resetSum() {
	u.sum.Reset()
	u.summed = 0
}

// sumZeros adds what a stream has filled a gap with.
func (u *Upload) sumZeros(n int64) (summed int64) {
	zeros := make([]byte, min(n, copyBuffer))
	for left := n; left > 0; left -= int64(len(zeros)) {
		zeros = zeros[:min(left, int64(len(zeros)))]
		u.sum.Write(zeros)
	}
	return u.summed + n
}

// digest is Digest with the turn held.
func (u *Upload) digest(ctx context.Context, alg digest.Algorithm) (digest.Digest, error) {
	if alg == digest.Canonical {
		if err := u.copyRange(ctx, u.sum, u.summed); err != nil {
			u.resetSum()
			return "", err
		}
		u.summed = u.Size()
		return digest.NewDigest(alg, u.sum), nil
	}
	if !alg.Available() {
		return "", fmt.Errorf("digest algorithm %q: %w", alg, ErrDigestInvalid)
	}
	h := alg.Hash()
	if err := u.copyRange(ctx, h, 0); err != nil {
		return "", err
	}
	return digest.NewDigest(alg, h), nil
}

// copyRange writes the content from off on to w.
func (u *Upload) copyRange(ctx context.Context, w io.Writer, off int64) error {
	if off == u.Size() {
		return nil
	}
	buf := make([]byte, min(u.Size()-off, copyBuffer))
	for off < u.Size() {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := u.content().ReadAt(buf, off)
		if n == 0 && err != nil {
			return fmt.Errorf("read upload: %w", err)
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return fmt.Errorf("store upload: %w", err)
		}
		off += int64(n)
	}
	return nil
}

// bytes is the whole content, not to be changed. The turn is held.
func (u *Upload) bytes() ([]byte, error) {
	if m, ok := u.place.(*memory); ok {
		return m.buf, nil
	}
	content := make([]byte, u.Size())
	if _, err := io.ReadFull(u.content(), content); err != nil {
		return nil, fmt.Errorf("read upload: %w", err)
	}
	return content, nil
}

// store makes the content, which has digest d, the file at path, unless that is
// stored there already. What is in memory is not written but returned, to be
// put in one batch with the links to it. With d "" nothing is known of the
// content and it is always written. The turn is held.
func (u *Upload) store(ctx context.Context, path string, d digest.Digest) (batch []drivers.Content, isNew bool, err error) {
	defer func() {
		if isNew && err == nil {
			u.r.opts.BlobCache.Replaced(blobFromPath(path))
		}
	}()
	if s, ok := u.place.(*stream); ok {
		return nil, true, u.commit(ctx, s, path)
	}
	if d != "" {
		same, err := u.isStored(ctx, path)
		if err != nil || same {
			return nil, false, err
		}
	}
	if m, ok := u.place.(*memory); ok {
		return []drivers.Content{{Path: path, Bytes: m.buf}}, true, nil
	}
	return nil, true, u.write(ctx, path, d)
}

// commit ends a stream; from then on its bytes are had from the store.
func (u *Upload) commit(ctx context.Context, s *stream, path string) error {
	if path != blobDataPath(u.want) {
		return fmt.Errorf("upload of %s: %w: its bytes have been sent there", u.want, ErrDigestMismatch)
	}
	if err := s.commit(ctx); err != nil {
		return err
	}
	b, err := u.r.openSized(ctx, path, u.Size())
	if err != nil {
		// Stored all the same. Only what would come after needs the bytes.
		s.failed = err
		return nil
	}
	u.place = storedBlob{b}
	return nil
}

// isStored reports whether path has the content. A remote file is taken to have
// it if the size is the same and no reader has found it damaged.
func (u *Upload) isStored(ctx context.Context, path string) (bool, error) {
	info, err := u.r.statNamed(Adding(ctx), path)
	if isAbsent(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for what is stored: %w", err)
	}
	if info.IsDir() || info.Size() != u.Size() || u.r.opts.BlobCache.Bad(blobFromPath(path)) {
		return false, nil
	}
	if s, ok := u.place.(storedBlob); ok && s.blob.path == path {
		return true, nil // compared already
	}
	b, err := u.r.openFile(PastCaches(ctx), path)
	if isAbsent(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("compare with what is stored: %w", err)
	}
	if b.File() == nil {
		return true, b.Close()
	}
	c := &comparer{ctx: ctx, blob: b}
	err = u.copyRange(ctx, c, 0)
	if errors.Is(err, errDiffers) {
		err = nil
	}
	return err == nil && c.off == u.Size(), errors.Join(err, b.Close())
}

// comparer is a Writer that stops at the first difference from a blob.
type comparer struct {
	ctx  context.Context
	blob *BlobReader
	off  int64
}

var errDiffers = errors.New("differs from what is stored")

func (c *comparer) Write(p []byte) (int, error) {
	same, err := equalRange(c.ctx, c.blob, p, c.off)
	if err != nil {
		return 0, err
	}
	if !same {
		return 0, errDiffers
	}
	c.off += int64(len(p))
	return len(p), nil
}

// write sends the content to path and commits it if it still has digest d.
func (u *Upload) write(ctx context.Context, path string, d digest.Digest) error {
	w, err := u.r.driver.Writer(ctx, path, false)
	if err != nil {
		return fmt.Errorf("store upload: %w", err)
	}
	s := &stream{w: w, done: func() {}}
	if err := u.send(ctx, w, d); err != nil {
		return errors.Join(err, s.close())
	}
	return s.commit(ctx)
}

func (u *Upload) send(ctx context.Context, w io.Writer, d digest.Digest) error {
	if d == "" {
		return u.copyRange(ctx, w, 0)
	}
	v := d.Verifier()
	if err := u.copyRange(ctx, io.MultiWriter(w, v), 0); err != nil {
		return err
	}
	if !v.Verified() {
		return fmt.Errorf("upload of %s: %w: it was read back as something else", d, ErrDigestMismatch)
	}
	return nil
}
