package drivers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Factory makes a driver from its parameters, which are those of the driver's
// entry in the storage section of a registry's configuration.
type Factory func(ctx context.Context, params map[string]any) (StorageDriver, error)

var (
	factoriesMu sync.RWMutex // guards the following
	factories   = map[string]Factory{}
)

// Register makes a driver available to Create. It is called from init and
// panics if f is nil or the name is taken.
func Register(name string, f Factory) {
	if f == nil {
		panic(fmt.Sprintf("drivers: Register(%q) with a nil factory", name))
	}
	factoriesMu.Lock()
	defer factoriesMu.Unlock()
	if _, taken := factories[name]; taken {
		panic(fmt.Sprintf("drivers: Register(%q) called twice", name))
	}
	factories[name] = f
}

// Create makes the driver registered under name. For an unknown name the error
// is an InvalidStorageDriverError.
func Create(ctx context.Context, name string, params map[string]any) (StorageDriver, error) {
	factoriesMu.RLock()
	f, ok := factories[name]
	factoriesMu.RUnlock()
	if !ok {
		return nil, InvalidStorageDriverError{Name: name}
	}
	return f(ctx, params)
}

// Names returns the names of all registered drivers, sorted.
func Names() []string {
	factoriesMu.RLock()
	defer factoriesMu.RUnlock()
	return slices.Sorted(maps.Keys(factories))
}
