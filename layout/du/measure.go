package du

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"registryfs/layout"
)

// Options say what is to be measured.
type Options struct {
	// Repositories are those wanted; none is all.
	Repositories []layout.RepositoryPattern
	// Tags asks for the tags too.
	Tags bool
	// Parallel is how many repositories are looked at at once; 0 is 16.
	Parallel int
	// Progress, if set, is told how far it has come.
	Progress func(layout.Progress)
}

// Measure tells how much room the repositories take. What others share with them
// is known only after a look at all, so that is done whatever is wanted. An error
// says that there is no result.
func Measure(ctx context.Context, reg *layout.Registry, o Options) (Report, error) {
	if o.Parallel == 0 {
		o.Parallel = 16
	}
	if o.Progress == nil {
		o.Progress = func(layout.Progress) {}
	}
	m := &measuring{reg: reg, Options: o, blobs: make(map[layout.Key]blob)}
	if err := reg.EachRepository(ctx, o.Parallel, m.readLinks); err != nil {
		return Report{}, err
	}
	var names []layout.RepositoryName
	for _, r := range m.wanted {
		names = append(names, r.Name())
	}
	m.report.Problems = append(m.report.Problems, layout.Unmatched(o.Repositories, names)...)
	if err := m.readSizes(ctx); err != nil {
		return Report{}, err
	}
	if err := m.sum(ctx); err != nil {
		return Report{}, err
	}
	slices.SortFunc(m.report.Repositories, func(a, b Repository) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Name, b.Name))
	})
	return m.report, nil
}

type measuring struct {
	reg *layout.Registry
	Options

	mu     sync.Mutex          // guards the following
	blobs  map[layout.Key]blob // not changed once the sizes are known
	wanted []*repository
	report Report
	looked int64 // repositories
}

// blob is what is known of one digest.
type blob struct {
	size   int64 // 0 if it is not stored
	linked int32 // by how many repositories
	wanted bool  // one of them is wanted
	stored bool
}

// repository is one that is wanted.
type repository struct {
	layout.Repository
	links []layout.Key // of its manifests and layers, each once
	tags  map[layout.TagName]digest.Digest
}

func (m *measuring) isWanted(name layout.RepositoryName) bool {
	return len(m.Repositories) == 0 ||
		slices.ContainsFunc(m.Repositories, func(p layout.RepositoryPattern) bool { return p.Match(name) })
}

// problem notes what could not be read. The lock is not held.
func (m *measuring) problem(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.report.Problems = append(m.report.Problems, err)
}

// readLinks takes in what one repository links.
func (m *measuring) readLinks(ctx context.Context, p layout.Repository, err error) error {
	if err != nil {
		m.problem(err)
		return nil
	}
	r := &repository{Repository: p, tags: make(map[layout.TagName]digest.Digest)}
	for f, err := range p.Files(ctx) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			m.problem(err)
			continue
		}
		switch f.Kind {
		case layout.FileLayer, layout.FileRevision:
			if f.Target != "" {
				r.links = append(r.links, layout.KeyOf(f.Target))
			}
		case layout.FileTagCurrent:
			r.tags[f.Tag] = f.Target
		}
	}
	slices.SortFunc(r.links, layout.Key.Compare)
	r.links = slices.Compact(r.links)
	wanted := m.isWanted(p.Name())

	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range r.links {
		b := m.blobs[k]
		b.linked++
		b.wanted = b.wanted || wanted
		m.blobs[k] = b
	}
	if wanted {
		m.wanted = append(m.wanted, r)
	}
	m.looked++
	m.Progress(layout.Progress{Step: "read repositories", Done: m.looked})
	return nil
}

// readSizes takes in what is stored. Nobody else uses m by now.
func (m *measuring) readSizes(ctx context.Context) error {
	for desc, err := range m.reg.Blobs().Each(ctx) {
		if err != nil {
			return err
		}
		k := layout.KeyOf(desc.Digest)
		b := m.blobs[k]
		b.size, b.stored = desc.Size, true
		m.blobs[k] = b
		m.report.Blobs++
		m.report.Stored += b.size
		if b.linked == 0 {
			m.report.Unlinked += b.size
		}
		if b.wanted {
			m.report.Total += b.size
		}
		m.Progress(layout.Progress{Step: "read sizes", Done: int64(m.report.Blobs)})
	}
	return nil
}

// sum adds up what the wanted repositories take.
func (m *measuring) sum(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(m.Parallel)
	for _, r := range m.wanted {
		g.Go(func() error {
			row := Repository{Name: r.Name()}
			for _, k := range r.links {
				row.add(m.blobs[k], m.blobs[k].linked == 1)
			}
			if m.Tags {
				if err := m.sumTags(ctx, r, &row); err != nil {
					return fmt.Errorf("tags of %s: %w", r.Name(), err)
				}
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			m.report.Repositories = append(m.report.Repositories, row)
			m.Progress(layout.Progress{Step: "add up", Done: int64(len(m.report.Repositories)), Total: int64(len(m.wanted))})
			return nil
		})
	}
	return g.Wait()
}

func (u *Usage) add(b blob, unique bool) {
	u.Total += b.size
	if unique {
		u.Unique += b.size
	}
}
