package layout

import (
	"context"
	"fmt"
	"iter"

	"registryfs/drivers"
)

// statePath is beside the registry's own tree: a registry does not look there.
const statePath = "/registryfs"

// State is what jobs over the whole store keep in it for the next run, on
// whatever machine that is: small files, by names of one or more components.
type State struct {
	driver drivers.StorageDriver
}

// State is what jobs keep, in the store or where Options.State has it.
func (r *Registry) State() State { return State{r.opts.State} }

func (s State) path(name string) string { return statePath + "/" + name }

// Get reads a file. It is fs.ErrNotExist if there is none.
func (s State) Get(ctx context.Context, name string) ([]byte, error) {
	content, err := s.driver.GetContent(ctx, s.path(name))
	if err != nil {
		return nil, fmt.Errorf("read state %s: %w", name, err)
	}
	return content, nil
}

// Put makes content the whole of the file.
func (s State) Put(ctx context.Context, name string, content []byte) error {
	if err := s.driver.PutContent(ctx, s.path(name), content); err != nil {
		return fmt.Errorf("write state %s: %w", name, err)
	}
	return nil
}

// Create is Put for a file that must not exist: else it is fs.ErrExist. Of two
// programs one is first where the store can tell.
func (s State) Create(ctx context.Context, name string, content []byte) error {
	if err := drivers.PutContentIfAbsent(ctx, s.driver, s.path(name), content); err != nil {
		return fmt.Errorf("create state %s: %w", name, err)
	}
	return nil
}

// Delete removes a file. It is fs.ErrNotExist if there is none.
func (s State) Delete(ctx context.Context, name string) error {
	if err := s.driver.Delete(ctx, s.path(name)); err != nil {
		return fmt.Errorf("remove state %s: %w", name, err)
	}
	return nil
}

// All yields the files of a directory of the state, in no order; one that is
// missing has none.
func (s State) All(ctx context.Context, dir string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for info, err := range drivers.ListInfo(ctx, s.driver, s.path(dir)) {
			if isAbsent(err) {
				return
			}
			if err != nil {
				yield(Entry{}, fmt.Errorf("list state %s: %w", dir, err))
				return
			}
			if !info.IsDir() && !yield(entryOf(info), nil) {
				return
			}
		}
	}
}
