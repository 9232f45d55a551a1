package metered

import (
	"errors"
	"io"
	"io/fs"
	"iter"
	"sync/atomic"
	"time"

	"registryfs/drivers"
)

// method is a method of a driver or of its writers.
type method int

const (
	getContent method = iota
	putContent
	openReader
	openWriter
	commit
	stat
	list
	move
	remove
	walk
	listInfo
	walkInfo
	walkPage
	getContentInfo
	openFile
	putIfAbsent
	putContents
	readRange
	copyFrom
	chtimes
	statFS
	methods
)

var methodNames = [methods]string{
	"GetContent", "PutContent", "Reader", "Writer", "Commit", "Stat", "List", "Move", "Delete", "Walk",
	"ListInfo", "WalkInfo", "WalkPage", "GetContentInfo", "OpenFile", "PutContentIfAbsent", "PutContents",
	"ReadRange", "CopyFrom", "Chtimes", "StatFS",
}

type counters struct {
	calls         [methods]drivers.Histogram
	errs          [methods]atomic.Int64
	read, written atomic.Int64 // bytes
}

// Stats is what a Driver has been asked for.
type Stats struct {
	Methods                 []Method
	ReadBytes, WrittenBytes int64
}

// Method is what was asked of one method; Commit is that of a FileWriter.
type Method struct {
	Name   string
	Calls  drivers.Durations
	Errors int64
}

// Stats tells what was counted, the methods always in the same order.
func (c *counters) Stats() Stats {
	s := Stats{ReadBytes: c.read.Load(), WrittenBytes: c.written.Load()}
	for m, name := range methodNames {
		s.Methods = append(s.Methods, Method{name, c.calls[m].Durations(), c.errs[m].Load()})
	}
	return s
}

// done counts a call and returns its error.
func (c *counters) done(m method, began time.Time, err error) error {
	c.calls[m].Observe(time.Since(began))
	c.failed(m, err)
	return err
}

func (c *counters) failed(m method, err error) {
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) && !errors.Is(err, errors.ErrUnsupported) {
		c.errs[m].Add(1)
	}
}

func (c *counters) put(m method, began time.Time, err error, content []byte) error {
	if err == nil {
		c.written.Add(int64(len(content)))
	}
	return c.done(m, began, err)
}

// seq counts infos each time somebody begins to range over it.
func (c *counters) seq(m method, infos iter.Seq2[drivers.FileInfo, error]) iter.Seq2[drivers.FileInfo, error] {
	return func(yield func(drivers.FileInfo, error) bool) {
		began, first := time.Now(), true
		infos(func(info drivers.FileInfo, err error) bool {
			if first {
				first = false
				c.calls[m].Observe(time.Since(began))
			}
			c.failed(m, err)
			return yield(info, err)
		})
		if first {
			c.calls[m].Observe(time.Since(began))
		}
	}
}

func (c *counters) reader(m method, began time.Time, r io.ReadCloser, err error) (io.ReadCloser, error) {
	if c.done(m, began, err) != nil {
		return nil, err
	}
	return &body{r, c, m}, nil
}

// body counts the bytes that are read of a file, and the error that ends them.
type body struct {
	io.ReadCloser
	c *counters
	m method
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.c.read.Add(int64(n))
	if err != io.EOF {
		b.c.failed(b.m, err)
	}
	return n, err
}
