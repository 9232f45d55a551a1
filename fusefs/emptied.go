package fusefs

import (
	"strings"

	"registryfs/layout"
)

// keepEmptied keeps a directory in which a name was removed, and those above it,
// as directories of this mount. A store of objects has no directory in which
// nothing is left; to a program it is there until it removes that as well, as
// rm -r does.
func (s *fsys) keepEmptied(obj object) {
	if !s.reg.IsRemote() {
		return
	}
	switch d := obj.(type) {
	case *rawDir:
		for p := string(d.path); len(p) > 1; {
			i := strings.LastIndexByte(p, '/')
			s.keepLocal(rawMountPath(layout.RawPath(p[:max(i, 1)])), p[i+1:])
			p = p[:i]
		}
	case *tagsDir:
		s.keepEmptiedNames(d.repo.Name())
	case *linksDir:
		s.keepEmptiedNames(d.repo.Name())
	case *namesDir:
		s.keepEmptiedNames(d.name)
	}
}

func (s *fsys) keepEmptiedNames(name layout.RepositoryName) {
	for ; name != ""; name = parentName(name) {
		s.keepLocal("/repositories"+slash(string(parentName(name))), lastName(name))
	}
}

// keepLocal is makeLocal for a directory that the store may still have.
func (s *fsys) keepLocal(dir, name string) {
	n := staleName{s.dirKey(dir), name}
	if _, ok := s.locals.get(n); !ok {
		s.locals.put(n, localDir{emptied: true}, maxLocals)
	}
}
