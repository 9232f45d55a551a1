package s3

import (
	"testing"

	"registryfs/drivers"
	"registryfs/drivers/drivertest"
)

func TestDriver(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) drivers.StorageDriver { return newFakeStore(t).wrapped(nil) })
}
