package compat

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"registryfs/scripts/compat/internal/images"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// TestViews looks at info/ while a client pushes to a registry on the same
// storage: tags that move, and what refers to images.
func TestViews(t *testing.T) { onEach(t, testViews) }

func testViews(t *testing.T, k kind) {
	s := emptyStorage(t, k)
	r := serve(t, v3, s)
	mnt := mount(t, s)
	client := r.Client(t.Context())
	push := func(c *images.Content, tag string) {
		t.Helper()
		if err := client.Push("team/app", tag, c); err != nil {
			t.Fatal(err)
		}
	}
	info := func(below ...string) string {
		return filepath.Join(append([]string{mnt, "info", "team", "app"}, below...)...)
	}
	one, two := newImage(t, "one"), newImage(t, "two")
	push(one, "latest")
	time.Sleep(1100 * time.Millisecond) // the history counts in seconds
	push(two, "latest")

	t.Run("roll back", func(t *testing.T) {
		entries := ls(t, info("_history", "latest"))
		if len(entries) != 2 || !strings.HasSuffix(entries[0], "-sha256-"+one.Digest().Hex) || !strings.HasSuffix(entries[1], "-sha256-"+two.Digest().Hex) {
			t.Fatalf("_history/latest = %q, want %s, then %s", entries, one.Digest(), two.Digest())
		}
		run(t, "cp", info("_history", "latest", entries[0]), tagFile(mnt, "team/app:latest"))
		if got := tags(t, r)["team/app:latest"]; got != one.Digest() {
			t.Errorf("the registry has team/app:latest at %s, want %s", got, one.Digest())
		}
		checkClients(t, r, "team/app:latest")
	})

	t.Run("descriptors", func(t *testing.T) {
		var d struct {
			Digest, MediaType string
			Platforms         []string
			Size, TotalSize   int64
			Tagged            time.Time
		}
		text := run(t, "cat", info("_descriptors", "latest"))
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		total := int64(len(one.Manifest))
		for _, b := range one.Blobs {
			total += b.Size
		}
		if d.Digest != one.Digest().String() || d.MediaType != string(one.Type) || !slices.Equal(d.Platforms, []string{"linux/amd64"}) ||
			d.Size != int64(len(one.Manifest)) || d.TotalSize != total || d.Tagged.IsZero() {
			t.Errorf("the descriptor is %s, want %s of %d bytes, %d in all", text, one.Digest(), len(one.Manifest), total)
		}
		if fi, err := os.Stat(info("_descriptors", "latest")); err != nil || fi.Size() != int64(len(text)) {
			t.Errorf("stat of the descriptor = %v, %v, it has %d bytes", fi, err, len(text))
		}
	})

	t.Run("referrers", func(t *testing.T) {
		dir := info("_referrers", "sha256", one.Digest().Hex)
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s is there before anything refers to the image", dir)
		}
		sbom, err := images.Artifact(one, images.NewBlob("application/spdx+json", []byte(`{"name":"one"}`)))
		if err != nil {
			t.Fatal(err)
		}
		signature, err := images.Signature(one)
		if err != nil {
			t.Fatal(err)
		}
		push(sbom, "") // crane adds it to the index of the fallback tag
		push(signature, images.FallbackTag(one)+".sig")
		want := slices.Sorted(slices.Values([]string{sbom.Digest().Hex, signature.Digest().Hex}))
		var got []string
		for deadline := time.Now().Add(30 * time.Second); !slices.Equal(got, want) && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
			got, _ = readNames(dir)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("what refers to the image = %q, want %q", got, want)
		}
		for i, digest := range sha256sum(t, filepath.Join(dir, got[0]), filepath.Join(dir, got[1])) {
			if digest != "sha256:"+got[i] {
				t.Errorf("sha256sum of %s = %s", got[i], digest)
			}
		}
		checkReferrers(t, r.Host+"/team/app@"+one.Digest().String(), sbom.Digest().String())

		// What is written through the mount is there at once.
		sbom, err = images.Artifact(one, images.NewBlob("application/vnd.cyclonedx+json", []byte(`{"name":"one"}`)))
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range sbom.Blobs {
			run(t, "cp", tempFile(t, b.Data), repository(mnt, "team/app", "_blobs", "sha256", b.Digest.Hex))
		}
		run(t, "cp", tempFile(t, sbom.Manifest), repository(mnt, "team/app", "_manifests", "sha256", sbom.Digest().Hex))
		if got := ls(t, dir); len(got) != 3 || !slices.Contains(got, sbom.Digest().Hex) {
			t.Errorf("what refers to the image = %q, want %s too", got, sbom.Digest())
		}
	})
}

// checkReferrers asks a client for what refers to an image, which a registry
// without that API tells by the fallback tag.
func checkReferrers(t testing.TB, image, want string) {
	t.Helper()
	ref, err := name.NewDigest(image)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Referrers(ref, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	m, err := index.IndexManifest()
	if err != nil || len(m.Manifests) != 1 || m.Manifests[0].Digest.String() != want {
		t.Errorf("the client finds %v, %v, want %s", m, err, want)
	}
}

// ls lists a directory.
func ls(t testing.TB, dir string) []string {
	t.Helper()
	return strings.Fields(run(t, "ls", dir))
}

// readNames lists a directory that may not be there yet.
func readNames(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}
