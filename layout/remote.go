package layout

import (
	"context"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
	"registryfs/layout/ahead"
)

// Listing marks what a walk through directories does: on a remote store it may
// be answered by what the walk's own listing has read ahead of it.
func Listing(ctx context.Context) context.Context { return ahead.Listing(ctx) }

// Adding marks what makes a file or directory that is most likely new: that there
// is none yet may have been read as long ago as under Reading. What is there is
// looked at as without a mark.
func Adding(ctx context.Context) context.Context { return ahead.Adding(ctx) }

// Reading marks what looks names up and reads files: on a remote store it may be
// answered by what a walk has read less than the TTL of SetTagTTL ago. What
// prepares a change is not to be marked.
func Reading(ctx context.Context) context.Context { return ahead.Reading(ctx) }

// statNamed describes what is at a path that a user has named, or that is about to
// be written.
func (r *Registry) statNamed(ctx context.Context, path string) (drivers.FileInfo, error) {
	if r.ahead != nil {
		return r.ahead.StatNamed(ctx, path)
	}
	return r.driver.Stat(ctx, path)
}

// IsRemote reports whether each look at the store is a request over a network.
// Such a store has no directories of its own, and so no times of them.
func (r *Registry) IsRemote() bool { return r.ahead != nil }

// SetTagTTL says how long a change made by others may go unseen under Reading.
func (r *Registry) SetTagTTL(ttl time.Duration) {
	if r.ahead != nil {
		r.ahead.SetTTL(ttl)
	}
}

// readAhead wraps the driver of a remote store.
func (r *Registry) readAhead() {
	if !drivers.IsRemote(r.driver) {
		return
	}
	r.ahead = ahead.New(r.driver, ahead.Options{Expect: expected, Scattered: blobAlgorithmPath("sha256"), Nested: nested})
	r.driver = r.ahead
}

// nested reports whether a directory of a repository is part of a longer name.
func nested(name string) bool { return !strings.HasPrefix(name, "_") }

// expected is what a link holds if it is as a registry writes it: nearly always
// the digest it is named after, and of a tag's current link one of its index.
// A blob known by another algorithm has a link that holds its sha256 digest.
func expected(path string) ahead.Expected {
	rest, ok := strings.CutSuffix(path, "/link")
	if !ok || !strings.HasPrefix(path, repositoriesPath+"/") {
		return ahead.Expected{}
	}
	if tag, ok := strings.CutSuffix(rest, "/current"); ok {
		if strings.Contains(tag, "/_manifests/tags/") {
			return ahead.Expected{Among: tag + "/index"}
		}
		return ahead.Expected{}
	}
	i := strings.LastIndexByte(rest, '/')
	dir, hex := rest[:i], rest[i+1:]
	of, ok := strings.CutSuffix(dir, "/"+string(digest.SHA256))
	if !ok || !strings.HasSuffix(of, "/_layers") && !strings.HasSuffix(of, "/_manifests/revisions") && !strings.HasSuffix(of, "/index") {
		return ahead.Expected{}
	}
	d := digest.NewDigestFromEncoded(digest.SHA256, hex)
	if validate(d) != nil {
		return ahead.Expected{}
	}
	return ahead.Expected{Content: string(d)}
}
