package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// verdict is what the bytes of a blob turned out to be.
type verdict int

const (
	isUnknown verdict = iota // with an error
	isSame
	isOther // with an error that says so
	isGone
)

var buffers = sync.Pool{New: func() any { return new([1 << 20]byte) }}

// verify reads a blob from the store itself.
func (c *checker) verify(ctx context.Context, d digest.Digest, size int64) (verdict, error) {
	ctx = layout.PastCaches(ctx)
	b, err := c.reg.Blobs().OpenSized(ctx, d, size)
	if errors.Is(err, fs.ErrNotExist) {
		return isGone, nil
	}
	if err != nil {
		return isUnknown, err
	}
	defer b.Close()
	if f := b.File(); f != nil {
		dropPages(f)
		defer dropPages(f)
	}
	buf := buffers.Get().(*[1 << 20]byte)
	defer buffers.Put(buf)
	hash := d.Algorithm().Hash()
	var off int64
	for {
		n, err := b.ReadAt(ctx, buf[:], off)
		if err := c.rate.wait(ctx, n); err != nil {
			return isUnknown, err
		}
		hash.Write(buf[:n])
		off += int64(n)
		c.verifiedBytes.Add(int64(n))
		switch {
		case err == nil:
		case errors.Is(err, fs.ErrNotExist):
			return isGone, nil
		case err != io.EOF && !errors.Is(err, layout.ErrCorrupt):
			return isUnknown, err
		default:
			if got := digest.NewDigest(d.Algorithm(), hash); got != d {
				return isOther, fmt.Errorf("its %d bytes have digest %s", off, got)
			}
			return isSame, nil
		}
	}
}

// pacer spreads reading over time.
type pacer struct {
	rate int64 // bytes a second; 0 is no limit

	mu   sync.Mutex // guards the following
	next time.Time
}

// wait waits until n more bytes may have been read.
func (p *pacer) wait(ctx context.Context, n int) error {
	if p.rate == 0 {
		return ctx.Err()
	}
	p.mu.Lock()
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	delay := p.next.Sub(now)
	p.next = p.next.Add(time.Duration(n) * time.Second / time.Duration(p.rate))
	p.mu.Unlock()
	select {
	case <-time.After(delay):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
