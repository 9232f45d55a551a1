package compat

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"registryfs/scripts/compat/internal/images"
	"registryfs/scripts/compat/internal/registry"
	"registryfs/scripts/compat/internal/store"
	"registryfs/scripts/compat/internal/tools"
)

// writeStandard pushes the standard images through a registry; skopeo, where it
// is installed, adds docker images that it has converted.
func writeStandard(program string, s storage) (err error) {
	pushes, err := standardImages()
	if err != nil {
		return err
	}
	r, err := startOn(context.Background(), program, s)
	if err != nil {
		return err
	}
	defer func() {
		if stopErr := r.Stop(); err == nil {
			err = stopErr
		}
	}()
	if err := images.PushAll(r.Client(context.Background()), pushes); err != nil {
		return err
	}
	return convert(r)
}

// convert has skopeo push docker's formats, a list of manifests among them.
func convert(r *registry.Registry) error {
	skopeo, err := skopeo()
	if err != nil {
		return nil // the tests that need it say so
	}
	for _, c := range []struct{ from, to string }{
		{"team/app:1.2", "team/skopeo:schema2"},
		{"team/multi:2.0", "team/skopeo:list"},
	} {
		cmd := exec.Command(skopeo, "--insecure-policy", "copy", "--quiet", "--all", "--format=v2s2",
			"--src-tls-verify=false", "--dest-tls-verify=false", "docker://"+r.Host+"/"+c.from, "docker://"+r.Host+"/"+c.to)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("skopeo copy %s: %w\n%s", c.from, err, out)
		}
	}
	return nil
}

var standardImages = sync.OnceValues(func() ([]images.Push, error) {
	busybox, err := tools.Busybox()
	if err != nil {
		return nil, err
	}
	return images.Standard(busybox)
})

// TestStoreAsRegistriesWriteIt holds package store, which the benchmarks and
// the demo rely on, against the trees of both registries.
func TestStoreAsRegistriesWriteIt(t *testing.T) {
	t.Parallel()
	pushes, err := standardImages()
	need(t, err)
	direct := t.TempDir()
	if err := images.PushAll(store.New(direct), pushes); err != nil {
		t.Fatal(err)
	}
	for _, r := range []release{v3, v2} {
		t.Run(r.name, func(t *testing.T) {
			s := emptyStorage(t, onDisk)
			server := serve(t, r, s)
			if err := images.PushAll(server.Client(t.Context()), pushes); err != nil {
				t.Fatal(err)
			}
			mustMatch(t, direct, s.dir)
		})
	}
}

// TestGeneratedStore pulls all of a generated store from a registry.
func TestGeneratedStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := store.New(dir)
	sizes := store.Sizes{Repositories: 6, Tags: 12, Moved: 5, Images: 4, Layers: 3, LayerBytes: 1000, Seed: 7}
	if err := s.Generate(sizes); err != nil {
		t.Fatal(err)
	}
	if err := s.PushBig("big/image", "1", 3<<20, 7); err != nil {
		t.Fatal(err)
	}
	r := serve(t, v3, storage{dir: dir})
	served := checkServed(t, r)
	if got, want := len(served), 6*12+1; got != want {
		t.Errorf("the registry serves %d tags, want %d", got, want)
	}
	for _, image := range []string{"service-000:1.0.0", "service-000:latest", "big/image:1"} {
		checkClients(t, r, image)
	}

	again := t.TempDir()
	if err := store.New(again).Generate(sizes); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"repositories/service-000", "repositories/team-1"} {
		tree := filepath.Join("docker", "registry", "v2", name)
		mustMatch(t, filepath.Join(dir, tree), filepath.Join(again, tree))
	}
}

// TestCorruptStore sees that the broken content leaves the rest alone.
func TestCorruptStore(t *testing.T) {
	t.Parallel()
	s := standardStorage(t, onDisk, v3)
	r := serve(t, v3, s)
	planted, err := store.New(s.dir).Corrupt()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range planted {
		if _, err := os.Lstat(filepath.Join(s.dir, p.Path)); err != nil {
			t.Errorf("%s: %v", p.What, err)
		}
	}
	checkClients(t, r, "library/busybox:latest")
}
