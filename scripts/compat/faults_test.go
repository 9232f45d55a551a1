package compat

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"registryfs/scripts/compat/internal/proxy"
	"registryfs/scripts/compat/internal/s3server"
	"registryfs/scripts/compat/internal/store"
	"registryfs/scripts/compat/internal/tools"

	"github.com/opencontainers/go-digest"
)

// impatient is what a URL has after it so that a request that hangs is given up
// soon.
const impatient = "&timeout=2s"

// badNetwork is a storage as seen through a proxy that answers one request in
// ten with 503, cuts one body in twenty short and hangs once in a hundred.
func badNetwork(t testing.TB, s storage) (storage, *proxy.Proxy) {
	t.Helper()
	p, err := proxy.Start(proxy.Options{Target: s.bucket.Endpoint(), Fail: 10, Cut: 20, Stall: 100, Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		t.Logf("the proxy: %s", p.Counts())
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	s.url = s.bucket.URLAt(p.URL()) + impatient
	return s, p
}

// TestFaultsBackup takes a full backup over a bad network.
func TestFaultsBackup(t *testing.T) {
	t.Parallel()
	s := standardStorage(t, onS3, v3)
	// Links and layers that the server has no ETag of have to be read.
	plain := store.New(s.dir)
	if err := plain.Generate(store.Sizes{Repositories: 5, Tags: 10, Moved: 5, Images: 4, Layers: 3, LayerBytes: 1000, Seed: 7}); err != nil {
		t.Fatal(err)
	}
	if err := plain.PushBig("big/image", "1", 40<<20, 3); err != nil {
		t.Fatal(err)
	}
	bad, p := badNetwork(t, s)
	mnt, backup := mount(t, bad), t.TempDir()
	rsync(t, filepath.Join(mnt, "raw")+"/", backup+"/")
	mustMatch(t, s.dir, backup, "-x", "_uploads") // empty directories of the server's
	if c := p.Counts(); c.Failed == 0 || c.Cut == 0 || c.Stalled == 0 {
		t.Errorf("the proxy has failed %d requests, cut %d and stalled %d: too few were made", c.Failed, c.Cut, c.Stalled)
	}
	t.Logf("the backup: %s", p.Counts())
	checkNames(t, mnt)
	checkServed(t, serve(t, v3, storage{dir: backup}))
}

// TestFaultsCopy copies images in over a bad network. What cp has accepted is
// whole in the bucket, what it refused is not there.
func TestFaultsCopy(t *testing.T) {
	t.Parallel()
	s := emptyStorage(t, onS3)
	bad, _ := badNetwork(t, s)
	mnt := mount(t, bad)
	run(t, "mkdir", "-p", repository(mnt, "team/app"))
	clean := s3Driver(t, s.bucket.Params())
	stored := func(path string) string {
		content, err := clean.GetContent(t.Context(), "/docker/registry/v2/"+path)
		if err != nil {
			return ""
		}
		return string(content)
	}
	blob := func(d digest.Digest) string {
		return "blobs/sha256/" + d.Encoded()[:2] + "/" + d.Encoded() + "/data"
	}
	copied, refused := 0, 0
	put := func(data []byte, target, path string, want string) bool {
		r := try(t, "cp", tempFile(t, data), target)
		if r.code != 0 {
			refused++
			if got := stored(path); got != "" && got != want {
				t.Errorf("cp to %s was refused, and left %d bytes", target, len(got))
			}
			return false
		}
		copied++
		if got := stored(path); got != want {
			t.Errorf("cp to %s: %d bytes in the bucket, want %d", target, len(got), len(want))
		}
		return true
	}
	for i := range 12 {
		big := []byte(strings.Repeat(fmt.Sprintf("layer %d\n", i), 2<<20)) // several parts
		d := digest.FromBytes(big)
		put(big, repository(mnt, "team/app", "_blobs", "sha256", d.Encoded()), blob(d), string(big))

		c := newImage(t, fmt.Sprint("image ", i))
		for _, b := range c.Blobs {
			put(b.Data, repository(mnt, "team/app", "_blobs", "sha256", b.Digest.Hex), blob(digest.Digest(b.Digest.String())), string(b.Data))
		}
		tag := fmt.Sprint("v", i)
		if put(c.Manifest, tagFile(mnt, "team/app:"+tag), "repositories/team/app/_manifests/tags/"+tag+"/current/link", c.Digest().String()) {
			if got := stored(blob(digest.FromBytes(c.Manifest))); got != string(c.Manifest) {
				t.Errorf("the manifest of %s is not whole", tag)
			}
		}
	}
	t.Logf("%d copied, %d refused", copied, refused)
	if copied < 3*refused {
		t.Errorf("%d copies were refused, and %d were not", refused, copied)
	}
	checkLinks(t, s.dir)
	checkServed(t, serve(t, v3, s))
}

// TestServerStops takes the server away from a mount that is being read: it is
// stopped, and it hangs. Nobody waits for it for ever, and all goes on when it
// is back.
func TestServerStops(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		stop, back func(t *testing.T, s *s3server.Server) error
	}{
		{"gone", func(_ *testing.T, s *s3server.Server) error { return s.Stop() },
			func(t *testing.T, s *s3server.Server) error { return s.Resume(t.Context()) }},
		{"hangs", func(_ *testing.T, s *s3server.Server) error { return s.Pause() },
			func(_ *testing.T, s *s3server.Server) error { return s.Continue() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := startServer(t)
			b, err := server.Bucket("registry", "")
			if err != nil {
				t.Fatal(err)
			}
			s := storage{dir: b.Dir(), bucket: &b, url: b.URL() + impatient + "&retries=2"}
			from, err := written(onS3, v3)
			need(t, err)
			run(t, "cp", "-a", from.dir+"/.", s.dir)
			if err := store.New(s.dir).PushBig("big/image", "1", 64<<20, 3); err != nil {
				t.Fatal(err)
			}
			mnt := mount(t, s)
			big := largest(t, filepath.Join(mnt, "blobs"))
			run(t, "head", "-c", "1000", big)

			// In the midst of a read, and before one.
			f, err := os.Open(big)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.Read(make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
			if err := c.stop(t, server); err != nil {
				t.Fatal(err)
			}
			for _, command := range [][]string{
				{"cat", big},
				{"cat", tagFile(mnt, "team/app:1.2")},
				{"cp", tagFile(mnt, "team/app:latest"), tagFile(mnt, "team/app:new")},
			} {
				began := time.Now()
				r := try(t, command[0], command[1:]...)
				if took := time.Since(began); took > 20*time.Second {
					t.Errorf("%q took %s", command, took)
				}
				if r.code == 0 || !strings.Contains(r.stderr, "Input/output error") {
					t.Errorf("%q: exit status %d, %q, want an I/O error", command, r.code, r.stderr)
				}
				run(t, "ls", mnt)
				run(t, "cat", filepath.Join(mnt, ".registryfs", "errors"))
			}

			if err := c.back(t, server); err != nil {
				t.Fatal(err)
			}
			backup := t.TempDir()
			rsync(t, filepath.Join(mnt, "raw")+"/", backup+"/")
			mustMatch(t, s.dir, backup, "-x", "_uploads")
			run(t, "cp", tagFile(mnt, "team/app:1.2"), tagFile(mnt, "team/app:new"))
			checkDigests(t, serve(t, v3, s), mnt)
		})
	}
}

// startServer starts an S3 server for one test.
func startServer(t *testing.T) *s3server.Server {
	t.Helper()
	program, err := tools.Versitygw(t.Context())
	need(t, err)
	s, err := s3server.Start(t.Context(), program, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// largest is the largest file below dir.
func largest(t testing.TB, dir string) string {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(run(t, "bash", "-c", `find "$0" -type f -printf '%s %p\n' | sort -n | tail -n 1`, dir)), " ")
	return lines[1]
}
