package drivers

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
)

// Walk is StorageDriver.Walk made of ListInfo; drivers without anything better
// answer their Walk with it. It holds the children of one directory per level.
//
// It calls fn depth first, a directory before its content, siblings sorted by
// name as plain strings, and never for from itself. With a StartAfterHint it
// leaves out all up to and including the hint in that order, and lists no
// directory that lies before it. A directory that vanishes on the way is
// skipped; if from is not a directory the error is a PathNotFoundError.
func Walk(ctx context.Context, d StorageDriver, from string, fn WalkFn, options ...func(*WalkOptions)) error {
	w := walker{driver: d, fn: fn}
	for _, option := range options {
		option(&w.options)
	}
	children, err := w.children(ctx, from)
	if err != nil {
		return err
	}
	err = w.walk(ctx, children)
	if errors.Is(err, errStopWalk) {
		return nil
	}
	return err
}

// errStopWalk carries ErrFilledBuffer up, so that one which came from a driver
// instead of the callback cannot be taken for it.
var errStopWalk = errors.New("stop the walk")

type walker struct {
	driver  StorageDriver
	fn      WalkFn
	options WalkOptions
}

func (w *walker) walk(ctx context.Context, siblings []FileInfo) error {
	for _, info := range siblings {
		if err := ctx.Err(); err != nil {
			return err
		}
		enter, err := w.visit(info)
		if err != nil {
			return err
		}
		if !enter {
			continue
		}
		children, err := w.children(ctx, info.Path())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := w.walk(ctx, children); err != nil {
			return err
		}
	}
	return nil
}

// visit calls fn for an entry after the hint, and reports whether to go below.
func (w *walker) visit(info FileInfo) (enter bool, err error) {
	path, hint := info.Path(), w.options.StartAfterHint
	if hint != "" && ComparePaths(path, hint) <= 0 {
		return info.IsDir() && (path == hint || isBelow(hint, path)), nil
	}
	err = w.fn(info)
	switch {
	case err == nil:
		return info.IsDir(), nil
	case errors.Is(err, ErrSkipDir):
		return false, nil
	case errors.Is(err, ErrFilledBuffer):
		return false, errStopWalk
	}
	return false, err
}

func (w *walker) children(ctx context.Context, dir string) ([]FileInfo, error) {
	var children []FileInfo
	for info, err := range ListInfo(ctx, w.driver, dir) {
		if err != nil {
			return nil, err
		}
		children = append(children, info)
	}
	slices.SortFunc(children, func(a, b FileInfo) int { return ComparePaths(a.Path(), b.Path()) })
	return children, nil
}

// walkFlat is the fallback of WalkInfo. It lists no directory whose files all
// lie before startAfter. When yield wants no more it returns errStopWalk.
func walkFlat(ctx context.Context, d StorageDriver, dir, startAfter string, yield func(FileInfo, error) bool) error {
	var children []FileInfo
	for info, err := range ListInfo(ctx, d, dir) {
		if err != nil {
			return err
		}
		children = append(children, info)
	}
	slices.SortFunc(children, func(a, b FileInfo) int { return strings.Compare(flatKey(a), flatKey(b)) })
	for _, info := range children {
		if err := ctx.Err(); err != nil {
			return err
		}
		key := flatKey(info)
		if key <= startAfter && !(info.IsDir() && strings.HasPrefix(startAfter, key)) {
			continue
		}
		if !info.IsDir() {
			if !yield(info, nil) {
				return errStopWalk
			}
			continue
		}
		err := walkFlat(ctx, d, info.Path(), startAfter, yield)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // it may have vanished meanwhile
			return err
		}
	}
	return nil
}

// flatKey sorts a directory where its files are in the byte order of paths.
func flatKey(info FileInfo) string {
	if info.IsDir() {
		return info.Path() + "/"
	}
	return info.Path()
}
