package gc

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"registryfs/layout"
)

// removeDirs removes directories in which nothing is left: those of blobs, links,
// tags and uploads, and all of a repository that has nothing else. One that has
// changed within MinAge stays: a registry may be about to put something there.
func (r *collector) removeDirs(ctx context.Context) error {
	if r.reg.IsRemote() || r.DryRun {
		return nil
	}
	for _, dir := range []layout.RawPath{layout.RawRepositories, layout.RawBlobs} {
		_, err := r.prune(ctx, dir)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			r.report.fail(err)
		}
	}
	return nil
}

// prune removes what is empty below a directory, and tells whether nothing is left
// there but frames.
func (r *collector) prune(ctx context.Context, dir layout.RawPath) (empty bool, err error) {
	empty, allParts := true, true
	var parts []layout.RawPath // those of a repository that are empty
	for e, err := range r.reg.Raw().List(ctx, dir) {
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil || ctx.Err() != nil {
			return false, errors.Join(err, ctx.Err())
		}
		sub := dir.Join(e.Name)
		gone := false
		if e.Dir && isKnown(sub) {
			if gone, err = r.prune(ctx, sub); err != nil {
				return false, err
			}
		}
		gone = gone && (r.MinAge == 0 || olderThan(e.ModTime, r.cutoff))
		frame := frameOf(sub)
		if gone && frame == 0 {
			if gone, err = r.removeDir(ctx, sub); err != nil {
				return false, err
			}
		}
		if frame == isPart {
			parts, allParts = append(parts, sub), allParts && gone
		} else {
			empty = empty && gone
		}
	}
	for _, part := range parts {
		gone := false
		if allParts {
			if gone, err = r.removeTree(ctx, part); err != nil {
				return false, err
			}
		}
		empty = empty && gone
	}
	return empty, nil
}

// The frames are directories that are there as long as their repository, or the
// store, whether or not anything is in them.
const (
	isPart   = 1 + iota // of a repository: it begins with '_'
	isInside            // such a part, or the directory of the blobs
)

func frameOf(p layout.RawPath) int {
	if rest, ok := strings.CutPrefix(string(p), string(layout.RawBlobs)+"/"); ok {
		if strings.Contains(rest, "/") {
			return 0
		}
		return isInside
	}
	_, part, ok := strings.Cut(string(p), "/_")
	if !ok {
		return 0
	}
	names := strings.Split(part, "/")
	switch n := len(names); {
	case n == 1:
		return isPart
	case names[0] == "uploads", names[0] == "layers" && n > 2, names[0] == "manifests" && n > 3:
		return 0
	case names[0] == "manifests" && n == 3 && names[1] == "tags":
		return 0
	}
	return isInside
}

// isKnown reports whether a registry may have made a directory of that name there.
func isKnown(p layout.RawPath) bool {
	name := string(p[strings.LastIndexByte(string(p), '/')+1:])
	if strings.HasPrefix(string(p), string(layout.RawBlobs)+"/") {
		return frameOf(p) != 0 || strings.Trim(name, "0123456789abcdef") == ""
	}
	return strings.Contains(string(p), "/_") || layout.ValidComponent(name)
}

// removeTree removes directories with nothing but empty ones in them.
func (r *collector) removeTree(ctx context.Context, dir layout.RawPath) (bool, error) {
	for e, err := range r.reg.Raw().List(ctx, dir) {
		if err == nil && e.Dir {
			_, err = r.removeTree(ctx, dir.Join(e.Name))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	return r.removeDir(ctx, dir)
}

func (r *collector) removeDir(ctx context.Context, dir layout.RawPath) (bool, error) {
	gone, err := r.reg.Raw().RemoveEmpty(ctx, dir)
	if gone {
		r.report.update(func() { r.report.Directories++ })
	}
	return gone, err
}
