package proxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http/httputil"
	"sync/atomic"
	"time"
)

// peer is the connection to one side.
type peer struct {
	*net.TCPConn
	r *bufio.Reader // small: what it has read ahead of a body is copied twice
}

func newPeer(c *net.TCPConn) *peer { return &peer{TCPConn: c, r: bufio.NewReader(c)} }

const (
	smallStep = 64 << 10
	largeStep = 256 << 10
)

// flow copies a body from one side to the other.
type flow struct {
	rate   int64         // bytes a second; 0: no limit
	moved  *atomic.Int64 // counts the bytes
	began  time.Time
	copied int64
}

// exactly copies n bytes.
func (f *flow) exactly(dst, src *peer, n int64) error {
	for f.copied < n {
		step := min(n-f.copied, f.step())
		f.wait(step)
		moved, err := move(dst, src, step)
		f.copied += moved
		f.moved.Add(moved)
		if err != nil {
			return err
		}
	}
	return nil
}

// step is small at first, so that a rate does not hold back the first bytes.
func (f *flow) step() int64 {
	if f.rate > 0 && f.copied < largeStep {
		return smallStep
	}
	return largeStep
}

// wait holds back the next step until all with it is within the rate.
func (f *flow) wait(step int64) {
	if f.rate == 0 {
		return
	}
	due := time.Duration(float64(f.copied+step) / float64(f.rate) * float64(time.Second))
	time.Sleep(time.Until(f.began.Add(due)))
}

// move copies up to n bytes: what is buffered, or else all n of them, inside
// the kernel.
func move(dst, src *peer, n int64) (int64, error) {
	if b := src.r.Buffered(); b > 0 {
		data, err := src.r.Peek(int(min(n, int64(b))))
		if err != nil {
			return 0, err
		}
		if _, err := dst.Write(data); err != nil {
			return 0, err
		}
		return int64(len(data)), discard(src.r, len(data))
	}
	moved, err := io.CopyN(dst.TCPConn, src.TCPConn, n) // splices
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return moved, err
}

func discard(r *bufio.Reader, n int) error {
	_, err := r.Discard(n)
	return err
}

// chunks copies a chunked body with its trailer.
func (f *flow) chunks(dst, src *peer) error {
	in, out := httputil.NewChunkedReader(src.r), httputil.NewChunkedWriter(dst)
	buf := make([]byte, smallStep)
	for {
		n, err := in.Read(buf)
		if n > 0 {
			f.wait(int64(n))
			if _, err := out.Write(buf[:n]); err != nil {
				return err
			}
			f.copied += int64(n)
			f.moved.Add(int64(n))
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if err := out.Close(); err != nil {
		return err
	}
	for {
		line, err := src.r.ReadBytes('\n')
		if err != nil {
			return err
		}
		if _, err := dst.Write(line); err != nil {
			return err
		}
		if len(line) == len("\r\n") {
			return nil
		}
	}
}

// rest copies what comes until the other side closes.
func (f *flow) rest(dst, src *peer) error {
	for {
		n, err := move(dst, src, largeStep)
		f.copied += n
		f.moved.Add(n)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
