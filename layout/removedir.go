package layout

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"registryfs/drivers"
)

// RemoveDir removes from the store what is left of a directory in which no name
// shows any more; that there is nothing is no error. It is ErrNotEmpty if a
// tag, a link, a nested repository, an upload in progress or anything unknown
// is in it.
//
// Of an emptied repository everything goes that can: an upload, a nested
// repository or something unknown stays, with the directories above it, and the
// error says so.
func (p Repository) RemoveDir(ctx context.Context, d Dir) error {
	switch d.Kind {
	case DirRepository:
		return p.removeRepository(ctx)
	case DirUploads:
		return p.removeUploads(ctx)
	}
	if err := p.checkEmpty(ctx, p.dirPath(d)); err != nil {
		return err
	}
	return p.remove(ctx, p.dirPath(d))
}

func (p Repository) removeRepository(ctx context.Context) error {
	// Nothing goes before it is certain that no manifest, tag or layer does.
	parts := []string{layersPath(p.name), manifestsPath(p.name)}
	for _, part := range parts {
		if err := p.checkEmpty(ctx, part); err != nil {
			return err
		}
	}
	for _, part := range parts {
		if err := p.remove(ctx, part); err != nil {
			return err
		}
	}
	kept := p.removeUploads(ctx)
	if kept != nil && !errors.Is(kept, ErrNotEmpty) {
		return kept
	}
	// What else is there is a nested repository or nothing we know.
	others, err := p.r.children(ctx, repositoryPath(p.name))
	if err != nil {
		return err
	}
	for _, info := range others {
		name := baseName(info.Path())
		switch {
		case name == "_uploads" && kept != nil:
			continue
		case strings.HasPrefix(name, "_") && info.IsDir():
			err = p.checkEmpty(ctx, info.Path())
		default:
			err = p.notEmpty(info.Path())
		}
		if err != nil && !errors.Is(err, ErrNotEmpty) {
			return err
		}
		kept = errors.Join(kept, err)
	}
	if kept != nil {
		return kept
	}
	return p.remove(ctx, repositoryPath(p.name))
}

// removeUploads takes every entry for an upload in progress: its data need not
// be visible.
func (p Repository) removeUploads(ctx context.Context) error {
	uploads, err := p.r.children(ctx, uploadsPath(p.name))
	if err != nil {
		return err
	}
	if len(uploads) > 0 {
		return p.notEmpty(uploads[0].Path())
	}
	return p.remove(ctx, uploadsPath(p.name))
}

// remove deletes dir, which has been found empty. What somebody else puts there
// between the look and the removal is lost: no store can do both at once.
func (p Repository) remove(ctx context.Context, dir string) error {
	if err := p.r.driver.Delete(ctx, dir); err != nil && !isAbsent(err) {
		return fmt.Errorf("remove directory of %s: %w", p.name, err)
	}
	return nil
}

// checkEmpty is ErrNotEmpty if there is a file below dir that is no remnant.
func (p Repository) checkEmpty(ctx context.Context, dir string) error {
	for info, err := range drivers.WalkInfo(ctx, p.r.driver, dir, "") {
		if isAbsent(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look into a directory of %s: %w", p.name, err)
		}
		if !isRemnant(strings.TrimPrefix(info.Path(), repositoryPath(p.name)+"/")) {
			return p.notEmpty(info.Path())
		}
	}
	return nil
}

// isRemnant reports whether the file, named from its repository on, is of no
// use alone: the history of a tag whose current link is gone, the signatures of
// a schema 1 revision whose link is.
func isRemnant(file string) bool {
	parts := strings.Split(file, "/")
	if len(parts) < 5 || parts[0] != "_manifests" {
		return false
	}
	switch parts[1] {
	case "tags":
		_, err := ParseTagName(parts[2])
		return err == nil && parts[3] == "index"
	case "revisions":
		return len(parts) > 5 && parts[4] == "signatures"
	}
	return false
}

func (p Repository) notEmpty(path string) error {
	return fmt.Errorf("repository %s: %w: %s is there", p.name, ErrNotEmpty, strings.TrimPrefix(path, repositoryPath(p.name)+"/"))
}
