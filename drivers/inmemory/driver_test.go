package inmemory_test

import (
	"testing"

	"registryfs/drivers"
	"registryfs/drivers/drivertest"
	"registryfs/drivers/inmemory"
)

func TestDriver(t *testing.T) {
	drivertest.Run(t, func(*testing.T) drivers.StorageDriver { return inmemory.New() })
}
