package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"registryfs/layout"
)

// readers is how many blobs are read at once: more make no disk or network faster.
const readers = 8

// saveEvery is how much work a crash can undo.
const saveEvery = time.Minute

// readBlobs verifies all blobs of this shard, but for what was verified since an
// earlier run that did not come to its end, or within Options.Within.
func (c *checker) readBlobs(ctx context.Context) error {
	since, err := c.since(ctx)
	if err != nil {
		c.notKept(err)
		since = c.start
	}
	if within := c.start.Add(-c.o.Within); c.o.Within > 0 && within.Before(since) {
		since = within
	}
	var total int64
	for b := range 256 {
		if c.isMine(byte(b)) {
			total += c.blobs.shards[b].n
		}
	}
	for _, b := range c.others {
		if c.isMine(b.key[0]) {
			total++
		}
	}
	c.done.Store(0)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(min(readers, c.o.Parallel))
	for b := range 256 {
		if c.isMine(byte(b)) && c.blobs.shards[b].n > 0 {
			g.Go(func() error { return c.readShard(gctx, byte(b), since, total) })
		}
	}
	for d, b := range c.others {
		if c.isMine(b.key[0]) {
			g.Go(func() error { return c.readOther(gctx, d, b, total) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	err = c.reg.State().Delete(ctx, c.dataName())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.notKept(err)
	}
	return nil
}

// notKept notes that what the next run should know could not be kept. This one goes on.
func (c *checker) notKept(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unkept == nil {
		c.unkept = err
	}
}

// isMine reports whether this run reads the blobs whose digests begin with b.
func (c *checker) isMine(b byte) bool { return int(b)%c.o.Shards == c.o.Shard-1 }

// dataName is the state that is there while reading has begun and not ended.
func (c *checker) dataName() string {
	return fmt.Sprintf("check/data-%d-of-%d", c.o.Shard, c.o.Shards)
}

type dataState struct {
	Started time.Time `json:"started"`
}

// since is when the reading that this run ends was begun.
func (c *checker) since(ctx context.Context) (time.Time, error) {
	var s dataState
	content, err := c.reg.State().Get(ctx, c.dataName())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, err
	}
	// Without one, or with one that is damaged, begin anew.
	if json.Unmarshal(content, &s) == nil && !s.Started.IsZero() {
		return s.Started, nil
	}
	s.Started = c.start
	content, err = json.Marshal(s)
	if err != nil {
		return time.Time{}, err
	}
	return s.Started, c.reg.State().Put(ctx, c.dataName(), content)
}

// readShard verifies the blobs whose digests begin with b, one after another.
func (c *checker) readShard(ctx context.Context, b byte, since time.Time, total int64) error {
	v := verified{state: c.reg.State(), shard: b}
	if err := v.load(ctx); err != nil {
		c.notKept(err)
		v.closed = true
	}
	save := func(ctx context.Context) {
		if err := v.save(ctx); err != nil {
			c.notKept(err)
		}
	}
	err := c.blobs.eachOf(b, func(b blob) error {
		if v.holds(b, since) {
			c.passed.Add(1)
			c.done.Add(1)
			return nil
		}
		if err := c.read(ctx, b.key.SHA256(), b, &v); err != nil {
			return err
		}
		c.progress("read blobs", c.done.Add(1), total, c.verifiedBytes.Load())
		if time.Since(v.saved) > saveEvery {
			save(ctx)
		}
		return nil
	})
	if err == nil {
		v.keepOnly(func(k layout.Key) bool {
			_, ok, err := c.blobs.find(k)
			return ok || err != nil
		})
	}
	save(context.WithoutCancel(ctx)) // what is verified is verified, also when the run is being ended
	return err
}

// readOther verifies a blob that is not named by sha256. It is not recorded: there
// are hardly any.
func (c *checker) readOther(ctx context.Context, d digest.Digest, b blob, total int64) error {
	if err := c.read(ctx, d, b, &verified{}); err != nil {
		return err
	}
	c.progress("read blobs", c.done.Add(1), total, c.verifiedBytes.Load())
	return nil
}

// read verifies one blob and records it.
func (c *checker) read(ctx context.Context, d digest.Digest, b blob, v *verified) error {
	verdict, err := c.verify(ctx, d, b.size)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	v.remove(b)
	switch verdict {
	case isSame:
		c.verified.Add(1)
		v.add(b, time.Now())
	case isOther:
		c.verified.Add(1)
		if !c.corrupt(ctx, b, d, err.Error()) {
			break // it is verified at its next reading: the record has another time of it
		}
	case isUnknown:
		c.found(Finding{Kind: Unreadable, Path: layout.RawBlob(d), Digest: d, Detail: err.Error()})
	}
	return nil
}
