package layout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"registryfs/drivers"
)

// maxSkip is how far ahead of its stream a BlobReader follows a read instead of
// asking for a range: the kernel's read-ahead comes in parallel and out of
// order. What is skipped is kept until the late request asks for it.
const maxSkip = 2 << 20

// BlobReader reads one stored file. Its methods may be called in parallel, but
// nothing after Close.
type BlobReader struct {
	driver drivers.StorageDriver
	path   string
	size   int64
	file   *os.File // nil unless local

	// turn is held while the following are used, reads of the stream included,
	// since that has one position only. As a channel it lets a reader give up.
	turn chan struct{}

	stream  io.ReadCloser // nil before the first read and after a failure
	abort   context.CancelFunc
	pos     int64  // of the stream
	skipped []byte // bytes up to pos, for requests that come late
	missed  int64  // where the last read besides the stream ended
}

// openFile opens the file at path for reading, locally if the driver can.
func (r *Registry) openFile(ctx context.Context, path string) (*BlobReader, error) {
	b := &BlobReader{driver: r.driver, path: path, turn: make(chan struct{}, 1), missed: -1}
	f, err := drivers.OpenFile(ctx, r.driver, path)
	switch {
	case err == nil:
		info, err := f.Stat()
		if err == nil && info.IsDir() {
			err = &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		b.file, b.size = f, info.Size()
		return b, nil
	case !errors.Is(err, errors.ErrUnsupported):
		return nil, err
	}
	info, err := r.driver.Stat(ctx, path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	b.size = info.Size()
	return b, nil
}

// Size is the size of the file when it was opened.
func (b *BlobReader) Size() int64 { return b.size }

// File is the local file itself, to be read only and not to be closed, or nil.
func (b *BlobReader) File() *os.File { return b.file }

// Close ends all reading.
func (b *BlobReader) Close() error {
	if b.file != nil {
		return b.file.Close()
	}
	b.turn <- struct{}{}
	defer func() { <-b.turn }()
	b.drop()
	return nil
}

// ReadAt reads as io.ReaderAt does. A remote file is read as one stream as long
// as the reads come about in order; others are single requests, and two of them
// in order move the stream there.
func (b *BlobReader) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if b.file != nil {
		return b.file.ReadAt(p, off)
	}
	if off < 0 {
		return 0, fmt.Errorf("read %s at %d: %w", b.path, off, fs.ErrInvalid)
	}
	if off >= b.size {
		return 0, io.EOF
	}
	var atEnd error
	if rest := b.size - off; int64(len(p)) > rest {
		p, atEnd = p[:rest], io.EOF
	}
	n, err := b.read(ctx, p, off)
	if err == nil {
		err = atEnd
	}
	return n, err
}

// read fills p, which ends at the file's end or before it.
func (b *BlobReader) read(ctx context.Context, p []byte, off int64) (int, error) {
	select {
	case b.turn <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if b.readSkipped(p, off) {
		<-b.turn
		return len(p), nil
	}
	follows := off >= b.pos && off-b.pos <= maxSkip || off == b.missed
	if !follows {
		b.missed = off + int64(len(p))
		<-b.turn
		return b.readRange(ctx, p, off)
	}
	defer func() { <-b.turn }()
	if off-b.pos > maxSkip || off < b.pos {
		b.drop()
		b.pos = off
	}
	return b.readStream(ctx, p, off)
}

// readSkipped serves a late read from what was skipped.
func (b *BlobReader) readSkipped(p []byte, off int64) bool {
	start := b.pos - int64(len(b.skipped))
	if off < start || off+int64(len(p)) > b.pos {
		return false
	}
	copy(p, b.skipped[off-start:])
	return true
}

func (b *BlobReader) readRange(ctx context.Context, p []byte, off int64) (int, error) {
	body, err := drivers.ReadRange(ctx, b.driver, b.path, off, int64(len(p)))
	if err != nil {
		return 0, err
	}
	n, err := io.ReadFull(body, p)
	return n, errors.Join(b.short(err), body.Close())
}

// readStream goes on with the stream at pos, or a new one, skips to off and
// fills p. A stream that was open already may have timed out: one more is tried.
func (b *BlobReader) readStream(ctx context.Context, p []byte, off int64) (int, error) {
	for {
		fresh := b.stream == nil
		n, err := b.tryStream(ctx, p, off)
		if err == nil {
			return n, nil
		}
		b.drop()
		if fresh || ctx.Err() != nil {
			return n, err
		}
	}
}

func (b *BlobReader) tryStream(ctx context.Context, p []byte, off int64) (int, error) {
	if b.stream == nil {
		// The stream outlives the request that opens it.
		streamCtx, abort := context.WithCancel(context.WithoutCancel(ctx))
		stream, err := b.driver.Reader(streamCtx, b.path, b.pos)
		if err != nil {
			abort()
			return 0, err
		}
		b.stream, b.abort = stream, abort
	}
	stop := context.AfterFunc(ctx, b.abort)
	defer stop()
	if skip := off - b.pos; skip > 0 {
		skipped := make([]byte, skip)
		if _, err := io.ReadFull(b.stream, skipped); err != nil {
			return 0, b.interrupted(ctx, err)
		}
		b.skipped, b.pos = skipped, off
	}
	n, err := io.ReadFull(b.stream, p)
	if err != nil {
		return n, b.interrupted(ctx, err)
	}
	if len(b.skipped) > 0 {
		b.skipped = append(b.skipped, p...)
		if len(b.skipped) > 2*maxSkip {
			b.skipped = nil
		}
	}
	b.pos += int64(n)
	return n, nil
}

func (b *BlobReader) interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return b.short(err)
}

// short explains the end of a file before its size.
func (b *BlobReader) short(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read %s: %w: it ends before its %d bytes", b.path, ErrCorrupt, b.size)
	}
	return err
}

// drop closes the stream. pos stays, for another one to start at.
func (b *BlobReader) drop() {
	b.skipped = nil
	if b.stream == nil {
		return
	}
	b.abort()
	b.stream.Close() // of a body only read from there is nothing to lose
	b.stream, b.abort = nil, nil
}
