package check

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// blob finds a blob. What has not been listed is looked for once more: it may have
// come since. An error says that the store does not tell; then it may be there.
func (c *checker) blob(ctx context.Context, d digest.Digest) (b blob, ok bool, err error) {
	s := layout.KeyOf(d)
	if b, ok := c.others[d]; ok {
		return b, true, nil
	}
	if d.Algorithm() == digest.SHA256 {
		if b, ok, err = c.blobs.find(s); ok || err != nil {
			return b, ok, err
		}
	}
	done, err := c.slot(ctx)
	if err != nil {
		return blob{}, false, err
	}
	defer done()
	e, err := c.reg.Raw().Stat(ctx, layout.RawBlob(d)) // past what is remembered
	if errors.Is(err, fs.ErrNotExist) {
		return blob{}, false, nil
	}
	return blob{key: s, size: e.Size, mtime: e.ModTime.Unix(), index: -1}, err == nil, err
}

// optional is blob for what need not be there, and that many links or manifests
// name: it is not looked for again if it was absent before.
func (c *checker) optional(ctx context.Context, d digest.Digest) (b blob, ok bool, err error) {
	s := layout.KeyOf(d)
	c.mu.Lock()
	known := c.absent[s]
	c.mu.Unlock()
	if known {
		return blob{}, false, nil
	}
	b, ok, err = c.blob(ctx, d)
	if err == nil && !ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.absent) < maxFindings {
			c.absent[s] = true
		}
	}
	return b, ok, err
}

// grace is how long a registry may take to end what it has begun.
const grace = 10 * time.Second

// settle waits until who wrote something at a time has done with it, before it is
// looked at once more. Registries up to 3.0 write in place, and a tag is two files.
func (c *checker) settle(ctx context.Context, written time.Time) {
	wait := min(c.o.MinAge, grace) - time.Since(written)
	if wait <= 0 || wait > 2*grace { // the store's clock is far ahead: it tells nothing
		return
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
	}
}

// corrupt notes once that the bytes of a blob are not what they should be. It reports
// false if they are by now: it was being written.
func (c *checker) corrupt(ctx context.Context, b blob, d digest.Digest, detail string) bool {
	if c.isBad(b, d) {
		return true
	}
	c.settle(ctx, time.Unix(b.mtime, 0))
	e, err := c.reg.Raw().Stat(ctx, layout.RawBlob(d))
	if err != nil && !errors.Is(err, fs.ErrNotExist) && ctx.Err() == nil {
		c.found(Finding{Kind: Unreadable, Path: layout.RawBlob(d), Digest: d, Detail: err.Error()})
	}
	if err == nil && (e.Size != b.size || e.ModTime.Unix() != b.mtime) {
		switch is, err := c.verify(ctx, d, e.Size); is {
		case isSame:
			return false
		case isOther:
			detail = err.Error()
		}
	}
	if ctx.Err() != nil || c.isBad(b, d) || b.index >= 0 && mark(c.blobs.bad, b.index) {
		return true
	}
	c.want(d, Corrupt)
	c.found(Finding{Kind: Corrupt, Path: layout.RawBlob(d), Digest: d, Detail: detail})
	return true
}

// isBad reports whether the blob was noted as corrupt.
func (c *checker) isBad(b blob, d digest.Digest) bool {
	if b.index >= 0 {
		return isMarked(c.blobs.bad, b.index)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wanted[d] == Corrupt
}
