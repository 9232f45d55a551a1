package drivertest

import "registryfs/drivers"

// Fallback returns d without its optional abilities, so that the functions of
// package drivers have to fall back.
func Fallback(d drivers.StorageDriver) drivers.StorageDriver {
	// Of an embedded interface nothing but its own methods is promoted.
	return struct{ drivers.StorageDriver }{d}
}
