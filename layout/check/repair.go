package check

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// repair makes what was planned, or with DryRun only tells it: blobs first, then
// links, and what is not needed any more last.
func (c *checker) repair(ctx context.Context) error {
	restores, err := c.planRestores(ctx)
	if err != nil {
		return err
	}
	fixes := append(restores, c.fixes...)
	slices.SortFunc(fixes, func(a, b Fix) int {
		return cmp.Or(cmp.Compare(a.order(), b.order()), cmp.Compare(a.Path, b.Path))
	})
	c.repairs = map[fixed]bool{}
	for i, f := range fixes {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := c.mayGo(f)
		if err == nil && !c.o.DryRun {
			err = c.make(ctx, f)
			c.progress("repair", int64(i+1), int64(len(fixes)), 0)
		}
		if f.Do == Restore && err != nil {
			c.looked[f.From] = errKept
		}
		c.note(f, err)
	}
	c.dropRepaired()
	return nil
}

// fixed is what a repair has put right.
type fixed struct {
	kind Kind
	path layout.RawPath
}

// dropRepaired forgets the findings that are none any more.
func (c *checker) dropRepaired() {
	restored := map[digest.Digest]bool{}
	for f := range c.repairs {
		if d := c.reg.Raw().Want(f.path); d != "" {
			restored[d] = true
		}
	}
	c.findings = slices.DeleteFunc(c.findings, func(f Finding) bool {
		mended := c.repairs[fixed{f.Kind, f.Path}]
		if f.Kind == Corrupt || f.Kind == Missing || f.Kind == Dangling {
			mended = mended || restored[f.Digest]
		}
		if mended && f.Kind.Weight() == Fault {
			c.mended++
		}
		return mended
	})
}

func (f Fix) order() int {
	switch f.Do {
	case Restore:
		return 0
	case WriteLink:
		return 1
	}
	return 2
}

// note counts a repair and tells of it.
func (c *checker) note(f Fix, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case errors.Is(err, errKept):
	case err != nil && !errors.Is(err, errStale):
		c.failed++
	case !c.o.DryRun:
		c.repairs[fixed{f.Kind, f.Path}] = true
		if err == nil {
			c.made++
			if f.Do == Restore {
				c.restored++
			}
		}
	}
	if c.o.Repaired != nil {
		c.o.Repaired(f, err)
	}
}
