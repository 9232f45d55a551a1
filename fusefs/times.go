package fusefs

import (
	"context"
	"strings"
	"time"

	"registryfs/layout"
)

// times are the modification times that users gave to directories. The store
// makes a directory when content comes to lie in it, and then gives it, and
// the one above, a time of its own; in the eyes of the user it was there since
// mkdir. So rsync, which sets the times of directories once, would find them
// changed in every run. They are set again whenever that happens.
type times struct{ boundedMap[key, time.Time] }

// maxTimes is more than the directories of most registries: about 100 bytes each.
const maxTimes = 100_000

func (t *times) set(k key, mtime time.Time) { t.put(k, mtime, maxTimes) }

// or returns the remembered time, else mtime.
func (t *times) or(k key, mtime time.Time) time.Time {
	if kept, ok := t.get(k); ok {
		return kept
	}
	return mtime
}

// keepTimes sets the times of a repository's directories again, and of those
// above it, which it may have come to lie in only now. Those that hold the names
// that were added are left out: they have changed.
func (s *fsys) keepTimes(ctx context.Context, repo layout.Repository) {
	name := repo.Name()
	for _, kind := range []layout.DirKind{layout.DirManifests, layout.DirBlobs, layout.DirRepository} {
		s.keepTime(ctx, name, kind)
	}
	for up := parentName(name); up != ""; up = parentName(up) {
		s.keepTime(ctx, up, layout.DirRepository)
	}
}

func (s *fsys) keepTime(ctx context.Context, name layout.RepositoryName, kind layout.DirKind) {
	path := "/repositories/" + string(name)
	switch kind {
	case layout.DirManifests:
		path += "/_manifests"
	case layout.DirBlobs:
		path += "/_blobs"
	}
	t, ok := s.times.get(s.dirKey(path))
	if !ok {
		return
	}
	if err := s.reg.Repository(name).SetModTime(ctx, layout.Dir{Kind: kind}, t); err != nil && !isAbsent(err) {
		s.log.Warn("time of a directory not set", "path", path, "error", err)
	}
}

// landed is called when a file has come to lie in a raw directory. It ends the
// directories of this mount that are in the store now, and gives them and all
// above them their times again.
func (s *fsys) landed(ctx context.Context, dir layout.RawPath) {
	made := false
	above := []layout.RawPath{}
	for p := string(dir); len(p) > 1; {
		i := strings.LastIndexByte(p, '/')
		up := layout.RawPath(p[:max(i, 1)])
		made = s.locals.remove(staleName{s.dirKey(rawMountPath(up)), p[i+1:]}) || made
		above = append(above, up)
		p = p[:i]
	}
	if !made {
		return
	}
	for _, p := range append(above, dir) {
		t, ok := s.times.get(s.dirKey(rawMountPath(p)))
		if !ok || p == "/" { // a driver sets no time of its root
			continue
		}
		if err := s.reg.Raw().SetModTime(ctx, p, t); err != nil && !isAbsent(err) {
			s.log.Warn("time of a directory not set", "path", rawMountPath(p), "error", err)
		}
	}
}
