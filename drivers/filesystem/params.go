package filesystem

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"registryfs/drivers"
	"registryfs/drivers/base"
)

const (
	driverName           = "filesystem"
	defaultRootDirectory = "/var/lib/registry"
	defaultMaxThreads    = 100
	minMaxThreads        = 25
)

func init() {
	drivers.Register(driverName, func(_ context.Context, params map[string]any) (drivers.StorageDriver, error) {
		return FromParameters(params)
	})
}

// Parameters are the settings of a driver.
type Parameters struct {
	RootDirectory string // "" is /var/lib/registry
	MaxThreads    uint64 // 0 is 100; less than 25 is 25
}

// FromParameters makes a driver from the entry of a registry's configuration.
// Parameters it does not know are ignored, as the registry does.
func FromParameters(params map[string]any) (drivers.StorageDriver, error) {
	p := Parameters{}
	if root, ok := params["rootdirectory"]; ok && root != nil {
		p.RootDirectory = fmt.Sprint(root)
		if p.RootDirectory == "" {
			return nil, errors.New("filesystem: rootdirectory is empty")
		}
	}
	threads, err := base.GetLimitFromParameter(params["maxthreads"], minMaxThreads, defaultMaxThreads)
	if err != nil {
		return nil, fmt.Errorf("filesystem: maxthreads: %w", err)
	}
	p.MaxThreads = threads
	return New(p), nil
}

// New makes a driver. A relative root is relative to the working directory of
// this moment. Nothing is looked at or made yet.
func New(p Parameters) drivers.StorageDriver {
	if p.MaxThreads == 0 {
		p.MaxThreads = defaultMaxThreads
	}
	d := newDriver(p.RootDirectory)
	return base.New(base.NewRegulator(d, max(p.MaxThreads, minMaxThreads)))
}

func newDriver(root string) *Driver {
	if root == "" {
		root = defaultRootDirectory
	}
	// Abs fails only without a working directory; the root then stays relative
	// to whatever there is.
	if abs, err := filepath.Abs(root); err == nil {
		root = abs
	}
	return &Driver{root: strings.TrimSuffix(root, "/"), dirs: newDirs()}
}
