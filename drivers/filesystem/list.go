package filesystem

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"registryfs/drivers"
)

// List implements drivers.StorageDriver.
func (d *Driver) List(ctx context.Context, dir string) ([]string, error) {
	return drivers.ListPaths(ctx, d, dir)
}

// ListInfo implements drivers.InfoLister. It looks up sizes and times, but for
// symbolic links, only when they are asked for.
func (d *Driver) ListInfo(ctx context.Context, dir string) iter.Seq2[drivers.FileInfo, error] {
	return func(yield func(drivers.FileInfo, error) bool) {
		prefix := strings.TrimSuffix(dir, "/") + "/"
		err := readDir(ctx, d.local(dir), func(name string, mode fs.FileMode) bool {
			info := d.child(prefix+name, mode)
			return info == nil || yield(info, nil)
		})
		if err == nil || dir == "/" && errors.Is(err, fs.ErrNotExist) {
			return // the root is not made yet
		}
		yield(nil, absence(err, dir))
	}
}

// Walk implements drivers.StorageDriver.
func (d *Driver) Walk(ctx context.Context, from string, fn drivers.WalkFn, options ...func(*drivers.WalkOptions)) error {
	return drivers.Walk(ctx, d, from, fn, options...)
}

// child describes an entry of a directory, nil if it is not shown.
func (d *Driver) child(path string, mode fs.FileMode) drivers.FileInfo {
	if mode&fs.ModeSymlink != 0 {
		return d.target(path)
	}
	if !isShown(path, mode) {
		return nil
	}
	return &childInfo{root: d.root, path: path, dir: mode.IsDir()}
}

// target describes what the symbolic link at path points to, nil if that is
// nothing to show.
func (d *Driver) target(path string) drivers.FileInfo {
	st, err := os.Stat(d.root + path)
	if err != nil || !isShown(path, st.Mode()) || d.isAbove(st, path) {
		return nil
	}
	info := drivers.FileInfoFields{FullPath: path, Modified: st.ModTime(), Dir: st.IsDir()}
	if !info.Dir {
		info.Bytes = st.Size()
	}
	return info
}

// isAbove reports whether dir is one of the directories that path lies in. A
// walk would go round in it.
func (d *Driver) isAbove(dir fs.FileInfo, path string) bool {
	for dir.IsDir() && path != "/" {
		path = filepath.Dir(path)
		if st, err := os.Stat(d.local(path)); err == nil && os.SameFile(st, dir) {
			return true
		}
	}
	return false
}

// childInfo is an entry of a directory that looks for its size and time once
// it is asked.
type childInfo struct {
	root, path string
	dir        bool

	once  sync.Once // guards the following
	size  int64
	mtime time.Time
}

var _ drivers.FileInfo = (*childInfo)(nil)

// Path implements drivers.FileInfo.
func (c *childInfo) Path() string { return c.path }

// IsDir implements drivers.FileInfo.
func (c *childInfo) IsDir() bool { return c.dir }

// Size implements drivers.FileInfo.
func (c *childInfo) Size() int64 {
	if c.dir {
		return 0
	}
	c.once.Do(c.stat)
	return c.size
}

// ModTime implements drivers.FileInfo.
func (c *childInfo) ModTime() time.Time {
	c.once.Do(c.stat)
	return c.mtime
}

func (c *childInfo) stat() {
	var st unix.Stat_t
	_, err := retry(func() (int, error) { return 0, unix.Lstat(c.root+c.path, &st) })
	if err != nil {
		return // gone: that is what size 0 and the zero time say
	}
	c.size, c.mtime = st.Size, time.Unix(st.Mtim.Unix())
}
