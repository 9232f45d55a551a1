package gc

import (
	"bufio"
	"container/heap"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"sync"
)

// sorter sorts lines, each once, more of them than fit into memory: what does not
// goes to temporary files. First all lines are added, then they are read.
type sorter struct {
	dir  string // of the files
	most int    // bytes in memory

	mu    sync.Mutex // guards the following
	lines []string
	bytes int
	runs  []run
}

// run is a file of sorted lines, which has no name any more.
type run struct {
	file  *os.File
	size  int64
	lines int
}

// lineCost is what a line takes besides its bytes.
const lineCost = 16

// add takes in a line, which has no newline. It may be called in parallel.
func (s *sorter) add(line string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
	s.bytes += len(line) + lineCost
	if s.bytes < s.most {
		return nil
	}
	return s.spill()
}

// order sorts what is in memory. The lock is held.
func (s *sorter) order() {
	slices.Sort(s.lines)
	s.lines = slices.Compact(s.lines)
}

// spill writes what is in memory to a file. The lock is held.
func (s *sorter) spill() (err error) {
	s.order()
	f, err := os.CreateTemp(s.dir, "registryfs-gc-*")
	if err != nil {
		return fmt.Errorf("spill: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return errors.Join(fmt.Errorf("spill: %w", err), f.Close())
	}
	w := bufio.NewWriterSize(f, 1<<16)
	r := run{file: f, lines: len(s.lines)}
	for _, line := range s.lines {
		n, _ := w.WriteString(line) // Flush has the error
		_ = w.WriteByte('\n')
		r.size += int64(n) + 1
	}
	if err := w.Flush(); err != nil {
		return errors.Join(fmt.Errorf("spill: %w", err), f.Close())
	}
	s.runs = append(s.runs, r)
	clear(s.lines)
	s.lines, s.bytes = s.lines[:0], 0
	return nil
}

// all yields the lines in order, each once. It may be called again and again, but
// add no more.
func (s *sorter) all() iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		r := s.read()
		for line, ok, err := r.next(); ok || err != nil; line, ok, err = r.next() {
			if !yield(line, err) || err != nil {
				return
			}
		}
	}
}

// read is all for who takes one line after the other.
func (s *sorter) read() *reader {
	s.mu.Lock()
	s.order()
	s.mu.Unlock()
	r := &reader{}
	r.push(&source{next: inMemory(s.lines)})
	for _, run := range s.runs {
		r.push(run.source())
	}
	heap.Init(&r.sources)
	return r
}

// inMemory takes one line after the other.
func inMemory(lines []string) func() (string, bool, error) {
	return func() (line string, ok bool, err error) {
		if len(lines) == 0 {
			return "", false, nil
		}
		line, lines = lines[0], lines[1:]
		return line, true, nil
	}
}

func (r run) source() *source {
	scanner, n := bufio.NewScanner(io.NewSectionReader(r.file, 0, r.size)), 0
	return &source{next: func() (string, bool, error) {
		if scanner.Scan() {
			n++
			return scanner.Text(), true, nil
		}
		err := scanner.Err()
		if err == nil && n < r.lines {
			err = io.ErrUnexpectedEOF
		}
		return "", false, err
	}}
}

// close gives the files back.
func (s *sorter) close() error {
	var errs []error
	for _, r := range s.runs {
		errs = append(errs, r.file.Close())
	}
	s.runs = nil
	return errors.Join(errs...)
}

// reader merges sorted sources.
type reader struct {
	sources merge
	last    string
	begun   bool
	err     error
}

// next returns the next line, each once.
func (r *reader) next() (line string, ok bool, err error) {
	for r.err == nil && len(r.sources) > 0 {
		line := r.sources[0].line
		r.advance()
		if r.begun && line == r.last {
			continue
		}
		r.last, r.begun = line, true
		return line, true, nil
	}
	if r.err != nil {
		return "", false, fmt.Errorf("read what was spilled: %w", r.err)
	}
	return "", false, nil
}

// push adds a source, if it has any lines.
func (r *reader) push(s *source) {
	line, ok, err := s.next()
	if err != nil {
		r.err = err
	}
	if ok {
		s.line = line
		r.sources = append(r.sources, s)
	}
}

// advance takes the first line away.
func (r *reader) advance() {
	s := r.sources[0]
	line, ok, err := s.next()
	if err != nil {
		r.err = err
	}
	if ok {
		s.line = line
		heap.Fix(&r.sources, 0)
		return
	}
	heap.Pop(&r.sources)
}

// source is one of sorted lines, of which the first is not taken yet.
type source struct {
	line string
	next func() (line string, ok bool, err error)
}

// merge is a heap of sources, the one with the least line first.
type merge []*source

func (m merge) Len() int           { return len(m) }
func (m merge) Less(i, j int) bool { return m[i].line < m[j].line }
func (m merge) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }

// Push implements heap.Interface; sources are added before it is one.
func (m *merge) Push(x any) { *m = append(*m, x.(*source)) }

// Pop implements heap.Interface.
func (m *merge) Pop() any {
	last := len(*m) - 1
	s := (*m)[last]
	*m = (*m)[:last]
	return s
}
