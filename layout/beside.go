package layout

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"registryfs/drivers"
)

// Beside yields every file that belongs neither to the blobs nor to the
// repositories, nor to State.
func (t RawTree) Beside(ctx context.Context) iter.Seq2[RawFile, error] {
	return func(yield func(RawFile, error) bool) { t.beside(ctx, "/", yield) }
}

// beside yields those below a directory on the way to the registry's own, and
// tells whether to go on.
func (t RawTree) beside(ctx context.Context, dir string, yield func(RawFile, error) bool) bool {
	for info, err := range drivers.ListInfo(ctx, t.r.driver, dir) {
		if isAbsent(err) {
			return true
		}
		if err != nil {
			yield(RawFile{}, fmt.Errorf("list %s: %w", dir, err))
			return false
		}
		path, more := info.Path(), true
		switch {
		case !info.IsDir():
			more = yield(RawFile{RawPath(path), rawEntryOf(info)}, nil)
		case path == blobsPath || path == repositoriesPath || path == statePath:
		case strings.HasPrefix(rootPath+"/", path+"/"):
			more = t.beside(ctx, path, yield)
		default:
			for f, err := range t.Walk(ctx, RawPath(path)) {
				if more = yield(f, err); !more {
					break
				}
			}
		}
		if !more {
			return false
		}
	}
	return true
}
