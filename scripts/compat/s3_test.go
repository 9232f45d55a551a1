package compat

import (
	"testing"

	"registryfs/drivers"
	"registryfs/drivers/drivertest"
	"registryfs/scripts/compat/internal/s3server"
)

// newBucket is an empty bucket, or a place below a prefix in one.
func newBucket(t testing.TB, prefix string) s3server.Bucket {
	t.Helper()
	s, err := s3Server()
	need(t, err)
	b, err := s.Bucket(unique(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// s3Driver is our driver on a bucket.
func s3Driver(t testing.TB, params map[string]any) drivers.StorageDriver {
	t.Helper()
	d, err := drivers.Create(t.Context(), "s3", params)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestS3Driver holds the driver against the conformance suite, with all its
// optional abilities and without.
func TestS3Driver(t *testing.T) {
	for _, d := range []struct {
		name, prefix string
		wrap         func(drivers.StorageDriver) drivers.StorageDriver
	}{
		{"plain", "a/b", func(d drivers.StorageDriver) drivers.StorageDriver { return d }},
		{"whole bucket", "", func(d drivers.StorageDriver) drivers.StorageDriver { return d }},
		{"fallback", "fallback", drivertest.Fallback},
	} {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			drivertest.Run(t, func(t *testing.T) drivers.StorageDriver {
				return d.wrap(s3Driver(t, newBucket(t, d.prefix).Params()))
			})
		})
	}
}
