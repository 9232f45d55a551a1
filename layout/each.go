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
				children, exists, err := r.lookInto(ctx, name)
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
