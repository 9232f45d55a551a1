package compat

import (
	"strings"
	"testing"

	"registryfs/drivers"
	_ "registryfs/drivers/filesystem"
	_ "registryfs/drivers/inmemory"
	_ "registryfs/drivers/s3"

	storagedriver "github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/testsuites"
)

// TestDriverSuite runs the suite that distribution's own drivers have to pass.
func TestDriverSuite(t *testing.T) {
	for _, d := range []struct {
		name       string
		parameters func(t *testing.T) map[string]any
	}{
		{"filesystem", func(t *testing.T) map[string]any { return map[string]any{"rootdirectory": t.TempDir()} }},
		{"inmemory", func(t *testing.T) map[string]any { return nil }},
		{"s3", func(t *testing.T) map[string]any { return newBucket(t, "suite").Params() }},
		{"s3 without a rootdirectory", func(t *testing.T) map[string]any { return newBucket(t, "").Params() }},
	} {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			name, _, _ := strings.Cut(d.name, " ")
			parameters := d.parameters(t)
			testsuites.Driver(t, func() (storagedriver.StorageDriver, error) {
				driver, err := drivers.Create(t.Context(), name, parameters)
				return adapter{driver}, err
			}, false)
		})
	}
}
