package layout

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"registryfs/drivers"
)

// EachRepository calls fn for every repository, up to n at once and in no order.
// Unlike Repositories it counts as one whatever has a directory that begins with
// '_': also what failed pushes have left.
//
// An error that fn gets says that what is below the name could not be listed; the
// others go on. What fn returns ends it.
func (r *Registry) EachRepository(ctx context.Context, n int, fn func(context.Context, Repository, error) error) error {
	return r.EachDirectory(ctx, n, func(ctx context.Context, d Directory, err error) error {
		if !d.Exists && err == nil {
			return nil
		}
		return fn(ctx, d.Repository, err)
	})
}

// EveryRepository is EachRepository for who must not miss any: fn gets an error too
// for a name below which is a repository of a name that is not legal here.
func (r *Registry) EveryRepository(ctx context.Context, n int, fn func(context.Context, Repository, error) error) error {
	return r.EachDirectory(ctx, n, func(ctx context.Context, d Directory, err error) error {
		if err == nil {
			err = d.CheckNames(ctx)
		}
		if !d.Exists && err == nil {
			return nil
		}
		return fn(ctx, d.Repository, err)
	})
}

// Directory is one directory of the tree of repositories.
type Directory struct {
	Repository      // by its name, "" for the top
	Exists     bool // it is a repository, and not only on the way to one
	// Strays are what lies there and is no part of any repository.
	Strays []RawFile
}

// EachDirectory is EachRepository with all directories that repositories lie in.
func (r *Registry) EachDirectory(ctx context.Context, n int, fn func(context.Context, Directory, error) error) error {
	g, ctx := errgroup.WithContext(ctx)
	s := &nameStack{names: []RepositoryName{""}}
	s.changed = sync.NewCond(&s.mu)
	stop := context.AfterFunc(ctx, s.close)
	defer stop()
	for range n {
		g.Go(func() error {
			for {
				name, ok := s.pop()
				if !ok {
					return ctx.Err()
				}
				dir := Directory{Repository: r.Repository(name)}
				children, err := dir.lookInto(ctx)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				s.push(children)
				err = fn(ctx, dir, err)
				s.done()
				if err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}

// lookInto takes in what is in the directory, and returns the names below its own.
func (d *Directory) lookInto(ctx context.Context) (children []RepositoryName, err error) {
	for info, err := range drivers.ListInfo(ctx, d.r.driver, repositoryPath(d.name)) {
		if isAbsent(err) {
			break
		}
		if err != nil {
			return children, fmt.Errorf("list repository %s: %w", d.name, err)
		}
		base := baseName(info.Path())
		child, ok := d.name.Join(base)
		switch {
		case info.IsDir() && ok:
			children = append(children, child)
		case info.IsDir() && d.name != "" && strings.HasPrefix(base, "_"):
			d.Exists = true
		default:
			d.Strays = append(d.Strays, RawFile{RawPath(info.Path()), rawEntryOf(info)})
		}
	}
	return children, nil
}

// CheckNames is an error if there is a repository in one of the directories that can
// be no part of a name. It is ErrNameInvalid if they could be read.
func (d Directory) CheckNames(ctx context.Context) error {
	for _, s := range d.Strays {
		if !s.Dir || strings.HasPrefix(s.Name, "_") {
			continue
		}
		if err := d.r.checkNoRepository(ctx, string(s.Path)); err != nil {
			return err
		}
	}
	return nil
}

// checkNoRepository is an error if a repository is in a directory whose name none
// can have here: registries take some that we do not know, such as Example.com/app.
func (r *Registry) checkNoRepository(ctx context.Context, dir string) error {
	for info, err := range drivers.WalkInfo(ctx, r.driver, dir, "") {
		if isAbsent(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look for repositories in %s: %w", dir, err)
		}
		if strings.Contains(info.Path(), "/_manifests/") || strings.Contains(info.Path(), "/_layers/") {
			return fmt.Errorf("repository in %s: %w", dir, ErrNameInvalid)
		}
	}
	return nil
}

// nameStack is the names that are still to be looked into: deep ones first, so
// that there are not many.
type nameStack struct {
	mu      sync.Mutex // guards the following
	changed *sync.Cond
	names   []RepositoryName
	busy    int // names that were taken and may have others below
	closed  bool
}

// pop takes a name; ok is false when there are no more.
func (s *nameStack) pop() (name RepositoryName, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.names) == 0 && s.busy > 0 && !s.closed {
		s.changed.Wait()
	}
	if len(s.names) == 0 || s.closed {
		return "", false
	}
	last := len(s.names) - 1
	name, s.names = s.names[last], s.names[:last]
	s.busy++
	return name, true
}

func (s *nameStack) push(names []RepositoryName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names = append(s.names, names...)
	s.changed.Broadcast()
}

// done ends what pop began.
func (s *nameStack) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy--
	s.changed.Broadcast()
}

func (s *nameStack) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.changed.Broadcast()
}
