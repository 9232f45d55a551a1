package layout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"sync"

	"registryfs/drivers"
)

const (
	defaultMemory      = 256 << 20
	defaultSpoolMemory = 64 << 20
	maxSpooled         = 8 << 20 // of one upload in memory; a manifest has at most half
	copyBuffer         = 1 << 20
)

// spoolBudget is the memory that all uploads of a registry share: a part of that
// of the process. They do not wait for it, since they can go elsewhere.
type spoolBudget struct {
	each   int64 // the most that one of them gets
	memory *drivers.Budget

	mu      sync.Mutex // guards the following
	left    int64
	streams int // of uploads whose writer may not write for long
}

// streamMemory is what the driver's writer of one upload may hold while nothing
// is written to it. Streams that wait for the memory of each other would wait
// for ever, so there are no more of them than the memory has room for.
const streamMemory = 32 << 20

// beginStream counts a stream, until done is called. It fails if there are
// enough: the upload goes to a temporary file instead.
func (b *spoolBudget) beginStream() (done func(), ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if int64(b.streams) >= max(1, b.memory.Size()/streamMemory) {
		return nil, false
	}
	b.streams++
	return sync.OnceFunc(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.streams--
	}), true
}

// take returns room for n bytes, or nil if there is not enough.
func (b *spoolBudget) take(n int64) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > b.left || !b.memory.TryAcquire(n) {
		return nil
	}
	b.left -= n
	return b.memory.Buffer(n)
}

func (b *spoolBudget) giveBack(buf []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += int64(len(buf))
	b.memory.GiveBack(buf)
}

// place is where the bytes of an upload are. The upload keeps their number and
// passes it in; calls do not overlap.
type place interface {
	// writeAt takes p at off, and zeros from size to off. errElsewhere says
	// that it cannot and has changed nothing.
	writeAt(ctx context.Context, p []byte, off, size int64) error
	// truncate makes the size n. errElsewhere is as for writeAt.
	truncate(ctx context.Context, n, size int64) error
	// ReadAt is called for bytes below the size only.
	io.ReaderAt
	// close gives the bytes up.
	close() error
}

// errElsewhere asks for the bytes to be moved to another place.
var errElsewhere = errors.New("the bytes have to go elsewhere")

// memory holds small uploads, as long as the budget lasts.
type memory struct {
	budget *spoolBudget
	buf    []byte
}

var _ place = (*memory)(nil)

func (m *memory) writeAt(_ context.Context, p []byte, off, size int64) error {
	if !m.resize(max(size, off+int64(len(p)))) {
		return errElsewhere
	}
	copy(m.buf[off:], p)
	return nil
}

func (m *memory) truncate(_ context.Context, n, _ int64) error {
	if !m.resize(n) {
		return errElsewhere
	}
	return nil
}

func (m *memory) resize(n int64) bool {
	if n > m.budget.each {
		return false
	}
	old := len(m.buf)
	if n > int64(cap(m.buf)) {
		grown := m.budget.take(min(roomFor(n), m.budget.each))
		if grown == nil {
			return false
		}
		copy(grown, m.buf)
		m.giveBack()
		m.buf = grown
	}
	m.buf = m.buf[:n]
	if old < len(m.buf) {
		clear(m.buf[old:])
	}
	return true
}

// roomFor is a power of two, so that an upload of n bytes is copied seldom while
// it grows, and takes the buffers that others were in.
func roomFor(n int64) int64 { return max(4096, int64(1)<<bits.Len64(uint64(n-1))) }

func (m *memory) giveBack() {
	m.budget.giveBack(m.buf[:cap(m.buf)])
	m.buf = nil
}

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(m.buf).ReadAt(p, off)
}

func (m *memory) close() error {
	m.giveBack()
	return nil
}

// tempFile holds large uploads and takes everything.
type tempFile struct {
	*os.File
}

var _ place = tempFile{}

// newTempFile makes a file that has no name any more: nothing is left of it
// when the process ends, however that happens.
func newTempFile(dir string) (tempFile, error) {
	f, err := os.CreateTemp(dir, "registryfs-*")
	if err != nil {
		return tempFile{}, fmt.Errorf("spool upload: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return tempFile{}, errors.Join(fmt.Errorf("spool upload: %w", err), f.Close())
	}
	return tempFile{f}, nil
}

func (t tempFile) writeAt(_ context.Context, p []byte, off, _ int64) error {
	_, err := t.File.WriteAt(p, off)
	return err
}

func (t tempFile) truncate(_ context.Context, n, _ int64) error { return t.File.Truncate(n) }

func (t tempFile) close() error { return t.File.Close() }

// storedBlob stands for bytes that the store has already: an upload of a blob
// that exists is only compared with it.
type storedBlob struct {
	blob *BlobReader
}

var _ place = storedBlob{}

func (s storedBlob) writeAt(ctx context.Context, p []byte, off, size int64) error {
	if off > size || off+int64(len(p)) > s.blob.Size() {
		return errElsewhere
	}
	same, err := equalRange(ctx, s.blob, p, off)
	if err != nil {
		return err
	}
	if !same {
		return errElsewhere
	}
	return nil
}

func (s storedBlob) truncate(_ context.Context, n, size int64) error {
	if n > size {
		return errElsewhere
	}
	return nil
}

func (s storedBlob) ReadAt(p []byte, off int64) (int, error) {
	return s.blob.ReadAt(context.Background(), p, off)
}

func (s storedBlob) close() error { return s.blob.Close() }

func equalRange(ctx context.Context, b *BlobReader, p []byte, off int64) (bool, error) {
	buf := make([]byte, min(len(p), copyBuffer))
	for len(p) > 0 {
		part := buf[:min(len(p), len(buf))]
		n, err := b.ReadAt(ctx, part, off)
		if n < len(part) && err != nil && err != io.EOF {
			return false, fmt.Errorf("compare with what is stored: %w", err)
		}
		if n < len(part) || !bytes.Equal(part, p[:n]) {
			return false, nil
		}
		p, off = p[n:], off+int64(n)
	}
	return true, nil
}

// stream sends bytes that come in order to where they will be stored. Nothing
// of them shows before the commit, and nothing can be had back.
type stream struct {
	w      drivers.FileWriter
	done   func() // called when the writer is closed
	failed error  // of the writer, which is of no use from then on
}

var _ place = (*stream)(nil)

func (s *stream) writeAt(ctx context.Context, p []byte, off, size int64) error {
	if off < size {
		return errElsewhere
	}
	zeros := make([]byte, min(off-size, copyBuffer))
	for size < off {
		if err := ctx.Err(); err != nil {
			s.failed = err // a part of the gap may be written
			return err
		}
		part := zeros[:min(off-size, int64(len(zeros)))]
		if err := s.write(part); err != nil {
			return err
		}
		size += int64(len(part))
	}
	return s.write(p)
}

func (s *stream) write(p []byte) error {
	if s.failed != nil {
		return fmt.Errorf("upload has failed before: %w", s.failed)
	}
	if _, err := s.w.Write(p); err != nil {
		s.failed = err
		return fmt.Errorf("send upload on: %w", err)
	}
	return nil
}

func (s *stream) truncate(ctx context.Context, n, size int64) error {
	if n < size {
		return errElsewhere
	}
	return s.writeAt(ctx, nil, n, size)
}

func (s *stream) ReadAt([]byte, int64) (int, error) {
	return 0, fmt.Errorf("read an upload that has been sent on: %w", errors.ErrUnsupported)
}

// commit makes the bytes visible. After an error there is no stream any more.
func (s *stream) commit(ctx context.Context) error {
	if s.failed != nil {
		return fmt.Errorf("upload has failed before: %w", s.failed)
	}
	err := s.w.Commit(ctx)
	if err == nil {
		err = s.w.Close()
		s.w = nil
		s.done()
	}
	if err != nil {
		s.failed = err
		return fmt.Errorf("store upload: %w", err)
	}
	return nil
}

func (s *stream) close() error {
	if s.w == nil {
		return nil
	}
	err := s.w.Cancel(context.Background())
	err = errors.Join(err, s.w.Close())
	s.w = nil
	s.done()
	return err
}
