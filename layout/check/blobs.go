package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"registryfs/layout"
)

// listBlobs fills the table. That the blobs cannot be listed at all is an error,
// one shard that cannot is a finding.
func (c *checker) listBlobs(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(c.o.Parallel)
	for e, err := range c.reg.Raw().List(ctx, layout.RawBlobs) {
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return errors.Join(err, g.Wait())
		}
		dir := layout.RawBlobs.Join(e.Name)
		alg := digest.Algorithm(e.Name)
		switch {
		case !e.Dir:
			c.strayBlob(dir, e.Entry, "a file among the algorithms")
		case alg.Available():
			if err := c.listAlgorithm(gctx, alg, dir, g); err != nil {
				c.found(Finding{Kind: Unreadable, Path: dir, Detail: err.Error()})
			}
		default:
			g.Go(func() error { return c.listUnknown(gctx, dir) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	c.blobs.seal()
	empty := func(d digest.Digest, b blob) {
		if b.size == 0 && c.isMine(b.key[0]) && d != d.Algorithm().FromBytes(nil) {
			c.corrupt(ctx, b, d, "it is empty")
		}
	}
	for d, b := range c.others {
		empty(d, b)
	}
	return c.blobs.each(func(b blob) error {
		empty(b.key.SHA256(), b)
		return ctx.Err()
	})
}

// listAlgorithm starts to list the shards of an algorithm.
func (c *checker) listAlgorithm(ctx context.Context, alg digest.Algorithm, dir layout.RawPath, g *errgroup.Group) error {
	for e, err := range c.reg.Raw().List(ctx, dir) {
		if err != nil {
			return err
		}
		shard := dir.Join(e.Name)
		if !e.Dir {
			c.strayBlob(shard, e.Entry, "a file among the shards")
			continue
		}
		g.Go(func() error {
			err := c.listShard(ctx, alg, shard)
			if err != nil && ctx.Err() == nil {
				c.found(Finding{Kind: Unreadable, Path: shard, Detail: err.Error()})
				return nil
			}
			return err
		})
	}
	return nil
}

// listShard lists what lies in a directory of an algorithm.
func (c *checker) listShard(ctx context.Context, alg digest.Algorithm, dir layout.RawPath) error {
	var records []byte
	for f, err := range c.reg.Raw().Walk(ctx, dir) {
		switch {
		case err != nil:
			return err
		case f.Blob == "":
			c.strayBlob(f.Path, f.Entry, "no registry looks here for a blob")
			continue
		case alg == digest.SHA256:
			records = appendRecord(records, f.Blob, f.Size, f.ModTime)
		default:
			c.mu.Lock()
			c.others[f.Blob] = blob{key: layout.KeyOf(f.Blob), size: f.Size, mtime: f.ModTime.Unix(), index: -1}
			c.mu.Unlock()
		}
		c.bytes.Add(f.Size)
		c.progress("list blobs", c.done.Add(1), 0, 0)
	}
	if len(records) == 0 {
		return nil
	}
	b, err := strconv.ParseUint(path.Base(string(dir)), 16, 8)
	if err != nil {
		return fmt.Errorf("shard %s: %w", dir, err)
	}
	return c.blobs.put(byte(b), records)
}

// listUnknown reports what lies under the name of no known algorithm.
func (c *checker) listUnknown(ctx context.Context, dir layout.RawPath) error {
	for f, err := range c.reg.Raw().Walk(ctx, dir) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			c.found(Finding{Kind: Unreadable, Path: dir, Detail: err.Error()})
			return nil
		}
		detail := "no registry knows this digest algorithm"
		if strings.HasSuffix(string(f.Path), "/data") {
			detail += ", and its garbage-collect stops here"
		}
		c.strayBlob(f.Path, f.Entry, detail)
	}
	return nil
}

// strayBlob reports a file that is no blob. Of all shards the first one does it.
func (c *checker) strayBlob(p layout.RawPath, e layout.Entry, detail string) {
	c.addSource(p, false)
	if c.o.Shard == 1 {
		c.stray(p, e, detail)
	}
}
