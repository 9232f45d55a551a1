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
	return r.eachRepository(ctx, n, r.lookInto, fn)
}

// EveryRepository is EachRepository for who must not miss any: fn gets an error too
// for a name below which is a repository of a name that is not legal here.
func (r *Registry) EveryRepository(ctx context.Context, n int, fn func(context.Context, Repository, error) error) error {
	return r.eachRepository(ctx, n, func(ctx context.Context, name RepositoryName) ([]RepositoryName, bool, error) {
		children, exists, err := r.lookInto(ctx, name)
		if err != nil {
			return children, exists, err
		}
		return children, exists, r.checkNames(ctx, name)
	}, fn)
}

type looker func(context.Context, RepositoryName) (children []RepositoryName, exists bool, err error)

func (r *Registry) eachRepository(ctx context.Context, n int, look looker, fn func(context.Context, Repository, error) error) error {
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
				children, exists, err := look(ctx, name)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				s.push(children)
				if err != nil || exists {
					err = fn(ctx, r.Repository(name), err)
				}
				s.done()
				if err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}

// lookInto lists the names directly below name, and tells whether that is a
// repository itself.
func (r *Registry) lookInto(ctx context.Context, name RepositoryName) (children []RepositoryName, exists bool, err error) {
	for info, err := range drivers.ListInfo(ctx, r.driver, repositoryPath(name)) {
		if isAbsent(err) {
			break
		}
		if err != nil {
			return children, exists, fmt.Errorf("list repository %s: %w", name, err)
		}
		if !info.IsDir() {
			continue
		}
		base := baseName(info.Path())
		if child, ok := name.Join(base); ok {
			children = append(children, child)
		}
		exists = exists || name != "" && strings.HasPrefix(base, "_")
	}
	return children, exists, nil
}

// checkNames looks into the directories below name that can be no part of a name.
func (r *Registry) checkNames(ctx context.Context, name RepositoryName) error {
	for info, err := range drivers.ListInfo(ctx, r.driver, repositoryPath(name)) {
		if isAbsent(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list repository %s: %w", name, err)
		}
		base := baseName(info.Path())
		if _, ok := name.Join(base); ok || !info.IsDir() || strings.HasPrefix(base, "_") {
			continue
		}
		if err := r.checkNoRepository(ctx, info.Path()); err != nil {
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
