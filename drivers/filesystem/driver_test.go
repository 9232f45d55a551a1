package filesystem

import (
	"testing"

	"registryfs/drivers"
	"registryfs/drivers/drivertest"
)

func TestDriver(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) drivers.StorageDriver {
		return New(Parameters{RootDirectory: t.TempDir() + "/not/yet/made"})
	})
}
