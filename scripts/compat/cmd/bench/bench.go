package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"registryfs/scripts/compat/internal/store"
)

// bench is one run of the program.
type bench struct {
	options
	sizes
	work       string // everything that is made lies below it
	registryfs string // the programs
	floor      string
	dirs       []string // made by newDir
	s3env      *s3Env   // nil until a task needs it
	begun      bool     // the table of what is not on S3

	out, progress io.Writer
}

// sizes are how much there is to do.
type sizes struct {
	bigMiB       int64
	medium       store.Sizes
	tagged       store.Sizes
	manyTags     store.Sizes
	files        []int // of one directory
	settle       time.Duration
	puts, copies int // a run
	opens        int // a run

	s3Small  store.Sizes
	s3Layers []int64 // further ones, in MiB
	s3PutMiB int64
	s3Reads  int // of 64 KiB, a run
	s3Firsts int // files opened, a run
}

var fullSizes = sizes{
	bigMiB:   1024,
	medium:   store.Sizes{Repositories: 60, Tags: 50, Moved: 50, Images: 9, Layers: 3, LayerBytes: 16 << 10, Seed: 1},
	tagged:   store.Sizes{Repositories: 200, Tags: 200, Images: 9, Layers: 3, LayerBytes: 1 << 10, Seed: 2},
	manyTags: store.Sizes{Repositories: 200, Tags: 500, Images: 2, Layers: 2, LayerBytes: 1 << 10, Seed: 3},
	files:    []int{100_000, 1_000_000},
	settle:   time.Minute,
	puts:     100,
	copies:   40,
	opens:    20_000,
	s3Small:  store.Sizes{Repositories: 20, Tags: 20, Moved: 20, Images: 9, Layers: 3, LayerBytes: 16 << 10, Seed: 1},
	s3Layers: []int64{64, 12, 12, 12, 12, 12, 12},
	s3PutMiB: 256,
	s3Reads:  100,
	s3Firsts: 60,
}

var quickSizes = sizes{
	bigMiB:   16,
	medium:   store.Sizes{Repositories: 3, Tags: 4, Moved: 2, Images: 2, Layers: 2, LayerBytes: 1 << 10, Seed: 1},
	tagged:   store.Sizes{Repositories: 3, Tags: 10, Images: 2, Layers: 2, LayerBytes: 1 << 10, Seed: 2},
	manyTags: store.Sizes{Repositories: 3, Tags: 20, Images: 2, Layers: 2, LayerBytes: 1 << 10, Seed: 3},
	files:    []int{1_000},
	settle:   time.Second,
	puts:     5,
	copies:   3,
	opens:    200,
	s3Small:  store.Sizes{Repositories: 3, Tags: 4, Moved: 2, Images: 2, Layers: 2, LayerBytes: 1 << 10, Seed: 1},
	s3Layers: []int64{2},
	s3PutMiB: 20,
	s3Reads:  5,
	s3Firsts: 3,
}

func newBench(ctx context.Context, o options) (_ *bench, err error) {
	b := &bench{options: o, sizes: fullSizes, out: os.Stdout, progress: os.Stderr}
	if o.quick {
		b.sizes = quickSizes
	}
	if b.work, err = os.MkdirTemp(o.dir, "registryfs-bench-"); err != nil {
		return nil, err
	}
	if b.work, err = filepath.Abs(b.work); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	// The ordinary user comes here too.
	if err := os.Chmod(b.work, 0o755); err != nil {
		return nil, err
	}
	b.log("building ...")
	if b.registryfs, err = b.build(ctx, o.root, "./cmd/registryfs"); err != nil {
		return nil, err
	}
	b.floor, err = b.build(ctx, filepath.Join(o.root, "scripts", "compat"), "./cmd/floor")
	return b, err
}

func (b *bench) build(ctx context.Context, module, pkg string) (string, error) {
	program := filepath.Join(b.work, filepath.Base(pkg))
	cmd := exec.CommandContext(ctx, "go", "build", "-o", program, pkg)
	cmd.Dir = module
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out.Bytes())
	}
	return program, nil
}

// newDir makes an empty directory.
func (b *bench) newDir(name string) (string, error) {
	dir := filepath.Join(b.work, fmt.Sprintf("%02d-%s", len(b.dirs), name))
	b.dirs = append(b.dirs, dir)
	return dir, os.Mkdir(dir, 0o755)
}

// removeDirs makes place for the next task.
func (b *bench) removeDirs(ctx context.Context) error {
	var errs []error
	for _, dir := range b.dirs {
		errs = append(errs, os.RemoveAll(dir))
	}
	return errors.Join(append(errs, b.sync(ctx))...)
}

// newStore makes a store of generated repositories, written back to disk.
func (b *bench) newStore(ctx context.Context, name string, sz store.Sizes) (string, error) {
	dir, err := b.newDir(name)
	if err != nil {
		return "", err
	}
	if err := store.New(dir).Generate(sz); err != nil {
		return "", err
	}
	return dir, b.sync(ctx)
}

// sync writes back what was written, so that it disturbs nothing that is
// measured next.
func (b *bench) sync(ctx context.Context) error {
	_, err := measure(ctx, self, "sync", "-f", b.work)
	return err
}

func (b *bench) log(format string, args ...any) {
	fmt.Fprintf(b.progress, "bench: "+format+"\n", args...)
}

func (b *bench) close() error {
	var err error
	if b.s3env != nil {
		err = b.s3env.close()
	}
	return errors.Join(err, os.RemoveAll(b.work))
}
