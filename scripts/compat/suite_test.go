package compat

import (
	"testing"

	"registryfs/drivers"
	_ "registryfs/drivers/filesystem"
	_ "registryfs/drivers/inmemory"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/testsuites"
)

// TestDriverSuite runs the suite that distribution's own drivers have to pass.
func TestDriverSuite(t *testing.T) {
	for _, d := range []struct {
		name       string
		parameters map[string]any
	}{
		{"filesystem", map[string]any{"rootdirectory": t.TempDir()}},
		{"inmemory", nil},
	} {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			testsuites.Driver(t, func() (storagedriver.StorageDriver, error) {
				driver, err := drivers.Create(t.Context(), d.name, d.parameters)
				return adapter{driver}, err
			}, false)
		})
	}
}
