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

	// Of a whole store all are listed once, before the rest begins.
	listed bool
	total  int64 // in the source

	mu      sync.Mutex // guards the following
	known   map[layout.Key]blob
	failed  map[layout.Key]error
	running map[layout.Key]chan struct{} // closed when it is done or has failed
}

// blob is what is known of one. There may be millions.
type blob struct {
	size, nanos int64 // in the source; in the destination if only that has it
	here        bool  // it is listed in the source; more may have come since
	there       bool  // the destination has it, in this size
	untimed     bool  // and with another time
	done        bool
}

func newBlobs(c *copier) *blobs {
	return &blobs{
		c:       c,
		known:   make(map[layout.Key]blob),
		failed:  make(map[layout.Key]error),
		running: make(map[layout.Key]chan struct{}),
	}
}

// list learns of all blobs at once, which for a whole store costs least. Those
// that the source cannot list are looked for when a link leads to them; the walk
// that ends the copy says what it was. Nobody else uses b by then.
func (b *blobs) list(ctx context.Context) error {
	for desc, err := range b.c.to.Blobs().Each(ctx) {
		if err != nil {
			return err
		}
		b.known[layout.KeyOf(desc.Digest)] = blob{size: desc.Size, nanos: desc.ModTime.UnixNano(), there: true}
	}
	for desc, err := range b.c.from.Blobs().Each(ctx) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			break
		}
		k := layout.KeyOf(desc.Digest)
		have := b.known[k]
		b.known[k] = blob{
			size: desc.Size, nanos: desc.ModTime.UnixNano(), here: true,
			there:   have.there && have.size == desc.Size,
			untimed: !sameTime(time.Unix(0, have.nanos), desc.ModTime),
		}
		b.total++
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
	known := b.known[k]
	if err := b.failed[k]; known.done || err != nil {
		b.mu.Unlock()
		return err
	}
	finished := make(chan struct{})
	b.running[k] = finished
	b.mu.Unlock()

	err := b.copy(ctx, d, known)

	b.mu.Lock()
	defer b.mu.Unlock()
	close(finished)
	delete(b.running, k)
	if err == nil {
		known.done = true
		b.known[k] = known
	} else {
		b.failed[k] = err
	}
	return err
}

func (b *blobs) copy(ctx context.Context, d digest.Digest, known blob) error {
	done, err := b.c.slot(ctx)
	if err != nil {
		return err
	}
	defer done()
	have, err := b.inDestination(ctx, d, known)
	if err != nil {
		return err
	}
	f, err := b.inSource(ctx, d, known)
	switch {
	case errors.Is(err, fs.ErrNotExist) && have.Size >= 0:
		b.c.count(func(r *Report) { r.Present++ })
		return nil
	case err == nil && f.Size == have.Size:
		b.c.count(func(r *Report) { r.Present++ })
		b.setTime(ctx, f, have.ModTime)
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
func (b *blobs) inSource(ctx context.Context, d digest.Digest, known blob) (layout.RawFile, error) {
	if known.here {
		return layout.BlobFile(layout.Descriptor{Digest: d, Size: known.size, ModTime: time.Unix(0, known.nanos)}), nil
	}
	desc, err := b.c.from.Blobs().Stat(ctx, d) // it may be new
	if err != nil {
		return layout.RawFile{}, err
	}
	return layout.BlobFile(desc), nil
}

// inDestination describes a blob of the destination. Its size is -1 if it is not
// there, or known to have another than in the source.
func (b *blobs) inDestination(ctx context.Context, d digest.Digest, known blob) (layout.Descriptor, error) {
	switch {
	case known.there && known.untimed:
		return layout.Descriptor{Digest: d, Size: known.size}, nil
	case known.there:
		return layout.Descriptor{Digest: d, Size: known.size, ModTime: time.Unix(0, known.nanos)}, nil
	case b.listed:
		return layout.Descriptor{Digest: d, Size: -1}, nil
	}
	desc, err := b.c.to.Blobs().Stat(ctx, d)
	if errors.Is(err, fs.ErrNotExist) {
		return layout.Descriptor{Digest: d, Size: -1}, nil
	}
	return desc, err
}

// setTime gives a blob of the destination the time of the source, if it has
// another: a copy that was killed may have put it and not come to that.
func (b *blobs) setTime(ctx context.Context, f layout.RawFile, have time.Time) {
	if !b.c.to.IsRemote() && !sameTime(have, f.ModTime) {
		// It may belong to another user. Its bytes are there all the same.
		_ = b.c.to.Raw().SetModTime(ctx, f.Path, f.ModTime)
	}
}
