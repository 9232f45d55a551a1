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
		s.mu.Lock()
		s.order()
		s.mu.Unlock()
		m := merge{}
		defer func() { m.close() }()
		err := m.push(slices.Values(s.lines), func() error { return nil })
		for _, r := range s.runs {
			err = errors.Join(err, m.push(r.read()))
		}
		if err != nil {
			yield("", fmt.Errorf("read what was spilled: %w", err))
			return
		}
		heap.Init(&m)
		for last, first := "", true; len(m) > 0; first = false {
			line := m[0].line
			if err := m.advance(); err != nil {
				yield("", fmt.Errorf("read what was spilled: %w", err))
				return
			}
			if (first || line != last) && !yield(line, nil) {
				return
			}
			last = line
		}
	}
}

// read returns the lines of the file and, for when they have ended, why.
func (r run) read() (lines iter.Seq[string], ended func() error) {
	scanner, n := bufio.NewScanner(io.NewSectionReader(r.file, 0, r.size)), 0
	lines = func(yield func(string) bool) {
		for scanner.Scan() {
			n++
			if !yield(scanner.Text()) {
				return
			}
		}
	}
	return lines, func() error {
		if err := scanner.Err(); err != nil || n == r.lines {
			return err
		}
		return io.ErrUnexpectedEOF
	}
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

// merge is a heap of sorted sources, the one with the least line first.
type merge []*source

type source struct {
	line string
	next func() (string, bool)
	stop func()
	err  func() error
}

// push adds a source, if it has any lines. err tells why they have ended.
func (m *merge) push(lines iter.Seq[string], err func() error) error {
	s := &source{err: err}
	s.next, s.stop = iter.Pull(lines)
	var ok bool
	if s.line, ok = s.next(); ok {
		*m = append(*m, s)
		return nil
	}
	s.stop()
	return err()
}

// advance takes the first line away.
func (m *merge) advance() error {
	s := (*m)[0]
	line, ok := s.next()
	if ok {
		s.line = line
		heap.Fix(m, 0)
		return nil
	}
	heap.Pop(m)
	return s.err()
}

func (m merge) close() {
	for _, s := range m {
		s.stop()
	}
}

func (m merge) Len() int           { return len(m) }
func (m merge) Less(i, j int) bool { return m[i].line < m[j].line }
func (m merge) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }

// Push implements heap.Interface; sources are added before it is one.
func (m *merge) Push(x any) { *m = append(*m, x.(*source)) }

// Pop implements heap.Interface.
func (m *merge) Pop() any {
	last := len(*m) - 1
	s := (*m)[last]
	s.stop()
	*m = (*m)[:last]
	return s
}
