package fusefs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"registryfs/drivers"
	_ "registryfs/drivers/s3"
	"registryfs/layout/blobcache"
)

// onS3 reports whether the mounts of this run have their stores on the S3 server
// that S3_ENDPOINT names, with the credentials in the AWS_ variables: the command
// scripts/compat/cmd/s3server runs the tests so. The server keeps a bucket as a
// directory in S3_BUCKETS, so that a test can look at what is there.
var onS3 = os.Getenv("S3_ENDPOINT") != ""

// localOnly skips a test that is about a store on a local disk.
func localOnly(t testing.TB, why string) {
	t.Helper()
	if onS3 {
		t.Skip("not on S3: " + why)
	}
}

// s3Bucket is the bucket of all stores of this run. Each is below a prefix of
// its own.
const s3Bucket = "fusefs"

var s3Stores atomic.Int64

// newStore is the directory of a new store, or where the S3 server keeps one.
func newStore(t testing.TB) string {
	t.Helper()
	if !onS3 {
		return t.TempDir()
	}
	bucket := filepath.Join(os.Getenv("S3_BUCKETS"), s3Bucket)
	if err := os.MkdirAll(bucket, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(bucket, fmt.Sprintf("%d-%d", os.Getpid(), s3Stores.Add(1)))
}

// onS3 mounts a store of newStore as the program does: with a cache of blobs,
// and with a directory that keeps times, which all mounts of the store share.
func (c *mountConfig) onS3(t testing.TB) {
	t.Helper()
	prefix, ok := strings.CutPrefix(c.store, filepath.Join(os.Getenv("S3_BUCKETS"), s3Bucket))
	if !ok {
		t.Fatalf("%s is not in the bucket", c.store)
	}
	d, err := drivers.Create(t.Context(), "s3", map[string]any{
		"region": os.Getenv("AWS_REGION"), "regionendpoint": os.Getenv("S3_ENDPOINT"), "forcepathstyle": true,
		"bucket": s3Bucket, "rootdirectory": prefix,
	})
	if err != nil {
		t.Fatal(err)
	}
	cache, err := blobcache.Open(t.TempDir(), 1<<30, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cache.Close(); err != nil {
			t.Error(err)
		}
	})
	c.driver, c.layout.BlobCache = d, cache
	if c.StateDir == "" {
		c.StateDir, c.StoreID = c.store+".state", c.store
	}
}

// plant puts a file into the store, not by way of the mount. What the driver
// allows nobody to put other programs have put there.
func (m *mount) plant(t testing.TB, path string, content []byte) {
	t.Helper()
	if onS3 && drivers.ValidPath("/"+path) {
		if err := m.driver.PutContent(t.Context(), "/"+path, content); err != nil {
			t.Fatal(err)
		}
		return
	}
	path = filepath.Join(m.store, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}
