package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"registryfs/fusefs"
)

// prepareMountpoint returns the mount point's real path, ready to be mounted on.
// What a killed process has left there is cleared.
func (m mounting) prepareMountpoint(name string) (string, error) {
	dir, err := realPath(name)
	if m.mkdir && errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(name, 0o755); err != nil {
			return "", fmt.Errorf("make the mount point: %w", err)
		}
		dir, err = realPath(name)
	}
	if err != nil {
		return "", mountpointError(name, err)
	}
	if fusefs.IsDead(dir) {
		if err := clearDead(dir); err != nil {
			return "", err
		}
		m.log.Warn("cleared the mount that a killed process had left behind", "mountpoint", dir)
	}
	mounted, err := fusefs.IsMounted(dir)
	if err != nil {
		return "", err
	}
	if mounted {
		return "", fmt.Errorf("there is a registryfs on %q already: unmount it first, with: registryfs umount %[1]q", dir)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return "", mountpointError(name, err)
	}
	if !info.IsDir() {
		return "", fmt.Errorf("mount point %q is a file: pass a directory, after the SOURCE if there is one", name)
	}
	if isDir(filepath.Join(dir, registryTree)) {
		return "", fmt.Errorf("mount point %q is a registry's root directory, which the mount would hide: pass it as SOURCE, and an empty directory after it", name)
	}
	return dir, nil
}

func clearDead(dir string) error {
	ours, err := fusefs.IsMounted(dir)
	if err != nil {
		return err
	}
	if !ours {
		return fmt.Errorf("on %q is what a killed process of another file system has left behind: clear it with: umount -l %[1]q", dir)
	}
	if err := fusefs.ClearDead(dir); err != nil {
		return fmt.Errorf("clear the mount that a killed process has left behind on %s: %w", dir, err)
	}
	return nil
}

func mountpointError(name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("mount point %q does not exist: make it with: mkdir -p %[1]q", name)
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("mount point %q lies below a file: pass a directory", name)
	}
	return fmt.Errorf("mount point: %w", err)
}

// realPath follows symbolic links. It does not look at the last component if
// that is a dead mount, which answers nothing, or one of another user's, which
// does not answer root either.
func realPath(name string) (string, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(abs)
	if !errors.Is(err, syscall.ENOTCONN) && !errors.Is(err, fs.ErrPermission) {
		return real, err
	}
	if target, linkErr := os.Readlink(abs); linkErr == nil {
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(abs), target)
		}
		abs = target
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(abs))
	return filepath.Join(parent, filepath.Base(abs)), err
}

// checkApart refuses a mount point in whose way something of the server's own
// is: a server that reads through its own mount waits for itself, for ever.
func checkApart(mountpoint string, s store, o *options) error {
	if root := s.root(); root != "" && (within(root, mountpoint) || within(mountpoint, root)) {
		return fmt.Errorf("the store %q and the mount point %q lie within each other: mount somewhere else", root, mountpoint)
	}
	for _, own := range []struct{ what, dir string }{
		{"--state-dir", o.stateDir},
		{"--spool-dir", o.spoolDir},
		{"--cache-dir", o.cacheDir},
		{"--log-file", o.logFile},
	} {
		if own.dir == "" {
			continue
		}
		if real, err := filepath.EvalSymlinks(own.dir); err == nil && within(real, mountpoint) {
			return fmt.Errorf("%s %q lies below the mount point %q, which would hide it: choose another", own.what, own.dir, mountpoint)
		}
	}
	return nil
}

// within reports whether dir is outer or below it.
func within(dir, outer string) bool {
	return dir == outer || strings.HasPrefix(dir, strings.TrimSuffix(outer, "/")+"/")
}
