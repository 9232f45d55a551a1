package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// bucketServer answers every request for a listing with a status and a body.
// What a real store says is tested in scripts/compat.
func bucketServer(t *testing.T, status int, body string) (endpoint string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !r.URL.Query().Has("list-type") {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func s3Error(code string) string {
	return `<?xml version="1.0"?><Error><Code>` + code + `</Code><Message>It is so.</Message></Error>`
}

const emptyListing = `<?xml version="1.0"?><ListBucketResult><Name>images</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>`

// withKeys sets credentials, and keeps those of whoever runs the tests out.
func withKeys(t *testing.T) {
	t.Helper()
	withoutVariables(t)
	for _, variable := range os.Environ() {
		if name, value, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, value) // restores it
			os.Unsetenv(name)
		}
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("HOME", t.TempDir())
}

// A mount that cannot work says so at once, in one sentence with the remedy.
func TestBucketRefusals(t *testing.T) {
	withKeys(t)
	s := newScene(t)
	tests := []struct {
		name   string
		source string
		want   []string
	}{
		{"no such bucket", "s3://images?endpoint=" + bucketServer(t, 404, s3Error("NoSuchBucket")),
			[]string{"open the store s3://images: ", "404 NoSuchBucket (It is so)", "correct the bucket's name"}},
		{"wrong secret", "s3://images/p?endpoint=" + bucketServer(t, 403, s3Error("SignatureDoesNotMatch")),
			[]string{"open the store s3://images/p: ", "check the access key, the secret key"}},
		{"forbidden", "s3://images?endpoint=" + bucketServer(t, 403, s3Error("AccessDenied")), []string{"the credentials need the permission"}},
		{"another region", "s3://images?region=us-east-1&endpoint=" + bucketServer(t, 400, s3Error("AuthorizationHeaderMalformed")),
			[]string{"in another region than us-east-1: set the parameter region"}},
		{"no store", "s3://images?endpoint=" + bucketServer(t, 404, ""), []string{"see whether what answers there is an S3 store"}},
		{"no server", "s3://images?endpoint=http://127.0.0.1:1", []string{"no answer from http://127.0.0.1:1: ", "see whether the server is up"}},
		{"no TLS", "s3://images?endpoint=" + strings.Replace(bucketServer(t, 200, emptyListing), "http:", "https:", 1),
			[]string{"no answer from https://", "gave HTTP response"}},
		{"wrong value", "s3://images?region=us-east-1&chunksize=1", []string{`chunksize is "1": set a number between`}},
		{"no region", "s3://images", []string{"no region for bucket images: set the parameter region"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := registryfs(t, "mount", test.source, s.mnt)
			if got.status != 1 || strings.Count(got.stderr, "\n") != 1 {
				t.Errorf("mount %s: status %d and %q, want status 1 and one line", test.source, got.status, got.stderr)
			}
			for _, want := range test.want {
				if !strings.Contains(got.stderr, want) {
					t.Errorf("mount %s says %q, want %q", test.source, got.stderr, want)
				}
			}
		})
	}
	t.Run("no credentials", func(t *testing.T) {
		os.Unsetenv("AWS_ACCESS_KEY_ID")
		got := registryfs(t, "mount", "s3://images?endpoint="+bucketServer(t, 200, emptyListing), s.mnt)
		if got.status != 1 || !strings.Contains(got.stderr, "no credentials: ") || !strings.Contains(got.stderr, "set AWS_ACCESS_KEY_ID") {
			t.Errorf("mount without credentials: status %d and %q", got.status, got.stderr)
		}
	})
}

// An empty bucket is a store in which there is nothing yet. What is shown of it
// has no secrets.
func TestMountBucket(t *testing.T) {
	needFUSE(t)
	withKeys(t)
	s := newScene(t)
	conf := writeFile(t, filepath.Join(s.dir, "config.yml"), config(`storage:
  s3:
    bucket: images
    rootdirectory: /p
    regionendpoint: `+bucketServer(t, 200, emptyListing)+`
    forcepathstyle: "true"
    loglevel: off
    accesskey: AKIAFROMCONFIG
    secretkey: s3cr3t
`))
	for _, test := range []struct{ source, shown string }{
		{"s3://images/p?endpoint=" + bucketServer(t, 200, emptyListing), "s3://images/p"},
		{conf, conf},
	} {
		got := registryfs(t, "mount", test.source, s.mnt, "--memory", "100MiB", "--cache-dir", filepath.Join(s.dir, "cache"), "--cache-size=1GiB")
		if got.status != 0 || !strings.Contains(got.stderr, "there is no registry in the store yet") {
			t.Fatalf("mount %s: status %d and %q, want 0 and a warning", test.source, got.status, got.stderr)
		}
		mounts, err := os.ReadFile("/proc/mounts")
		if err != nil || !strings.Contains(string(mounts), "\n"+test.shown+" "+s.mnt+" fuse.registryfs ") {
			t.Errorf("mount table lacks %s on %s, %v", test.shown, s.mnt, err)
		}
		shown := read(t, s.mnt, ".registryfs/config") + read(t, s.mnt, ".registryfs/stats")
		for _, want := range []string{"bucket: images\n", "memory: 104857600\n", "cache-size: 1073741824\n", "\nmemory_bytes 104857600\n", "\ncache_hits 0\n"} {
			if !strings.Contains(shown, want) {
				t.Errorf("config and stats lack %q:\n%s", want, shown)
			}
		}
		if strings.Contains(shown, "s3cr3t") || strings.Contains(shown, "FROMCONFIG") {
			t.Errorf("config shows a secret:\n%s", shown)
		}
		if got := registryfs(t, "umount", s.mnt); got.status != 0 {
			t.Fatalf("umount: %q", got.stderr)
		}
	}
}

func read(t *testing.T, elem ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
