package layout

import (
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
	"registryfs/layout/readahead"
)

const (
	maxSequences = 4

	// sequenceStep is how many blobs a program that goes through them in order
	// may leave out at once.
	sequenceStep = 4
	// prefetchFrom is how many it has opened when the next ones are fetched, and
	// prefetchAhead how many of them are.
	prefetchFrom  = 3
	prefetchAhead = 16

	// fewNames are asked for while nothing is known of a reader, and manyNames
	// of one that goes on: the listing may be forgotten before it has come there.
	fewNames  = 2 * sequenceStep
	manyNames = 1024
)

// sequences are programs that read one blob after the other in the order of the
// store, as a backup does. They ask for one at a time, so the next are fetched
// before that.
type sequences struct {
	pool *readahead.Pool
	// after tells what the store has after a path, without asking it: so nothing
	// if it was not listed.
	after func(path string, n int) []drivers.FileInfo
	// have tells which blobs need not be fetched.
	have func(d digest.Digest) bool

	mu  sync.Mutex // guards the following
	all []*sequence
}

// sequence is one such program.
type sequence struct {
	next  []blobName // in order
	count int        // blobs it has opened in order
}

type blobName struct {
	path string
	size int64
}

// opened is told of each blob that is opened.
func (s *sequences) opened(path string) {
	if s == nil {
		return
	}
	for _, b := range s.step(path) {
		if s.have(blobFromPath(b.path)) {
			continue
		}
		if !s.pool.Prefetch(b.path, b.size) {
			return
		}
	}
}

// step finds the sequence that goes on with path, or begins one, and returns
// what is to be fetched.
func (s *sequences) step(path string) []blobName {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, q := range s.all {
		at := slices.IndexFunc(q.next[:min(sequenceStep, len(q.next))], func(b blobName) bool { return b.path == path })
		if at < 0 {
			continue
		}
		s.all = append(slices.Delete(s.all, i, i+1), q)
		q.next = q.next[at+1:]
		if q.count++; q.count < prefetchFrom {
			return nil
		}
		if len(q.next) < 2*prefetchAhead {
			q.next = s.names(path, manyNames, q.next)
		} else {
			s.after(path, 0) // links will be proven by the listing: it has to stay
		}
		return slices.Clone(q.next[:min(prefetchAhead, len(q.next))])
	}
	if next := s.names(path, fewNames, nil); len(next) > 0 {
		if len(s.all) == maxSequences {
			s.all = s.all[1:]
		}
		s.all = append(s.all, &sequence{next: next, count: 1})
	}
	return nil
}

// names are the blobs that follow path, of which known are known already.
func (s *sequences) names(path string, n int, known []blobName) []blobName {
	next := known
	if len(known) > 0 {
		path = known[len(known)-1].path
	}
	for _, info := range s.after(path, n) {
		if blobFromPath(info.Path()) != "" {
			next = append(next, blobName{info.Path(), info.Size()})
		}
	}
	return next
}
