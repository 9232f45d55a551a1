package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// source is a file that may have the content of a blob.
type source struct {
	path   layout.RawPath
	hidden bool // it is a leftover
}

// mayHaveBlob tells by its path whether a file may have the content of a blob.
func mayHaveBlob(p layout.RawPath) bool {
	name := path.Base(string(p))
	return strings.HasPrefix(string(p), string(layout.RawBlobs)+"/") || name == "data" || strings.Contains(name, "data.")
}

func (c *checker) addSource(p layout.RawPath, hidden bool) {
	if !c.o.Repair && !c.o.DryRun || !mayHaveBlob(p) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sources) < maxFindings {
		c.sources = append(c.sources, source{p, hidden})
	}
}

// errKept says that a source may be all that is left of a blob.
var errKept = errors.New("it may be all that is left of a blob")

// mayGo is an error if the repair would remove what is still needed.
func (c *checker) mayGo(f Fix) error {
	if f.source == "" {
		return nil
	}
	err, ok := c.looked[f.source]
	if !ok {
		return errKept
	}
	return err
}

// planRestores looks for content that is missing or damaged in what crashed writes
// and uploads have left. What is to be removed is looked into in any case.
func (c *checker) planRestores(ctx context.Context) ([]Fix, error) {
	c.looked = map[layout.RawPath]error{}
	goes := map[layout.RawPath]bool{}
	for _, f := range c.fixes {
		goes[f.source] = true
	}
	var fixes []Fix
	restore := func(d digest.Digest, s source) {
		fixes = append(fixes, Fix{Kind: c.wanted[d], Do: Restore, Path: layout.RawBlob(d), From: s.path, Cached: c.wanted[d] == Corrupt, hidden: s.hidden})
		delete(c.wanted, d)
	}
	if empty := digest.FromBytes(nil); c.wanted[empty] != "" {
		restore(empty, source{})
	}
	for i, s := range c.sources {
		if len(c.wanted) == 0 && !goes[s.path] {
			continue
		}
		c.progress("look for lost content", int64(i+1), int64(len(c.sources)), 0)
		d, err := c.sum(ctx, s)
		if err == nil && goes[s.path] && c.wanted[d] == "" {
			err = c.isSpare(ctx, d)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		c.looked[s.path] = err
		if c.wanted[d] != "" {
			restore(d, s)
		}
	}
	return fixes, nil
}

// sum is the digest of what is in a source.
func (c *checker) sum(ctx context.Context, s source) (digest.Digest, error) {
	hash := digest.SHA256.Digester()
	if err := c.copySource(ctx, s, pacedWriter{ctx, c.rate, hash.Hash()}); err != nil {
		return "", fmt.Errorf("%w: %w", errKept, err)
	}
	return hash.Digest(), nil
}

// pacedWriter writes no faster than blobs are read.
type pacedWriter struct {
	ctx  context.Context
	rate *pacer
	w    io.Writer
}

func (p pacedWriter) Write(b []byte) (int, error) {
	if err := p.rate.wait(p.ctx, len(b)); err != nil {
		return 0, err
	}
	return p.w.Write(b)
}

// isSpare is an error if content of which there is a copy may be needed. A blob that
// has it and was not read yet is read now.
func (c *checker) isSpare(ctx context.Context, d digest.Digest) error {
	b, ok, err := c.blob(ctx, d)
	if err != nil {
		return fmt.Errorf("%w: %w", errKept, err)
	}
	seen := errKept
	if c.o.Shards == 1 && c.count(Unreadable) == 0 {
		seen = nil // and nothing needs it
	}
	switch {
	case !ok:
		return seen
	case c.isBad(b, d):
		return nil // it is put back from another copy
	}
	is, err := c.verify(ctx, d, b.size)
	switch is {
	case isGone:
		return seen
	case isOther:
		c.corrupt(ctx, b, d, err.Error())
	case isUnknown:
		return fmt.Errorf("%w: %w", errKept, err)
	}
	return nil
}
