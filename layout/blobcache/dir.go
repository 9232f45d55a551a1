package blobcache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

const (
	partSuffix = ".part"
	sumsSuffix = ".map"
)

const remedy = "name another one with --cache-dir, or none"

// prepare makes the directory and what is fixed in it, and refuses one that
// others could put content into.
func prepare(dir string) (root string, err error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return "", fmt.Errorf("make the cache directory: %w: %s", err, remedy)
	}
	root = filepath.Join(dir, "v1")
	for _, d := range []string{dir, root, filepath.Join(root, string(digest.SHA256))} {
		if err := os.Mkdir(d, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", fmt.Errorf("make the cache directory: %w: %s", err, remedy)
		}
		if err := checkPrivate(d); err != nil {
			return "", err
		}
	}
	return root, nil
}

func checkPrivate(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("cache directory: %w", err)
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return fmt.Errorf("cache directory %s is a symbolic link, which others may change: name what it points to", dir)
	}
	if !info.IsDir() {
		return fmt.Errorf("cache directory %s is not a directory: %s", dir, remedy)
	}
	if st := info.Sys().(*syscall.Stat_t); int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("cache directory %s belongs to user %d, who could change what is read from it: %s", dir, st.Uid, remedy)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("cache directory %s can be written by others (mode %04o): chmod 700 it, or %s", dir, info.Mode().Perm(), remedy)
	}
	return nil
}

// path is where the whole blob is; suffixes are added to it.
func (c *Cache) path(d digest.Digest) string {
	hex := d.Encoded()
	return filepath.Join(c.root, string(d.Algorithm()), hex[:2], hex)
}

// tryLock takes a file's lock if nobody has it.
func tryLock(f *os.File) bool { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil }

// isAt reports whether f is still the file of that name.
func isAt(f *os.File, path string) bool {
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Lstat(path)
	return err == nil && os.SameFile(a, b)
}

// room is what a file really takes, in bytes: a .part has holes.
func room(st *syscall.Stat_t) int64 { return st.Blocks * 512 }
