package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"registryfs/scripts/compat/internal/proxy"
	"registryfs/scripts/compat/internal/raw"
	"registryfs/scripts/compat/internal/s3server"
	"registryfs/scripts/compat/internal/store"
	"registryfs/scripts/compat/internal/tools"

	"golang.org/x/sync/errgroup"
)

// How far away the far server is.
const (
	farDelay = 20 * time.Millisecond
	farRate  = 90_000_000 // bytes a second, of one answer
)

// s3Env is what the tasks on S3 share: one server with its buckets, and what
// each of the contenders had resident at most.
type s3Env struct {
	*bench
	server  *s3server.Server
	rawPath string // the program
	far     *proxy.Proxy
	peers   []*peer
	stores  map[string]*s3Store
	highest map[string]resident
	header  bool
	seen    map[string]int // requests, by operation
}

// resident is the most that a program had resident, in MB, and in which task.
type resident struct {
	mb   float64
	task string
}

// s3Store is a bucket with a registry's store.
type s3Store struct {
	bucket  s3server.Bucket
	tree    string // the same store as a directory
	objects []object
	bytes   int64
	dirs    int
}

// s3 starts the server when it is first needed.
func (b *bench) s3(ctx context.Context) (*s3Env, error) {
	if b.s3env != nil {
		return b.s3env, nil
	}
	for _, v := range append(s3server.Environ(), "AWS_EC2_METADATA_DISABLED=true") {
		name, value, _ := strings.Cut(v, "=")
		if err := os.Setenv(name, value); err != nil { // for the mounts
			return nil, err
		}
	}
	b.log("building the S3 server ...")
	if err := os.Chdir(filepath.Join(b.root, "scripts", "compat")); err != nil { // tools looks for it there
		return nil, err
	}
	program, err := tools.Versitygw(ctx)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(b.work, "s3")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	e := &s3Env{bench: b, stores: map[string]*s3Store{}, highest: map[string]resident{}}
	if e.server, err = s3server.Start(ctx, program, dir); err != nil {
		return nil, err
	}
	b.s3env = e // close ends the rest of it
	if e.far, err = proxy.Start(proxy.Options{Target: e.server.Endpoint(), Delay: farDelay, Rate: farRate}); err != nil {
		return nil, err
	}
	if e.rawPath, err = b.build(ctx, filepath.Join(b.root, "scripts", "compat"), "./cmd/raw"); err != nil {
		return nil, err
	}
	if b.withPeers {
		e.peers = b.findPeers(ctx)
	}
	return e, nil
}

// withS3 is a task on the server, and withStore one on a store in it.
func withS3(run func(*s3Env, context.Context) error) func(*bench, context.Context) error {
	return func(b *bench, ctx context.Context) error {
		e, err := b.s3(ctx)
		if err != nil {
			return err
		}
		return run(e, ctx)
	}
}

func withStore(store func(*s3Env, context.Context) (*s3Store, error), run func(*s3Env, context.Context, *s3Store) error) func(*bench, context.Context) error {
	return withS3(func(e *s3Env, ctx context.Context) error {
		s, err := store(e, ctx)
		if err != nil {
			return err
		}
		return run(e, ctx, s)
	})
}

// close ends the server.
func (e *s3Env) close() error {
	var err error
	if e.far != nil {
		err = e.far.Close()
	}
	return errors.Join(err, e.server.Stop())
}

// endpoint is the server, near or far.
func (e *s3Env) endpoint(far bool) string {
	if far {
		return e.far.URL()
	}
	return e.server.Endpoint()
}

// store makes a store and its bucket when it is first needed.
func (e *s3Env) store(ctx context.Context, name string, generate func(*store.Store) error) (*s3Store, error) {
	if s := e.stores[name]; s != nil {
		return s, nil
	}
	s := &s3Store{tree: filepath.Join(e.work, "s3-"+name)}
	if err := generate(store.New(s.tree)); err != nil {
		return nil, err
	}
	// Nothing in a bucket is an empty directory.
	if _, err := measure(ctx, self, "find", s.tree, "-type", "d", "-empty", "-delete"); err != nil {
		return nil, err
	}
	err := filepath.WalkDir(s.tree, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			s.dirs++
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		key, err := filepath.Rel(s.tree, path)
		s.objects = append(s.objects, object{key, info.Size()})
		s.bytes += info.Size()
		return err
	})
	if err != nil {
		return nil, err
	}
	if s.bucket, err = e.server.Bucket(name, ""); err != nil {
		return nil, err
	}
	start := time.Now()
	client := raw.New(e.server.Endpoint(), name)
	var g errgroup.Group
	g.SetLimit(8)
	for _, o := range s.objects {
		g.Go(func() error { return client.Put(ctx, o.key, filepath.Join(s.tree, o.key)) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	e.log("bucket %s: %s, loaded in %.0f s", name, s, time.Since(start).Seconds())
	e.stores[name] = s
	return s, e.sync(ctx)
}

// object is one of a store.
type object struct {
	key  string
	size int64
}

// String says how large the store is.
func (s *s3Store) String() string {
	return fmt.Sprintf("%d objects in %d directories, %.0f MB", len(s.objects), s.dirs, float64(s.bytes)/1e6)
}

// large is the largest object.
func (s *s3Store) large() object {
	var largest object
	for _, o := range s.objects {
		if o.size > largest.size {
			largest = o
		}
	}
	return largest
}

func (e *s3Env) medium(ctx context.Context) (*s3Store, error) {
	return e.store(ctx, "medium", func(s *store.Store) error { return s.Generate(e.sizes.medium) })
}

func (e *s3Env) small(ctx context.Context) (*s3Store, error) {
	return e.store(ctx, "small", func(s *store.Store) error {
		for i, mib := range e.sizes.s3Layers {
			if err := s.PushBig("big/image", fmt.Sprint(i), mib<<20, uint64(i)); err != nil {
				return err
			}
		}
		return s.Generate(e.sizes.s3Small)
	})
}

func (e *s3Env) big(ctx context.Context) (*s3Store, error) {
	return e.store(ctx, "big", func(s *store.Store) error { return s.PushBig("big/image", "latest", e.bigMiB<<20, 1) })
}
