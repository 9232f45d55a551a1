package compat

import (
	"os"
	"path/filepath"
	"testing"

	"registryfs/scripts/compat/internal/images"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// TestLive copies into a mount with cp and rsync while a registry serves the
// same storage, and pulls from that.
func TestLive(t *testing.T) { onEach(t, testLive) }

func testLive(t *testing.T, k kind) {
	s := standardStorage(t, k, v3)
	r := serve(t, v3, s)
	mnt := mount(t, s, "--allow-delete")

	t.Run("new tag", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "manifest.json")
		run(t, "cp", tagFile(mnt, "team/app:0.1.20"), file)
		run(t, "cp", file, tagFile(mnt, "team/app:stable"))
		checkClients(t, r, "team/app:stable")

		// Moving it is seen at once, by the registry and in the mount.
		run(t, "cp", tagFile(mnt, "team/app:1.2"), tagFile(mnt, "team/app:stable"))
		if got, want := tags(t, r)["team/app:stable"], tags(t, r)["team/app:1.2"]; got != want {
			t.Errorf("team/app:stable = %s, want %s", got, want)
		}
		checkClients(t, r, "team/app:stable")
	})

	t.Run("promotion", func(t *testing.T) {
		for _, tag := range []string{"team/app:1.2", "team/multi:2.0", "team/docker:2.0", "team/skopeo:schema2"} {
			promoted := "prod/" + tag
			run(t, "mkdir", "-p", filepath.Dir(filepath.Dir(tagFile(mnt, promoted))))
			run(t, "cp", tagFile(mnt, tag), tagFile(mnt, promoted))
			checkClients(t, r, promoted)
		}
	})

	t.Run("by digest", func(t *testing.T) {
		c := newImage(t, "by digest")
		const name = "imported/image"
		run(t, "mkdir", "-p", repository(mnt, name))
		for _, b := range c.Blobs {
			run(t, "cp", tempFile(t, b.Data), repository(mnt, name, "_blobs", "sha256", b.Digest.Hex))
		}
		manifest := tempFile(t, c.Manifest)
		run(t, "cp", manifest, repository(mnt, name, "_manifests", "sha256", c.Digest().Hex))
		checkClients(t, r, name+"@"+c.Digest().String())

		run(t, "cp", manifest, tagFile(mnt, name+":1"))
		checkClients(t, r, name+":1")
	})

	t.Run("rsync of a repository", func(t *testing.T) {
		for _, name := range []string{"team/signed", "team/multi", "a"} {
			backup := t.TempDir()
			rsync(t, repository(mnt, name)+"/", backup+"/")

			// Under a new name, and where it was.
			restored := "restored/" + name
			run(t, "mkdir", "-p", repository(mnt, restored))
			rsync(t, backup+"/", repository(mnt, restored)+"/")
			run(t, "rm", "-r", repository(mnt, name))
			if _, err := os.Stat(repository(mnt, name)); err == nil {
				t.Errorf("%s is there after rm -r", name)
			}
			run(t, "mkdir", "-p", repository(mnt, name))
			rsync(t, backup+"/", repository(mnt, name)+"/")
			checkQuiet(t, backup+"/", repository(mnt, name)+"/")
		}
		for _, tag := range []string{"team/signed:1.0", "team/multi:2.0", "a:1.2", "a/1b:latest"} {
			checkClients(t, r, tag)
			checkClients(t, r, "restored/"+tag)
		}
	})

	checkServed(t, r)
	checkDigests(t, r, mnt)
}

// newImage makes an image that no store has.
func newImage(t testing.TB, text string) *images.Content {
	t.Helper()
	layer, err := images.NewLayer(images.File{Name: "etc/motd", Mode: 0o644, Data: []byte(text + "\n")})
	if err != nil {
		t.Fatal(err)
	}
	c, err := images.Image{
		Platform: v1.Platform{OS: "linux", Architecture: "amd64"},
		Config:   v1.Config{Labels: map[string]string{"text": text}},
		Layers:   []images.Blob{layer},
	}.Build()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func tempFile(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
