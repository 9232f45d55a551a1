package layout

import "registryfs/drivers"

// Histogram and Durations are those of package drivers, for a package that may
// not know it.
type (
	Histogram = drivers.Histogram
	Durations = drivers.Durations
)
