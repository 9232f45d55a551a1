package du

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"registryfs/layout"
)

// sumTags fills in the tags of a repository. From here on m.blobs is only read.
func (m *measuring) sumTags(ctx context.Context, r *repository, row *Repository) error {
	closures, err := m.closures(ctx, r)
	if err != nil {
		return err
	}
	users := make(map[layout.Key]int) // how many tags need it
	for _, d := range r.tags {
		for _, k := range closures[d] {
			users[k]++
		}
	}
	row.Tags = make([]Tag, 0, len(r.tags))
	for name, d := range r.tags {
		tag := Tag{Name: name, Digest: string(d)}
		for _, k := range closures[d] {
			b := m.blobs[k]
			_, here := slices.BinarySearchFunc(r.links, k, layout.Key.Compare)
			tag.add(b, users[k] == 1 && (b.linked == 0 || b.linked == 1 && here))
		}
		row.Tags = append(row.Tags, tag)
	}
	slices.SortFunc(row.Tags, func(a, b Tag) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Name, b.Name))
	})
	for _, k := range r.links {
		if users[k] == 0 {
			row.Untagged += m.blobs[k].size
		}
	}
	return nil
}

// closures finds what each manifest that is tagged needs, each digest once.
func (m *measuring) closures(ctx context.Context, r *repository) (map[digest.Digest][]layout.Key, error) {
	all := make(map[digest.Digest]*[]layout.Key)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(m.Parallel)
	for name, d := range r.tags {
		if d == "" || all[d] != nil {
			continue
		}
		needs := new([]layout.Key)
		all[d] = needs
		g.Go(func() error {
			c := closure{m: m, seen: make(map[layout.Key]bool)}
			if err := c.addManifest(ctx, d); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				m.problem(fmt.Errorf("what tag %s of %s needs: %w", name, r.Name(), err))
			}
			*needs = c.needs
			return nil
		})
	}
	err := g.Wait()
	closures := make(map[digest.Digest][]layout.Key, len(all))
	for d, needs := range all {
		closures[d] = *needs
	}
	return closures, err
}

// closure is what one manifest needs.
type closure struct {
	m     *measuring
	seen  map[layout.Key]bool
	needs []layout.Key
}

// add counts d, if it is stored and was not counted before.
func (c *closure) add(d digest.Digest) (isNew bool) {
	k := layout.KeyOf(d)
	if c.seen[k] || !c.m.blobs[k].stored {
		return false
	}
	c.seen[k] = true
	c.needs = append(c.needs, k)
	return true
}

func (c *closure) addManifest(ctx context.Context, d digest.Digest) error {
	if !c.add(d) {
		return nil
	}
	parts, err := c.m.reg.Parts(ctx, d)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it has gone since
	}
	if err != nil {
		return err
	}
	for _, b := range parts.Blobs {
		c.add(b.Digest)
	}
	var errs []error
	for _, child := range parts.Children {
		errs = append(errs, c.addManifest(ctx, child.Digest))
	}
	return errors.Join(errs...)
}
