package compat

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"registryfs/scripts/compat/internal/registry"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// serve runs a registry on a storage until the test ends.
func serve(t testing.TB, version release, s storage) *registry.Registry {
	t.Helper()
	r, err := startOn(t.Context(), program(t, version.find), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			logErrors(t, r)
		}
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// logErrors prints what a registry has complained about. That a client asked
// for what is not there yet is no complaint.
func logErrors(t testing.TB, r *registry.Registry) {
	t.Helper()
	for line := range strings.Lines(r.Log()) {
		if !strings.Contains(line, "http.response.status=404") {
			t.Logf("the registry says: %s", strings.TrimSpace(line))
		}
	}
}

// tags asks a registry for the digest of every tag, by "repository:tag".
func tags(t testing.TB, r *registry.Registry) map[string]v1.Hash {
	t.Helper()
	return digests(t, r, tagNames(t, r))
}

// tagNames asks a registry for the tags of all repositories, as
// "repository:tag", sorted.
func tagNames(t testing.TB, r *registry.Registry) []string {
	t.Helper()
	host, err := name.NewRegistry(r.Host)
	if err != nil {
		t.Fatal(err)
	}
	repositories, err := remote.Catalog(t.Context(), host)
	if err != nil {
		t.Fatalf("catalog: %v", err)
	}
	var names []string
	for _, repository := range repositories {
		list, err := remote.List(host.Repo(repository), remote.WithContext(t.Context()))
		if err != nil {
			t.Fatalf("tags of %s: %v", repository, err)
		}
		for _, tag := range list {
			names = append(names, repository+":"+tag)
		}
	}
	slices.Sort(names)
	return names
}

// digests asks a registry for the digests of tags, all of which it must have.
func digests(t testing.TB, r *registry.Registry, names []string) map[string]v1.Hash {
	t.Helper()
	digests := map[string]v1.Hash{}
	for _, tag := range names {
		ref, err := name.NewTag(r.Host + "/" + tag)
		if err != nil {
			t.Fatal(err)
		}
		desc, err := remote.Head(ref, remote.WithContext(t.Context()))
		if err != nil {
			t.Fatalf("digest of %s: %v", tag, err)
		}
		digests[tag] = desc.Digest
	}
	return digests
}

// checkServed pulls all that a registry has and returns its tags.
func checkServed(t testing.TB, r *registry.Registry) map[string]v1.Hash {
	t.Helper()
	served := tags(t, r)
	checkPulled(t, r, served)
	return served
}

// checkPulled pulls everything behind some tags and checks the digests.
func checkPulled(t testing.TB, r *registry.Registry, served map[string]v1.Hash) {
	t.Helper()
	p := puller{host: r.Host, seen: map[string]bool{}}
	for _, tag := range slices.Sorted(maps.Keys(served)) {
		ref, err := name.NewTag(r.Host + "/" + tag)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.manifest(ref.Context().Digest(served[tag].String())); err != nil {
			t.Errorf("pull %s: %v", tag, err)
		}
	}
}

// puller pulls whatever a manifest names, artifacts included. What it has seen
// in a repository it does not pull again.
type puller struct {
	host string
	seen map[string]bool
}

func (p puller) manifest(ref name.Digest) error {
	if p.seen[ref.String()] {
		return nil
	}
	p.seen[ref.String()] = true
	desc, err := remote.Get(ref) // checks the digest
	if err != nil {
		return fmt.Errorf("manifest %s: %w", ref.DigestStr(), err)
	}
	if desc.MediaType.IsIndex() {
		index, err := desc.ImageIndex()
		if err != nil {
			return err
		}
		children, err := partial.Manifests(index)
		if err != nil {
			return err
		}
		for _, child := range children {
			d, err := child.(interface{ Digest() (v1.Hash, error) }).Digest()
			if err != nil {
				return err
			}
			if err := p.manifest(ref.Context().Digest(d.String())); err != nil {
				return err
			}
		}
		return nil
	}
	img, err := desc.Image()
	if err != nil {
		return err
	}
	m, err := img.Manifest()
	if err != nil {
		return err
	}
	for _, blob := range append([]v1.Descriptor{m.Config}, m.Layers...) {
		if err := p.blob(ref.Context(), blob); err != nil {
			return fmt.Errorf("blob %s: %w", blob.Digest, err)
		}
	}
	return nil
}

func (p puller) blob(repository name.Repository, desc v1.Descriptor) error {
	url := fmt.Sprintf("http://%s/v2/%s/blobs/%s", p.host, repository.RepositoryStr(), desc.Digest)
	if p.seen[url] {
		return nil
	}
	p.seen[url] = true
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", resp.Status)
	}
	h := sha256.New()
	size, err := io.Copy(h, resp.Body)
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != desc.Digest.Hex || size != desc.Size {
		return fmt.Errorf("got %d bytes with digest %s, want %d bytes", size, got, desc.Size)
	}
	return nil
}

// checkClients pulls one image with crane and with skopeo and validates it.
func checkClients(t testing.TB, r *registry.Registry, image string) {
	t.Helper()
	crane, skopeo := program(t, crane), program(t, skopeo)
	ref := r.Host + "/" + image
	run(t, crane, "pull", "--format=oci", ref, t.TempDir())
	run(t, crane, "validate", "--remote", ref)
	run(t, skopeo, "--insecure-policy", "copy", "--quiet", "--all", "--src-tls-verify=false", "docker://"+ref, "dir:"+t.TempDir())
}
