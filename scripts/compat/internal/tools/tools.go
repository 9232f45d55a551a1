// Package tools finds the programs that the tests drive. What is a Go program
// is built from its module; what is Debian's has been put there by
// scripts/install.
package tools

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Registry builds distribution's registry v3 and returns its path.
func Registry(ctx context.Context) (string, error) { return goTool(ctx, ".", "registry") }

// Crane builds go-containerregistry's crane and returns its path.
func Crane(ctx context.Context) (string, error) { return goTool(ctx, ".", "crane") }

// Versitygw builds Versity's S3 gateway and returns its path.
func Versitygw(ctx context.Context) (string, error) { return goTool(ctx, "versitygw", "versitygw") }

// goTool builds a tool of a module, that of this package or one in a directory
// below. The working directory may be anywhere in this module. The go command
// keeps the program in its build cache.
func goTool(ctx context.Context, dir, name string) (string, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "tool", "-n", name)
	cmd.Dir = filepath.Join(root, dir)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, stderr.Bytes())
	}
	return strings.TrimSpace(stdout.String()), nil
}

// moduleRoot is the directory of the module that the working directory is in.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}

// DockerRegistry returns the path of Debian's docker-registry 2.8.
func DockerRegistry() (string, error) { return unpacked("usr/bin/docker-registry") }

// Busybox returns the program of Debian's busybox-static.
func Busybox() ([]byte, error) {
	path, err := unpacked("bin/busybox")
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// unpacked returns the path of a file that scripts/install unpacks.
func unpacked(name string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = filepath.Join(os.TempDir(), ".cache")
	}
	path := filepath.Join(cache, "registryfs-tools", filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		return "", errors.Join(err, errors.New("run scripts/install"))
	}
	return path, nil
}
