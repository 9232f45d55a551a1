package metered

import (
	"context"
	"time"

	"registryfs/drivers"
)

// fileWriter counts bytes, failed writes and the commit.
type fileWriter struct {
	drivers.FileWriter
	d *Driver
}

func (w *fileWriter) Write(p []byte) (int, error) {
	n, err := w.FileWriter.Write(p)
	w.d.written.Add(int64(n))
	w.d.failed(openWriter, err)
	return n, err
}

func (w *fileWriter) Commit(ctx context.Context) error {
	began := time.Now()
	return w.d.done(commit, began, w.FileWriter.Commit(ctx))
}
