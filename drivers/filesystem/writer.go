package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"registryfs/drivers"
)

// writer writes a temporary file of its own. Its end is one of: the target's
// name (Commit), the name of an unfinished write (Close), or none.
type writer struct {
	driver *Driver
	path   string
	file   *os.File // its Name is the temporary name, whatever it is called now
	size   int64
	made   *madeDirs
	failed error // of the first Write that failed; the bytes are then unsure

	closed bool
	ended  string // how the file ended, in a word; "" while it can be written
}

var _ drivers.FileWriter = (*writer)(nil)

// Writer implements drivers.StorageDriver.
func (d *Driver) Writer(_ context.Context, path string, append bool) (drivers.FileWriter, error) {
	if append {
		return d.appendingWriter(path)
	}
	w, err := d.newWriter(path)
	if err != nil {
		return nil, err
	}
	if err := d.dropPartial(path); err != nil {
		return nil, errors.Join(err, w.discard())
	}
	return w, nil
}

// appendingWriter takes over the unfinished write of path, or else goes on
// after a copy of what is there.
func (d *Driver) appendingWriter(path string) (drivers.FileWriter, error) {
	w, err := d.newWriter(path)
	if err != nil {
		return nil, err
	}
	err = os.Rename(d.partial(path), w.file.Name())
	if err == nil {
		err = w.reopen()
	} else if errors.Is(err, fs.ErrNotExist) {
		err = w.copyTarget()
	}
	if err != nil {
		return nil, errors.Join(err, w.discard())
	}
	return w, nil
}

func (d *Driver) newWriter(path string) (*writer, error) {
	made := d.dirs.later()
	f, err := d.createTemp(path, made)
	if err != nil {
		made.end()
		return nil, err
	}
	return &writer{driver: d, path: path, file: f, made: made}, nil
}

// reopen opens what has been renamed to the temporary name.
func (w *writer) reopen() error {
	f, err := os.OpenFile(w.file.Name(), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if err := w.file.Close(); err != nil {
		return errors.Join(err, f.Close())
	}
	w.file = f
	w.size, err = f.Seek(0, io.SeekEnd)
	return err
}

// copyTarget begins with what is stored at the path.
func (w *writer) copyTarget() error {
	src, _, err := w.driver.openFile(w.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	w.size, err = io.Copy(w.file, src)
	return errors.Join(err, src.Close())
}

// Write implements io.Writer. After an error the file cannot be committed.
func (w *writer) Write(p []byte) (int, error) {
	if err := w.check("write"); err != nil {
		return 0, err
	}
	n, err := w.file.Write(p)
	w.size += int64(n)
	if err != nil && w.failed == nil {
		w.failed = err
	}
	return n, err
}

// Size implements drivers.FileWriter.
func (w *writer) Size() int64 { return w.size }

// Close implements io.Closer. Without a Commit before it, it keeps the bytes
// for the next appending writer, unless a Write has failed.
func (w *writer) Close() error {
	if w.closed {
		return fmt.Errorf("close %s: already closed", w.path)
	}
	w.closed = true
	defer w.made.end()
	switch {
	case w.ended != "":
		return w.closeFile()
	case w.failed != nil:
		return errors.Join(w.failed, w.discard())
	}
	w.ended = "closed"
	if err := w.finish(w.driver.partial(w.path)); err != nil {
		return errors.Join(err, w.discard())
	}
	return w.closeFile()
}

// Cancel implements drivers.FileWriter.
func (w *writer) Cancel(context.Context) error {
	if err := w.check("cancel"); err != nil {
		return err
	}
	w.ended = "cancelled"
	return w.discard()
}

// Commit implements drivers.FileWriter. After an error the bytes are gone,
// unless the context was cancelled before it began.
func (w *writer) Commit(ctx context.Context) error {
	if err := w.check("commit"); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.failed != nil {
		return w.failed
	}
	w.ended = "committed"
	if err := w.finish(w.driver.local(w.path)); err != nil {
		return errors.Join(err, w.discard())
	}
	return w.driver.dropPartial(w.path)
}

// finish gives the file its last name, durably.
func (w *writer) finish(local string) error {
	if err := w.file.Sync(); err != nil {
		return err
	}
	if err := os.Rename(w.file.Name(), local); err != nil {
		return err
	}
	return w.made.settle(filepath.Dir(local))
}

// discard closes the file and removes it, if it still has its temporary name.
func (w *writer) discard() error {
	err := os.Remove(w.file.Name())
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		err = nil
	}
	w.made.end()
	return errors.Join(err, w.closeFile())
}

// closeFile closes the descriptor if it is still open.
func (w *writer) closeFile() error {
	if err := w.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
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
