package main

// The drivers that a configuration can name.
import (
	_ "registryfs/drivers/filesystem"
	_ "registryfs/drivers/inmemory"
	_ "registryfs/drivers/s3"
)
