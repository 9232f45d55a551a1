package blobcache

import (
	"context"
	"errors"
	"io"
)

// Fetch opens a range of a blob in the store.
type Fetch func(ctx context.Context, off, n int64) (io.ReadCloser, error)

// refetch fetches what is missing of a blob of which something was left out, if
// most of it was read. It is called with c.mu held and without a reference to e,
// and reports whether it has taken one.
func (c *Cache) refetch(e *entry) bool {
	fetch := e.fetch
	e.fetch = nil
	if fetch == nil || c.closed || !e.dropped.Load() || e.dead.Load() || e.fill == nil || e.fill.missing*block-e.left.Load() > e.size/2 {
		return false
	}
	gaps := e.fill.gaps()
	if len(gaps) == 0 {
		return false
	}
	e.refs++
	c.done.Add(1)
	go func() {
		defer c.done.Done()
		defer c.release(e)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() {
			select {
			case <-c.stop:
				cancel()
			case <-ctx.Done():
			}
		}()
		select {
		case c.turn <- struct{}{}:
			defer func() { <-c.turn }()
		case <-ctx.Done():
			return
		}
		for _, g := range gaps {
			if err := e.fetchGap(ctx, fetch, g); err != nil {
				c.log.Debug("a blob stays in the cache in part", "digest", e.d, "error", err)
				return
			}
		}
	}()
	return true
}

// gap is blocks that are missing.
type gap struct{ off, n int64 }

func (f *filling) gaps() []gap {
	var all []gap
	for i, present := range f.present {
		if present {
			continue
		}
		off, n := int64(i)*block, blockSize(int64(i), f.size)
		if last := len(all) - 1; last >= 0 && all[last].off+all[last].n == off {
			all[last].n += n
		} else {
			all = append(all, gap{off, n})
		}
	}
	return all
}

var errNotKept = errors.New("what is fetched would not be kept")

// fetchGap waits for the disk where a reader's bytes would be left out, and ends
// where none of them would be kept.
func (e *entry) fetchGap(ctx context.Context, fetch Fetch, g gap) error {
	body, err := fetch(ctx, g.off, g.n)
	if err != nil {
		return err
	}
	defer body.Close() // it is only read
	for end := g.off + g.n; g.off < end; {
		select {
		case <-e.c.free:
		case <-ctx.Done():
			return ctx.Err()
		}
		if e.sealed.Load() || e.c.isFull() {
			e.c.free <- struct{}{}
			return errNotKept
		}
		buf := e.c.freeBuffer()
		n, err := io.ReadFull(body, buf[:min(queueBuffer, end-g.off)])
		e.c.enqueue(piece{e, g.off, buf[:n], nil})
		g.off += int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}
