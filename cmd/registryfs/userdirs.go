package main

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
)

// defaultStore is the user's own store. It is made when absent.
func defaultStore() (string, error) {
	dir, err := userDir("XDG_DATA_HOME", ".local/share")
	if err != nil {
		return "", fmt.Errorf("find the default store: %w: pass a SOURCE", err)
	}
	dir = filepath.Join(dir, "registryfs", "store")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the default store: %w: pass a SOURCE", err)
	}
	return dir, nil
}

// defaultStateDir is where the state of all mounts of this user is kept.
func defaultStateDir() (string, error) {
	dir, err := userDir("XDG_STATE_HOME", ".local/state")
	if err != nil {
		return "", err
	}
	dir = filepath.Join(dir, "registryfs")
	return dir, os.MkdirAll(dir, 0o700)
}

// userDir is one of the user's base directories. The XDG specification wants
// relative values ignored. systemd and fstab run without a HOME.
func userDir(variable, below string) (string, error) {
	if dir := os.Getenv(variable); filepath.IsAbs(dir) {
		return dir, nil
	}
	home := os.Getenv("HOME")
	if !filepath.IsAbs(home) {
		u, err := user.Current()
		if err != nil {
			return "", fmt.Errorf("no home directory: %w", err)
		}
		home = u.HomeDir
	}
	return filepath.Join(home, below), nil
}
