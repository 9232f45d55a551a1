package readahead

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"registryfs/drivers"
)

// ErrShort is the error of a file that ends before its size.
var ErrShort = errors.New("it ends before its size")

var errStalled = errors.New("nothing has come for too long")

const (
	maxBroken  = 5 // bodies in sequence that bring nothing new
	firstPause = 50 * time.Millisecond
	maxPause   = 2 * time.Second

	// stallTimeout is how long a body may bring nothing. The driver has its own
	// time-outs for requests.
	stallTimeout = 10 * time.Second
)

// source is one file of the store.
type source struct {
	driver drivers.StorageDriver
	path   string
	size   int64
	stall  time.Duration
	delay  *delay
}

// sink takes bytes in order: room is where the next ones go, took says how many
// came there. An error of room ends it.
type sink interface {
	room() ([]byte, error)
	took(n int)
}

// fetch brings n bytes from off on to the sink, with as many requests as that
// takes.
func (s *source) fetch(ctx context.Context, off, n int64, to sink) error {
	broken, pause := 0, firstPause
	for n > 0 {
		got, err := s.attempt(ctx, off, n, to)
		off, n = off+got, n-got
		if n == 0 {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var final finalError
		if errors.As(err, &final) {
			return final.error
		}
		if got > 0 {
			broken, pause = 0, firstPause
		}
		if broken++; broken == maxBroken {
			return fmt.Errorf("read %s at %d: %w", s.path, off, err)
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, maxPause)
	}
	return nil
}

// finalError is one that another attempt would not change.
type finalError struct{ error }

// attempt is one request. An error is nil only if all has come.
func (s *source) attempt(ctx context.Context, off, n int64, to sink) (got int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began := time.Now()
	body, err := drivers.ReadRange(ctx, s.driver, s.path, off, n)
	if err != nil {
		return 0, finalError{err}
	}
	s.delay.saw(time.Since(began))
	defer body.Close() // of a body only read from there is nothing to lose
	stall := time.AfterFunc(s.stall, func() { cancel(errStalled) })
	defer stall.Stop()
	for got < n {
		p, err := to.room()
		if err != nil {
			return got, finalError{err}
		}
		m, err := body.Read(p[:min(int64(len(p)), n-got)])
		if m > 0 {
			got += int64(m)
			to.took(m)
			stall.Reset(s.stall)
		}
		switch {
		case got == n:
			return got, nil
		case err == io.EOF && got == 0:
			return got, finalError{fmt.Errorf("read %s at %d: %w of %d bytes", s.path, off, ErrShort, s.size)}
		case err == io.EOF:
			return got, io.ErrUnexpectedEOF
		case err != nil && context.Cause(ctx) == errStalled:
			return got, errStalled
		case err != nil:
			return got, err
		}
	}
	return got, nil
}

// buffer is a sink of its own bytes.
type buffer struct {
	p []byte
	n int
}

func (b *buffer) room() ([]byte, error) { return b.p[b.n:], nil }
func (b *buffer) took(n int)            { b.n += n }
