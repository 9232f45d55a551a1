package gc

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// The ways in which something in a repository leads to a blob.
const (
	byLayer    = 'L' // a layer link
	byRevision = 'R' // a revision link
	byHistory  = 'H' // an entry of a tag's index: it keeps nothing
	byDeadTag  = 'T' // a tag that has died with what it is named after

	// bySubjectTag is such a tag, for the manifest that it is named after: that has
	// to go after it, for else the tag would be one of what was never here.
	bySubjectTag = 'S'
)

// heldBy is one file that leads to a blob.
type heldBy struct {
	time time.Time // zero if the store has none
	by   byte
	repo layout.RepositoryName
	name string // the digest of a link named otherwise than its blob, the tag, or what bySubjectTag points to; or ""
}

// String is the form that parseHeld reads.
func (h heldBy) String() string {
	ms := int64(0)
	if !h.time.IsZero() {
		ms = h.time.UnixMilli()
	}
	return strings.TrimSuffix(fmt.Sprintf("%d %c %s %s", ms, h.by, h.repo, h.name), " ")
}

func parseHeld(s string) (heldBy, error) {
	parts := strings.Split(s, " ")
	if len(parts) < 3 || len(parts) > 4 || len(parts[1]) != 1 {
		return heldBy{}, fmt.Errorf("%.300q is nothing that leads to a blob", s)
	}
	ms, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil {
		return heldBy{}, err
	}
	h := heldBy{by: parts[1][0], repo: layout.RepositoryName(parts[2])}
	if ms != 0 {
		h.time = time.UnixMilli(ms)
	}
	if len(parts) > 3 {
		h.name = parts[3]
	}
	return h, nil
}

// isLink reports whether the registry follows the file to the blob.
func (h heldBy) isLink() bool { return h.by == byLayer || h.by == byRevision }

// path is where a link to the blob d lies.
func (h heldBy) path(reg *layout.Registry, d digest.Digest) layout.RawPath {
	if h.name != "" {
		d = digest.Digest(h.name)
	}
	if h.by == byLayer {
		return reg.Repository(h.repo).LayerLink(d)
	}
	return reg.Repository(h.repo).RevisionLink(d)
}

// olderThan reports whether the file was written before t, for certain.
func olderThan(written, t time.Time) bool { return !written.IsZero() && written.Before(t) }
