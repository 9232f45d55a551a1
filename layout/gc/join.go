package gc

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// candidate is a blob, with all that is known of who needs it.
type candidate struct {
	digest  digest.Digest
	written time.Time
	size    int64
	needed  []layout.RepositoryName // where; "" for another reason
	held    []heldBy
}

// isNeeded reports whether a manifest leads to the blob.
func (c candidate) isNeeded() bool { return len(c.needed) > 0 }

// isLinked reports whether a registry can still be led to it.
func (c candidate) isLinked() bool {
	for _, h := range c.held {
		if h.isLink() {
			return true
		}
	}
	return false
}

// subjectTags are what dead tags point to that are named after it.
func (c candidate) subjectTags() []digest.Digest {
	var all []digest.Digest
	for _, h := range c.held {
		if h.by == bySubjectTag {
			all = append(all, digest.Digest(h.name))
		}
	}
	return all
}

// isYoung reports whether something about it is, or may be, younger than cutoff.
func (c candidate) isYoung(cutoff time.Time) bool {
	for _, h := range c.held {
		if h.isLink() && !olderThan(h.time, cutoff) {
			return true
		}
	}
	return !olderThan(c.written, cutoff)
}

// matcher finds what a mark has seen of blobs that are asked for in order.
type matcher struct {
	needed, held *cursor
}

func (m *mark) matcher(shard int) *matcher {
	return &matcher{newCursor(m.reached[shard].read()), newCursor(m.links[shard].read())}
}

// match completes a candidate.
func (t *matcher) match(c *candidate) error {
	hex := c.digest.Encoded()
	needed, err := t.needed.of(hex)
	if err != nil {
		return err
	}
	for _, repo := range needed {
		c.needed = append(c.needed, layout.RepositoryName(repo))
	}
	held, err := t.held.of(hex)
	if err != nil {
		return err
	}
	for _, s := range held {
		h, err := parseHeld(s)
		if err != nil {
			return err
		}
		c.held = append(c.held, h)
	}
	return nil
}

// eachBlob calls fn for each blob of a shard, in order.
func (r *collector) eachBlob(ctx context.Context, shard int, m *mark, fn func(candidate) error) error {
	t := m.matcher(shard)
	for line, err := range r.blobs[shard].all() {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		hex, rest, _ := strings.Cut(line, " ")
		var ms, size int64
		if _, err := fmt.Sscan(rest, &ms, &size); err != nil {
			return fmt.Errorf("blob %s: %w", hex, err)
		}
		c := candidate{digest: digest.NewDigestFromEncoded(digest.SHA256, hex), size: size}
		if ms != 0 {
			c.written = time.UnixMilli(ms)
		}
		if err := t.match(&c); err != nil {
			return err
		}
		if err := fn(c); err != nil {
			return err
		}
	}
	return nil
}
