package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"registryfs/drivers/metered"
)

// store is a SOURCE that was understood.
type store struct {
	registryConfig
	source string // what the mount table shows
	origin string // by which it is found again, from any directory

	calls   *metered.Driver // counts what the store is asked for
	network *network        // nil for a local store
}

// registryTree is where a registry keeps all it has, below its root directory.
const registryTree = "docker/registry/v2"

// maxConfigSize keeps a blob that is given as SOURCE from being read whole.
const maxConfigSize = 1 << 20

// findStore understands SOURCE. It makes nothing.
func findStore(source string, environ []string) (store, error) {
	if source == "inmemory:" {
		c := registryConfig{driver: "inmemory", params: map[string]any{}}
		return store{registryConfig: c, source: source}, nil
	}
	if scheme, _, ok := strings.Cut(source, "://"); ok && strings.EqualFold(scheme, "s3") {
		s, err := s3Store(source, environ)
		s.origin = source
		return s, err
	} else if ok {
		return store{}, fmt.Errorf("SOURCE is a URL that begins with %s:// and not with s3://: pass s3://BUCKET/PREFIX, a registry's root directory or its config.yml", scheme)
	}
	info, err := os.Stat(source)
	if errors.Is(err, fs.ErrNotExist) {
		return store{}, fmt.Errorf("SOURCE %q does not exist: pass a registry's root directory or its config.yml, or make an empty store with: mkdir -p %[1]q", source)
	}
	if err != nil {
		return store{}, fmt.Errorf("SOURCE: %w", err)
	}
	if source, err = filepath.Abs(source); err != nil {
		return store{}, err
	}
	switch {
	case info.IsDir():
		return directoryStore(source)
	case info.Mode().IsRegular():
		return configuredStore(source, environ)
	}
	return store{}, fmt.Errorf("SOURCE %q is neither a directory nor a file: pass a registry's root directory or its config.yml", source)
}

func directoryStore(dir string) (store, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return store{}, fmt.Errorf("SOURCE: %w", err)
	}
	if root, inside := rootAbove(dir); inside {
		return store{}, fmt.Errorf("SOURCE %q is inside a registry's storage: pass its root directory, %q", dir, root)
	}
	if _, err := os.Stat(filepath.Join(dir, ".registryfs", "stats")); err == nil {
		return store{}, fmt.Errorf("SOURCE %q is a mount of registryfs: pass the store that is mounted there", dir)
	}
	c := registryConfig{driver: "filesystem", params: map[string]any{"rootdirectory": dir}}
	return store{registryConfig: c, source: dir}, nil
}

// rootAbove finds the root directory of the registry that dir is a part of.
func rootAbove(dir string) (root string, inside bool) {
	if isDir(filepath.Join(dir, registryTree)) {
		return "", false // a root itself, wherever it lies
	}
	if before, _, ok := strings.Cut(dir+"/", "/"+registryTree+"/"); ok {
		return rootOrSlash(before), true
	}
	for _, part := range []string{"/docker", "/docker/registry"} {
		before, ok := strings.CutSuffix(dir, part)
		if ok && isDir(before+"/"+registryTree) {
			return rootOrSlash(before), true
		}
	}
	return "", false
}

func rootOrSlash(dir string) string {
	if dir == "" {
		return "/"
	}
	return dir
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

func configuredStore(name string, environ []string) (store, error) {
	text, err := readConfig(name)
	if err != nil {
		return store{}, err
	}
	c, err := parseConfig(text, environ)
	if err != nil {
		return store{}, fmt.Errorf("%s: %w", name, err)
	}
	s := store{registryConfig: c, source: name, origin: name}
	if err := s.resolveRoot(); err != nil {
		return store{}, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

func readConfig(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfigSize+1))
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if len(text) > maxConfigSize {
		return nil, fmt.Errorf("%s is too large for a registry's config.yml", name)
	}
	return text, nil
}

// root is the local directory of the store, or "" if it has none.
func (s store) root() string {
	if s.driver != "filesystem" {
		return ""
	}
	if root, ok := s.params["rootdirectory"]; ok {
		return fmt.Sprint(root)
	}
	return "/var/lib/registry" // the driver's default
}

// resolveRoot makes the root directory absolute: a daemon works in another
// directory. One that does not exist is more often a configuration for another
// machine or container than a new store.
func (s store) resolveRoot() error {
	root := s.root()
	if root == "" {
		return nil
	}
	abs, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	if abs, err = filepath.EvalSymlinks(abs); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("storage.filesystem.rootdirectory is %q, which does not exist on this machine: make it, or set REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY to where the store is", root)
	} else if err != nil {
		return fmt.Errorf("storage.filesystem.rootdirectory: %w", err)
	}
	if !isDir(abs) {
		return fmt.Errorf("storage.filesystem.rootdirectory is %q, which is not a directory", root)
	}
	s.params["rootdirectory"] = abs
	return nil
}

// holdsSomethingElse reports that the store's directory is neither empty nor a
// registry's.
func (s store) holdsSomethingElse() bool {
	if s.root() == "" || isDir(filepath.Join(s.root(), registryTree)) {
		return false
	}
	entries, err := os.ReadDir(s.root())
	return err == nil && len(entries) > 0
}
