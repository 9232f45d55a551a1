package s3

import (
	"context"
	"errors"
	"fmt"

	"registryfs/drivers"
)

// writer gathers a file in buffers the size of a part. What fits into one is put
// by a single request at Commit; else each goes to the store as soon as it is
// full, while the next is filled.
type writer struct {
	driver  *Driver
	path    string
	ctx     context.Context // of the uploads, which outlive the call that began them
	stop    context.CancelFunc
	upload  *upload // nil while all of the file is in buf
	parts   int     // put to the upload
	buf     []byte  // nil or with the room for the next part
	size    int64
	failure error // of the first Write that failed; the bytes are then unsure

	closed bool
	ended  string // how the file ended, in a word; "" while it can be written
}

var _ drivers.FileWriter = (*writer)(nil)

// Writer implements drivers.StorageDriver. Without append it makes no request.
func (d *Driver) Writer(ctx context.Context, path string, append bool) (drivers.FileWriter, error) {
	w := &writer{driver: d, path: path}
	w.ctx, w.stop = context.WithCancel(context.WithoutCancel(ctx))
	var err error
	if append {
		err = w.resume(ctx)
	} else {
		err = d.dropPartial(ctx, path)
	}
	if err != nil {
		return nil, errors.Join(err, w.discard())
	}
	return w, nil
}

// Write implements io.Writer. After an error the file cannot be committed.
func (w *writer) Write(p []byte) (int, error) {
	if err := w.check("write"); err != nil {
		return 0, err
	}
	if w.failure != nil {
		return 0, w.failure
	}
	written := 0
	for written < len(p) {
		if err := w.makeRoom(); err != nil {
			w.failure = err
			return written, err
		}
		n := copy(w.buf[len(w.buf):cap(w.buf)], p[written:])
		w.buf = w.buf[:len(w.buf)+n]
		w.size += int64(n)
		written += n
	}
	return written, nil
}

// makeRoom sees to it that the buffer can take a byte.
func (w *writer) makeRoom() error {
	if w.buf != nil && len(w.buf) < cap(w.buf) {
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	buf, err := w.driver.takeBuffer(w.ctx, partSize(w.driver.ChunkSize, w.parts+1))
	if err != nil {
		return fmt.Errorf("write %s: %w", w.path, err)
	}
	w.buf = buf
	return nil
}

// flush sends the buffer on its way as a part. It returns the error of an
// earlier one.
func (w *writer) flush() error {
	if w.buf == nil {
		return nil
	}
	if w.upload == nil {
		w.upload = w.driver.newUpload(w.path)
	}
	if w.parts == maxPartsPerFile {
		return fmt.Errorf("write %s: %w", w.path, errTooManyParts)
	}
	buf := w.buf
	w.buf = nil
	w.parts++
	w.upload.put(w.ctx, w.parts, buf, func() { w.driver.giveBuffer(buf) })
	return w.upload.failed()
}

// Size implements drivers.FileWriter.
func (w *writer) Size() int64 { return w.size }

// Commit implements drivers.FileWriter. After an error the bytes are gone,
// unless the context was cancelled before it began.
func (w *writer) Commit(ctx context.Context) error {
	if err := w.check("commit"); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.failure != nil {
		return w.failure
	}
	w.ended = "committed"
	unlink := context.AfterFunc(ctx, w.stop) // of the parts too
	defer unlink()
	if err := w.finish(ctx); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("commit %s: %w", w.path, ctx.Err())
		}
		return errors.Join(err, w.discard())
	}
	return errors.Join(w.driver.dropPartial(ctx, w.path), w.discard())
}

func (w *writer) finish(ctx context.Context) error {
	if w.upload == nil {
		return w.driver.put(ctx, w.path, w.buf, w.driver.putInput(w.path))
	}
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.upload.wait(); err != nil {
		return err
	}
	if err := w.upload.complete(ctx); err != nil {
		return err
	}
	w.upload = nil
	return nil
}

// Cancel implements drivers.FileWriter.
func (w *writer) Cancel(context.Context) error {
	if err := w.check("cancel"); err != nil {
		return err
	}
	w.ended = "cancelled"
	return w.discard()
}

// Close implements io.Closer. Without a Commit before it, it keeps the bytes
// for the next appending writer, unless a Write has failed.
func (w *writer) Close() error {
	if w.closed {
		return fmt.Errorf("close %s: already closed", w.path)
	}
	w.closed = true
	switch {
	case w.ended != "":
		return nil
	case w.failure != nil:
		return errors.Join(w.failure, w.discard())
	}
	w.ended = "closed"
	if err := w.keep(); err != nil {
		return errors.Join(err, w.discard())
	}
	w.upload = nil
	return w.discard()
}

// discard gives back all that the writer still has.
func (w *writer) discard() error {
	w.stop()
	if w.buf != nil {
		w.driver.giveBuffer(w.buf)
		w.buf = nil
	}
	if w.upload == nil {
		return nil
	}
	u := w.upload
	w.upload = nil
	return u.abort(w.ctx)
}

// check refuses what comes after the end of the write.
func (w *writer) check(op string) error {
	if w.closed {
		return fmt.Errorf("%s %s: already closed", op, w.path)
	}
	if w.ended != "" {
		return fmt.Errorf("%s %s: already %s", op, w.path, w.ended)
	}
	return nil
}

// takeBuffer waits until the budget has room for a buffer of so many bytes.
func (d *Driver) takeBuffer(ctx context.Context, size int64) ([]byte, error) {
	if err := d.Memory.Acquire(ctx, size); err != nil {
		return nil, err
	}
	return d.Memory.Buffer(size)[:0], nil
}

func (d *Driver) giveBuffer(buf []byte) { d.Memory.GiveBack(buf[:cap(buf)]) }
