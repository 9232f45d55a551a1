package fusefs

import (
	"context"
	"iter"
	"syscall"

	"registryfs/layout"
)

// stagingName is the directory that rsync --delay-updates gathers its files
// in, to rename them all at the end.
const stagingName = ".~tmp~"

// stagingDir is such a directory: it holds drafts and nothing else.
type stagingDir struct {
	s    *fsys
	path string
}

var _ = (container)((*stagingDir)(nil))

func (d *stagingDir) attr(context.Context) (attr, error) {
	return dirAttr(d.s.times.or(d.s.dirKey(d.path), epoch), transient), nil
}

func (d *stagingDir) lookup(context.Context, string) (found, error) { return found{}, errNoEntry }

func (d *stagingDir) list(context.Context) iter.Seq2[entry, error] { return listNames(nil) }

func (d *stagingDir) place(context.Context, string, bool) (place, error) { return nil, nil }

// stagingDirIn looks up the staging directory of a directory.
func (s *fsys) stagingDirIn(path, name string) (found, error) {
	if _, ok := s.locals.get(staleName{s.dirKey(path), name}); !ok || name != stagingName {
		return found{}, errNoEntry
	}
	return s.dir(context.Background(), path+"/"+name, &stagingDir{s, path + "/" + name})
}

func (s *fsys) makeStagingDir(path, name string) (found, error) {
	if name != stagingName {
		return found{}, refuse(syscall.EINVAL, "there are no directories of other names here",
			"make repositories directly below repositories/")
	}
	if _, err := s.stagingDirIn(path, name); err == nil {
		return found{}, syscall.EEXIST
	}
	s.makeLocal(path, name)
	return s.stagingDirIn(path, name)
}

func (s *fsys) removeStagingDir(path, name string) error {
	if _, err := s.stagingDirIn(path, name); err != nil {
		return refuse(syscall.EPERM, "this directory is part of the mount", "remove the directory that it is in")
	}
	if len(s.drafts.in(s.dirKey(path+"/"+name))) > 0 {
		return layout.ErrNotEmpty
	}
	s.locals.remove(staleName{s.dirKey(path), name})
	return nil
}
