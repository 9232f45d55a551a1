package drivertest

import (
	"context"
	"io"
	"iter"
	"os"
	"sync"
	"time"

	"registryfs/drivers"
)

// Faulty fails one chosen call to the driver inside. Calls are those of all
// methods but Name, and of a FileWriter's Write, Commit, Close and Cancel.
// PutContents is a PutContent per file, so that a call can fail between two.
// The driver inside stays as the failure left it, to be looked at.
type Faulty struct {
	inner drivers.StorageDriver

	mu     sync.Mutex // guards the following
	writes bool       // count writing calls only
	calls  int
	fault  fault
	down   bool
}

// fault is what happens at which call.
type fault struct {
	at    int
	err   error
	after bool // the call takes effect before it fails
	crash bool // all later calls fail too
}

// NewFaulty returns d with all its calls counted and none of them failing.
func NewFaulty(d drivers.StorageDriver) *Faulty {
	return &Faulty{inner: d}
}

// OnlyWrites makes f neither count nor fail the calls that only read, and
// returns f. After a crash they fail all the same.
func (f *Faulty) OnlyWrites() *Faulty {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes = true
	return f
}

// FailAt lets the n-th call from now on fail with err, without an effect. With
// n 0 none fails. Calls begins again at 0.
func (f *Faulty) FailAt(n int, err error) { f.set(fault{at: n, err: err}) }

// FailAfter is FailAt for a call that takes effect and then fails.
func (f *Faulty) FailAfter(n int, err error) { f.set(fault{at: n, err: err, after: true}) }

// CrashAt is FailAt with all calls failing from then on.
func (f *Faulty) CrashAt(n int, err error) { f.set(fault{at: n, err: err, crash: true}) }

// CrashAfter is FailAfter with all calls failing from then on.
func (f *Faulty) CrashAfter(n int, err error) {
	f.set(fault{at: n, err: err, after: true, crash: true})
}

// Calls returns how many calls there were since NewFaulty, FailAt or its like.
func (f *Faulty) Calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

func (f *Faulty) set(next fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault, f.calls, f.down = next, 0, false
}

// next counts a call and returns the error to fail with before it, or after it.
func (f *Faulty) next(write bool) (before, after error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if write || !f.writes {
		f.calls++
	}
	if f.down {
		return f.fault.err, nil
	}
	if f.calls != f.fault.at || f.writes && !write {
		return nil, nil
	}
	f.down = f.fault.crash
	if f.fault.after {
		return nil, f.fault.err
	}
	return f.fault.err, nil
}

// reading and writing run a call that may fail before or after it.
func (f *Faulty) reading(do func() error) error { return f.run(false, do) }
func (f *Faulty) writing(do func() error) error { return f.run(true, do) }

func (f *Faulty) run(write bool, do func() error) error {
	before, after := f.next(write)
	if before != nil {
		return before
	}
	if err := do(); err != nil {
		return err
	}
	return after
}

// Name implements drivers.StorageDriver. It never fails.
func (f *Faulty) Name() string { return f.inner.Name() }

// GetContent implements drivers.StorageDriver.
func (f *Faulty) GetContent(ctx context.Context, path string) (content []byte, err error) {
	err = f.reading(func() (err error) {
		content, err = f.inner.GetContent(ctx, path)
		return err
	})
	if err != nil {
		return nil, err
	}
	return content, nil
}

// PutContent implements drivers.StorageDriver.
func (f *Faulty) PutContent(ctx context.Context, path string, content []byte) error {
	return f.writing(func() error { return f.inner.PutContent(ctx, path, content) })
}

// Reader implements drivers.StorageDriver.
func (f *Faulty) Reader(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	return f.reader(func() (io.ReadCloser, error) { return f.inner.Reader(ctx, path, offset) })
}

func (f *Faulty) reader(open func() (io.ReadCloser, error)) (r io.ReadCloser, err error) {
	err = f.reading(func() (err error) {
		r, err = open()
		return err
	})
	if err == nil {
		return r, nil
	}
	if r != nil {
		_ = r.Close() // the call fails in any case
	}
	return nil, err
}

// Writer implements drivers.StorageDriver.
func (f *Faulty) Writer(ctx context.Context, path string, append bool) (w drivers.FileWriter, err error) {
	err = f.writing(func() (err error) {
		w, err = f.inner.Writer(ctx, path, append)
		return err
	})
	if err == nil {
		return &faultyWriter{faulty: f, inner: w}, nil
	}
	if w != nil {
		_ = w.Cancel(ctx) // the call fails in any case
	}
	return nil, err
}

// Stat implements drivers.StorageDriver.
func (f *Faulty) Stat(ctx context.Context, path string) (info drivers.FileInfo, err error) {
	err = f.reading(func() (err error) {
		info, err = f.inner.Stat(ctx, path)
		return err
	})
	if err != nil {
		return nil, err
	}
	return info, nil
}

// List implements drivers.StorageDriver.
func (f *Faulty) List(ctx context.Context, dir string) (paths []string, err error) {
	err = f.reading(func() (err error) {
		paths, err = f.inner.List(ctx, dir)
		return err
	})
	if err != nil {
		return nil, err
	}
	return paths, nil
}

// Move implements drivers.StorageDriver.
func (f *Faulty) Move(ctx context.Context, src, dst string) error {
	return f.writing(func() error { return f.inner.Move(ctx, src, dst) })
}

// Delete implements drivers.StorageDriver.
func (f *Faulty) Delete(ctx context.Context, path string) error {
	return f.writing(func() error { return f.inner.Delete(ctx, path) })
}

// Walk implements drivers.StorageDriver. It is one call.
func (f *Faulty) Walk(ctx context.Context, from string, fn drivers.WalkFn, options ...func(*drivers.WalkOptions)) error {
	return f.reading(func() error { return f.inner.Walk(ctx, from, fn, options...) })
}

// ListInfo implements drivers.InfoLister. It is one call, which begins with the
// range over it; the error of FailAfter comes when all has been yielded.
func (f *Faulty) ListInfo(ctx context.Context, dir string) iter.Seq2[drivers.FileInfo, error] {
	return f.seq(drivers.ListInfo(ctx, f.inner, dir))
}

// WalkInfo implements drivers.InfoWalker, like ListInfo.
func (f *Faulty) WalkInfo(ctx context.Context, from, startAfter string) iter.Seq2[drivers.FileInfo, error] {
	return f.seq(drivers.WalkInfo(ctx, f.inner, from, startAfter))
}

// WalkPage implements drivers.PageWalker.
func (f *Faulty) WalkPage(ctx context.Context, from, startAfter string) (files []drivers.FileInfo, next string, err error) {
	err = f.reading(func() (err error) {
		files, next, err = drivers.WalkPage(ctx, f.inner, from, startAfter)
		return err
	})
	return files, next, err
}

func (f *Faulty) seq(infos iter.Seq2[drivers.FileInfo, error]) iter.Seq2[drivers.FileInfo, error] {
	return func(yield func(drivers.FileInfo, error) bool) {
		before, after := f.next(false)
		if before != nil {
			yield(nil, before)
			return
		}
		for info, err := range infos {
			if !yield(info, err) || err != nil {
				return
			}
		}
		if after != nil {
			yield(nil, after)
		}
	}
}

// GetContentInfo implements drivers.ContentInfoGetter.
func (f *Faulty) GetContentInfo(ctx context.Context, path string) (content []byte, info drivers.FileInfo, err error) {
	err = f.reading(func() (err error) {
		content, info, err = drivers.GetContentInfo(ctx, f.inner, path)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return content, info, nil
}

// OpenFile implements drivers.FileOpener.
func (f *Faulty) OpenFile(ctx context.Context, path string) (file *os.File, err error) {
	err = f.reading(func() (err error) {
		file, err = drivers.OpenFile(ctx, f.inner, path)
		return err
	})
	if err == nil {
		return file, nil
	}
	if file != nil {
		_ = file.Close() // the call fails in any case
	}
	return nil, err
}

// PutContentIfAbsent implements drivers.ConditionalPutter.
func (f *Faulty) PutContentIfAbsent(ctx context.Context, path string, content []byte) error {
	return f.writing(func() error { return drivers.PutContentIfAbsent(ctx, f.inner, path, content) })
}

// PutContents implements drivers.BatchPutter, one PutContent after the other.
func (f *Faulty) PutContents(ctx context.Context, files []drivers.Content) error {
	for _, file := range files {
		if err := f.PutContent(ctx, file.Path, file.Bytes); err != nil {
			return err
		}
	}
	return nil
}

// ReadRange implements drivers.RangeReader.
func (f *Faulty) ReadRange(ctx context.Context, path string, offset, length int64) (io.ReadCloser, error) {
	return f.reader(func() (io.ReadCloser, error) { return drivers.ReadRange(ctx, f.inner, path, offset, length) })
}

// CopySource answers drivers.CopySource.
func (f *Faulty) CopySource(path string) any { return drivers.CopySource(f.inner, path) }

// CopyFrom implements drivers.ServerCopier.
func (f *Faulty) CopyFrom(ctx context.Context, source any, path string) error {
	return f.writing(func() error { return drivers.CopyFrom(ctx, f.inner, source, path) })
}

// Chtimes implements drivers.TimeSetter.
func (f *Faulty) Chtimes(ctx context.Context, path string, mtime time.Time) error {
	return f.writing(func() error { return drivers.Chtimes(ctx, f.inner, path, mtime) })
}

// StatFS implements drivers.SpaceReporter.
func (f *Faulty) StatFS(ctx context.Context) (info drivers.FSInfo, err error) {
	err = f.reading(func() (err error) {
		info, err = drivers.StatFS(ctx, f.inner)
		return err
	})
	return info, err
}

// faultyWriter is a FileWriter whose calls can fail. One that has failed
// without an effect is left as it is, temporary files and all: so does a crash.
type faultyWriter struct {
	faulty *Faulty
	inner  drivers.FileWriter
}

// Write implements io.Writer.
func (w *faultyWriter) Write(p []byte) (n int, err error) {
	err = w.faulty.writing(func() (err error) {
		n, err = w.inner.Write(p)
		return err
	})
	return n, err
}

// Size implements drivers.FileWriter. It is not counted.
func (w *faultyWriter) Size() int64 { return w.inner.Size() }

// Close implements io.Closer.
func (w *faultyWriter) Close() error { return w.faulty.writing(w.inner.Close) }

// Cancel implements drivers.FileWriter.
func (w *faultyWriter) Cancel(ctx context.Context) error {
	return w.faulty.writing(func() error { return w.inner.Cancel(ctx) })
}

// Commit implements drivers.FileWriter.
func (w *faultyWriter) Commit(ctx context.Context) error {
	return w.faulty.writing(func() error { return w.inner.Commit(ctx) })
}

// IsRemote answers drivers.IsRemote.
func (f *Faulty) IsRemote() bool { return drivers.IsRemote(f.inner) }

// Requests answers drivers.Requests.
func (f *Faulty) Requests() map[string]int64 { return drivers.Requests(f.inner) }

// Reload implements drivers.Reloader. It is not counted.
func (f *Faulty) Reload(ctx context.Context, params map[string]any) error {
	return drivers.Reload(ctx, f.inner, params)
}

// Leftovers answers drivers.LeftoversOf. What is done with them is not counted.
func (f *Faulty) Leftovers() drivers.Leftovers { return drivers.LeftoversOf(f.inner) }
