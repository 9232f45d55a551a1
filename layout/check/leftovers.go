package check

import (
	"context"
	"path"
	"regexp"
	"strings"

	"registryfs/layout"
)

// temporary are the names under which registries since 3.1 and registryfs write
// on a disk. In a bucket they are seen where a disk was copied there.
var temporary = regexp.MustCompile(`^.+\.[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\.tmp$|^\.registryfs-[0-9a-f]{16}\.tmp$|^\..+\.registryfs-partial$`)

// findLeftovers reports what the driver hides.
func (c *checker) findLeftovers(ctx context.Context) error {
	root := layout.RawPath(path.Dir(string(layout.RawBlobs)))
	for f, err := range c.reg.Raw().Leftovers(ctx, root) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			c.found(Finding{Kind: Unreadable, Path: root, Detail: err.Error()})
			return nil
		}
		if strings.Contains(string(f.Path), "/_uploads/") && !temporary.MatchString(path.Base(string(f.Path))) {
			continue // what has come of an upload in a bucket: its registry ends it
		}
		c.addSource(f.Path, true)
		if c.o.Shard == 1 { // one machine does it
			c.leftover(f.Path, f.Entry, removeLeftover)
		}
	}
	return nil
}

// leftover reports what a crash has left, if it is old enough to be that.
func (c *checker) leftover(p layout.RawPath, e layout.Entry, do Action) {
	if !c.isOld(e.ModTime) {
		return
	}
	c.found(Finding{Kind: Leftover, Path: p, Detail: "a crash has left it at " + e.ModTime.UTC().Format("2006-01-02 15:04:05")})
	f := Fix{Kind: Leftover, Do: do, Path: p}
	if mayHaveBlob(p) {
		f.source = p
	}
	c.plan(f)
}

// stray reports a file that no registry knows.
func (c *checker) stray(p layout.RawPath, e layout.Entry, detail string) {
	if temporary.MatchString(path.Base(string(p))) {
		c.leftover(p, e, Remove)
		return
	}
	c.found(Finding{Kind: Stray, Path: p, Detail: detail})
}
