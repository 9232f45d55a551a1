package compat

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"registryfs/scripts/compat/internal/registry"
	"registryfs/scripts/compat/internal/s3server"
	"registryfs/scripts/compat/internal/tools"
)

// storage is where a registry keeps what it has: a directory or a bucket.
type storage struct {
	dir    string           // its files; those that the S3 server keeps of a bucket
	bucket *s3server.Bucket // nil for a directory
	url    string           // for registryfs, if it is not the bucket's own
}

// config is the storage driver of a registry on s, and its parameters.
func (s storage) config() (driver string, params map[string]any) {
	if s.bucket == nil {
		return "filesystem", map[string]any{"rootdirectory": s.dir}
	}
	return "s3", s.bucket.Params()
}

// source is what registryfs mounts.
func (s storage) source() string {
	switch {
	case s.url != "":
		return s.url
	case s.bucket != nil:
		return s.bucket.URL()
	}
	return s.dir
}

// options are those for mounting s. A bucket gets a cache of its own, so that no
// test finds there what another has read.
func (s storage) options(t testing.TB, options []string) []string {
	if s.bucket == nil {
		return options
	}
	return append([]string{"--cache-dir", t.TempDir()}, options...)
}

// kind is a kind of storage that the scenarios are run on.
type kind struct {
	name  string
	empty func() (storage, error) // makes a new one
}

var (
	onDisk = kind{"disk", func() (storage, error) {
		return storage{dir: filepath.Join(scratch, unique())}, nil
	}}
	onS3 = kind{"s3", func() (storage, error) {
		s, err := s3Server()
		if err != nil {
			return storage{}, err
		}
		b, err := s.Bucket(unique(), "")
		return storage{dir: b.Dir(), bucket: &b}, err
	}}
)

var uniques atomic.Int64

// unique is a name for a new directory or bucket.
func unique() string { return fmt.Sprintf("storage-%d", uniques.Add(1)) }

// onEach runs a test on each kind of storage.
func onEach(t *testing.T, test func(t *testing.T, k kind)) {
	t.Parallel()
	for _, k := range []kind{onDisk, onS3} {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			test(t, k)
		})
	}
}

// emptyStorage is a new storage of that kind.
func emptyStorage(t testing.TB, k kind) storage {
	t.Helper()
	s, err := k.empty()
	need(t, err)
	run(t, "mkdir", "-p", s.dir)
	return s
}

// standardStorage is a copy of what a registry of either version has written,
// for the test to change.
func standardStorage(t testing.TB, k kind, version release) storage {
	t.Helper()
	program(t, version.find)
	s := emptyStorage(t, k)
	from, err := written(k, version)
	if err != nil {
		t.Fatal(err)
	}
	run(t, "cp", "-a", from.dir+"/.", s.dir)
	return s
}

// release is a release of the registry.
type release struct {
	name string
	find func() (string, error)
}

var (
	v3 = release{"v3", registryV3}
	v2 = release{"2.8", registryV2}
)

// writtenStorage holds what registries have written, each made once.
var writtenStorage sync.Map // of a kind's and a release's name: func() (storage, error)

func written(k kind, version release) (storage, error) {
	write, _ := writtenStorage.LoadOrStore(k.name+" "+version.name, sync.OnceValues(func() (storage, error) {
		program, err := version.find()
		if err != nil {
			return storage{}, err
		}
		s, err := k.empty()
		if err != nil {
			return storage{}, err
		}
		return s, writeStandard(program, s)
	}))
	return write.(func() (storage, error))()
}

// s3Server starts the S3 server that all tests share. TestMain stops it.
var s3Server = sync.OnceValues(func() (*s3server.Server, error) {
	program, err := tools.Versitygw(context.Background())
	if err != nil {
		return nil, err
	}
	s, err := s3server.Start(context.Background(), program, filepath.Join(scratch, "s3"))
	sharedServer.Store(s)
	return s, err
})

var sharedServer atomic.Pointer[s3server.Server]

// stopS3Server stops the shared server, if a test has started it.
func stopS3Server() error {
	if s := sharedServer.Load(); s != nil {
		return s.Stop()
	}
	return nil
}

// startOn runs a registry on a storage.
func startOn(ctx context.Context, program string, s storage) (*registry.Registry, error) {
	driver, params := s.config()
	return registry.StartOn(ctx, program, driver, params)
}
