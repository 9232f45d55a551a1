package s3

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"registryfs/drivers"
	"registryfs/drivers/base"
)

// Driver is the storage itself. Its methods count on the checks of package
// base; use New.
type Driver struct {
	Parameters
	client *s3.Client
	keys   keyring
	bucket string
	region string
	prefix string // of all keys: "" or a path with a slash at its end

	// answered is set by the first answer that proves the bucket to exist: from
	// then on the 404 of a HEAD, which cannot say more, means the object.
	answered atomic.Bool
	// noConditions is set when the store turns out not to know If-None-Match.
	noConditions atomic.Bool

	partOptions []func(*s3.Options)
	resumes     resumes
	requests    requests
}

// New makes a driver. Nothing is asked of the store yet.
func New(ctx context.Context, p Parameters) (drivers.StorageDriver, error) {
	d, err := newDriver(ctx, p)
	if err != nil {
		return nil, err
	}
	return base.New(base.NewRegulator(d, d.MaxThreads)), nil
}

func newDriver(ctx context.Context, p Parameters) (*Driver, error) {
	p = p.withDefaults()
	if err := p.check(); err != nil {
		return nil, err
	}
	d := &Driver{Parameters: p, bucket: p.Bucket, requests: requests{kinds: map[string]int64{}}}
	client, err := newClient(ctx, p, &d.keys, &d.requests)
	if err != nil {
		return nil, err
	}
	d.client, d.region = client, client.Options().Region
	if p.RootDirectory != "" {
		d.prefix = p.RootDirectory + "/"
	}
	if isPrivate(client) && !p.AllChecksums {
		d.partOptions = append(d.partOptions, unsignedPayload)
	}
	d.resumes.init()
	return d, nil
}

func (p Parameters) withDefaults() Parameters {
	p.RootDirectory = strings.Trim(p.RootDirectory, "/")
	orDefault(&p.ChunkSize, defaultChunkSize)
	orDefault(&p.CopyChunkSize, defaultCopySize)
	orDefault(&p.CopyMaxConcurrent, defaultCopies)
	orDefault(&p.MaxThreads, defaultMaxThreads)
	orDefault(&p.Retries, defaultRetries)
	orDefault(&p.Timeout, defaultTimeout)
	p.MaxThreads = max(p.MaxThreads, minMaxThreads)
	if p.Memory == nil {
		p.Memory = drivers.NewBudget(defaultMemory)
	}
	return p
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// String names the store for messages.
func (d *Driver) String() string { return fmt.Sprintf("s3://%s/%s", d.bucket, d.RootDirectory) }

// Name implements drivers.StorageDriver.
func (d *Driver) Name() string { return driverName }

// IsRemote answers drivers.IsRemote.
func (d *Driver) IsRemote() bool { return true }

// key is where path is in the bucket.
func (d *Driver) key(path string) string { return d.prefix + path[1:] }

// dirKey is what the keys below the directory dir begin with.
func (d *Driver) dirKey(dir string) string {
	if dir == "/" {
		return d.prefix
	}
	return d.key(dir) + "/"
}

// path is the path of a key below the root.
func (d *Driver) path(key string) string { return "/" + key[len(d.prefix):] }
