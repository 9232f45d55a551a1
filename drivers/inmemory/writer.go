package inmemory

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"registryfs/drivers"
)

// writer gathers a file in memory.
type writer struct {
	driver *Driver
	path   string
	buf    bytes.Buffer

	closed, committed, cancelled bool
}

var _ drivers.FileWriter = (*writer)(nil)

// Writer implements drivers.StorageDriver. With append it goes on after what
// an earlier one left; else after what is stored at path.
func (d *Driver) Writer(_ context.Context, path string, append bool) (drivers.FileWriter, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, _, err := d.root.makeParent(path); err != nil {
		return nil, err
	}
	w := &writer{driver: d, path: path}
	if append {
		w.buf.Write(d.stored(path))
	}
	delete(d.partials, path)
	return w, nil
}

// stored returns what an appending writer of path goes on after. The caller
// holds the lock.
func (d *Driver) stored(path string) []byte {
	if partial, ok := d.partials[path]; ok {
		return partial
	}
	if n := d.root.find(path); n != nil {
		return n.content
	}
	return nil
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if err := w.check("write"); err != nil {
		return 0, err
	}
	return w.buf.Write(p)
}

// Size implements drivers.FileWriter.
func (w *writer) Size() int64 { return int64(w.buf.Len()) }

// Close implements io.Closer. Without a Commit before it, it keeps the bytes
// for the next appending writer.
func (w *writer) Close() error {
	if w.closed {
		return fmt.Errorf("close %s: already closed", w.path)
	}
	w.closed = true
	if w.committed || w.cancelled {
		return nil
	}
	w.driver.mu.Lock()
	defer w.driver.mu.Unlock()
	w.driver.partials[w.path] = w.buf.Bytes()
	return nil
}

// Cancel implements drivers.FileWriter.
func (w *writer) Cancel(context.Context) error {
	if err := w.check("cancel"); err != nil {
		return err
	}
	w.cancelled = true
	return nil
}

// Commit implements drivers.FileWriter.
func (w *writer) Commit(ctx context.Context) error {
	if err := w.check("commit"); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	w.driver.mu.Lock()
	defer w.driver.mu.Unlock()
	if err := w.driver.put(w.path, w.buf.Bytes()); err != nil {
		return err
	}
	w.committed = true
	return nil
}

// check refuses what comes after the end of the write.
func (w *writer) check(op string) error {
	var state error
	switch {
	case w.closed:
		state = errors.New("already closed")
	case w.committed:
		state = errors.New("already committed")
	case w.cancelled:
		state = errors.New("already cancelled")
	default:
		return nil
	}
	return fmt.Errorf("%s %s: %w", op, w.path, state)
}
