package gc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// note is a blob that nobody needed when a run looked.
type note struct {
	Hex  string `json:"sha256"`
	Size int64  `json:"size"`
	// Since is when the last link to the blob was removed; zero while there may be one.
	Since time.Time `json:"since,omitzero"`
	// Links are those that runs have removed, to be put back if they are missed.
	Links []noteLink `json:"links,omitempty"`
}

// noteLink is a link that was removed.
type noteLink struct {
	Repository layout.RepositoryName `json:"repository"`
	Manifest   bool                  `json:"manifest,omitempty"` // of a revision, not a layer
	Name       string                `json:"name,omitempty"`     // the digest it is named after, if another
}

func (n *note) digest() digest.Digest { return digest.NewDigestFromEncoded(digest.SHA256, n.Hex) }

func (n *note) validate() error {
	if n == nil {
		return errors.New("it is null")
	}
	err := n.digest().Validate()
	for _, l := range n.Links {
		_, nameErr := layout.ParseRepositoryName(string(l.Repository))
		err = errors.Join(err, nameErr)
		if l.Name != "" {
			err = errors.Join(err, digest.Digest(l.Name).Validate())
		}
	}
	return err
}

// willRemove adds the links that are about to be removed.
func (n *note) willRemove(held []heldBy) {
	for _, h := range held {
		l := noteLink{Repository: h.repo, Manifest: h.by == byRevision, Name: h.name}
		if h.isLink() && !slices.Contains(n.Links, l) {
			n.Links = append(n.Links, l)
		}
	}
}

func (l noteLink) held() heldBy {
	h := heldBy{by: byLayer, repo: l.Repository, name: l.Name}
	if l.Manifest {
		h.by = byRevision
	}
	return h
}

// notes are those of a shard, sorted.
type notes []*note

func notesName(shard int) string { return fmt.Sprintf("%s/notes/%x.json", stateDir, shard) }

// readNotes reads what earlier runs have noted.
func (r *collector) readNotes(ctx context.Context, shard int) (notes, error) {
	content, err := r.reg.State().Get(ctx, notesName(shard))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all notes
	if err := json.Unmarshal(content, &all); err != nil {
		return nil, fmt.Errorf("what an earlier run has noted in registryfs/%s cannot be read: %w: remove it to begin anew", notesName(shard), err)
	}
	for _, n := range all {
		if err := n.validate(); err != nil {
			return nil, fmt.Errorf("note registryfs/%s: %w: remove it to begin anew", notesName(shard), err)
		}
	}
	slices.SortFunc(all, func(a, b *note) int { return strings.Compare(a.Hex, b.Hex) })
	return all, nil
}

// readUnlinked reads of which manifests the notes say that links were removed.
func (r *collector) readUnlinked(ctx context.Context) (map[layout.RepositoryName][]digest.Digest, error) {
	found := map[layout.RepositoryName][]digest.Digest{}
	var mu sync.Mutex // guards found
	err := r.eachShard(func(shard int) error {
		all, err := r.readNotes(ctx, shard)
		mu.Lock()
		defer mu.Unlock()
		for _, n := range all {
			for _, l := range n.Links {
				if l.Manifest {
					found[l.Repository] = append(found[l.Repository], n.digest())
				}
			}
		}
		return err
	})
	return found, err
}

// writeNotes makes all the notes of the shard.
func (r *collector) writeNotes(ctx context.Context, shard int, all notes) error {
	if len(all) == 0 {
		err := r.reg.State().Delete(ctx, notesName(shard))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	content, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return r.reg.State().Put(ctx, notesName(shard), content)
}

// forgetNotes removes the notes of a shard, but for those of what is left.
func (r *collector) forgetNotes(ctx context.Context, shard int, left func(digest.Digest) bool) error {
	all, err := r.readNotes(ctx, shard)
	if err != nil {
		return err
	}
	return r.writeNotes(ctx, shard, slices.DeleteFunc(all, func(n *note) bool { return !left(n.digest()) }))
}

// restoreNoted puts back the links that are missed of all blobs noted in a shard.
// Those are noted no longer.
func (r *collector) restoreNoted(ctx context.Context, m *mark, shard int) error {
	all, err := r.readNotes(ctx, shard)
	if err != nil || len(all) == 0 || r.DryRun {
		return err
	}
	t := m.matcher(shard)
	var left notes
	for _, n := range all {
		c := candidate{digest: n.digest()}
		if err := t.match(&c); err != nil {
			return err
		}
		if !c.isNeeded() || !r.restore(ctx, n, c.needed, c.held) {
			left = append(left, n)
		}
	}
	if len(left) == len(all) {
		return nil
	}
	return r.writeNotes(ctx, shard, left)
}

// restore puts back the links of a noted blob in the repositories that need it, and
// tells whether all of them are there.
func (r *collector) restore(ctx context.Context, n *note, needed []layout.RepositoryName, held []heldBy) bool {
	whole := true
	for _, l := range n.Links {
		if !slices.Contains(needed, l.Repository) {
			continue
		}
		h := l.held()
		path := h.path(r.reg, n.digest())
		if slices.ContainsFunc(held, func(other heldBy) bool { return other.isLink() && other.path(r.reg, n.digest()) == path }) {
			continue
		}
		if err := r.reg.Repository(l.Repository).PutLink(ctx, path, n.digest()); err != nil {
			r.report.fail(err)
			whole = false
			continue
		}
		r.report.update(func() { r.report.Restored++ })
	}
	return whole
}
