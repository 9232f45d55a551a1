package copier

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// blobs copies each blob once, whoever needs it.
type blobs struct {
	c *copier

	// Of a whole store both are listed once, before the rest begins.
	listed bool
	total  int64
	here   map[layout.Key]listing // in the source; more may have come since
	there  map[layout.Key]int64   // sizes in the destination

	mu      sync.Mutex // guards the following
	done    map[layout.Key]bool
	failed  map[layout.Key]error
	running map[layout.Key]chan struct{} // closed when it is done or has failed
}

// listing is what is kept of a blob of the source.
type listing struct{ size, nanos int64 }

func newBlobs(c *copier) *blobs {
	return &blobs{
		c:       c,
		here:    make(map[layout.Key]listing),
		there:   make(map[layout.Key]int64),
		done:    make(map[layout.Key]bool),
		failed:  make(map[layout.Key]error),
		running: make(map[layout.Key]chan struct{}),
	}
}

// list learns of all blobs at once, which for a whole store costs least. Those
// that the source cannot list are looked for when a link leads to them; the walk
// that ends the copy says what it was.
func (b *blobs) list(ctx context.Context) error {
	for desc, err := range b.c.from.Blobs().Each(ctx) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			break
		}
		b.here[layout.KeyOf(desc.Digest)] = listing{desc.Size, desc.ModTime.UnixNano()}
	}
	b.total = int64(len(b.here))
	for desc, err := range b.c.to.Blobs().Each(ctx) {
		if err != nil {
			return err
		}
		b.there[layout.KeyOf(desc.Digest)] = desc.Size
	}
	b.listed = true
	return nil
}

// errAbsent is the error of a blob that neither store has.
var errAbsent = layout.SourceError{Err: errors.New("it is not in the store")}

// get sees to it that the destination has the blob whole. What is wrong with the
// source is a layout.SourceError: errAbsent, or another one that is noted as a
// problem, once.
func (b *blobs) get(ctx context.Context, d digest.Digest) error {
	k := layout.KeyOf(d)
	b.mu.Lock()
	for b.running[k] != nil {
		wait := b.running[k]
		b.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
		b.mu.Lock()
	}
	if err := b.failed[k]; b.done[k] || err != nil {
		b.mu.Unlock()
		return err
	}
	finished := make(chan struct{})
	b.running[k] = finished
	b.mu.Unlock()

	err := b.copy(ctx, k, d)

	b.mu.Lock()
	defer b.mu.Unlock()
	close(finished)
	delete(b.running, k)
	if err == nil {
		b.done[k] = true
	} else {
		b.failed[k] = err
	}
	return err
}

func (b *blobs) copy(ctx context.Context, k layout.Key, d digest.Digest) error {
	done, err := b.c.slot(ctx)
	if err != nil {
		return err
	}
	defer done()
	have, err := b.inDestination(ctx, k, d)
	if err != nil {
		return err
	}
	f, err := b.inSource(ctx, k, d)
	switch {
	case errors.Is(err, fs.ErrNotExist) && have >= 0, err == nil && f.Size == have:
		b.c.count(func(r *Report) { r.Present++ })
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return errAbsent
	case err == nil:
		err = b.c.to.Raw().CopyFrom(ctx, b.c.from.Raw(), f)
	default:
		err = layout.SourceError{Err: err}
	}
	if err == nil {
		b.c.count(func(r *Report) { r.Blobs++; r.Bytes += f.Size })
		return nil
	}
	if isOfSource(err) && errors.Is(err, fs.ErrNotExist) {
		return errAbsent // it has gone meanwhile
	}
	if err := b.c.tolerate(ctx, fmt.Errorf("blob %s: %w", d, err)); err != nil {
		return err
	}
	return layout.SourceError{Err: err}
}

// inSource describes a blob of the source.
func (b *blobs) inSource(ctx context.Context, k layout.Key, d digest.Digest) (layout.RawFile, error) {
	if l, ok := b.here[k]; ok {
		return layout.BlobFile(layout.Descriptor{Digest: d, Size: l.size, ModTime: time.Unix(0, l.nanos)}), nil
	}
	desc, err := b.c.from.Blobs().Stat(ctx, d) // it may be new
	if err != nil {
		return layout.RawFile{}, err
	}
	return layout.BlobFile(desc), nil
}

// inDestination is the size of a blob of the destination, -1 if it is not there.
func (b *blobs) inDestination(ctx context.Context, k layout.Key, d digest.Digest) (int64, error) {
	if b.listed {
		if size, ok := b.there[k]; ok {
			return size, nil
		}
		return -1, nil
	}
	desc, err := b.c.to.Blobs().Stat(ctx, d)
	if errors.Is(err, fs.ErrNotExist) {
		return -1, nil
	}
	return desc.Size, err
}
