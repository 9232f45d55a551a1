package compat

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
)

// TestGCUploads: of uploads to a registry on a bucket, which lie there as parts that
// no listing of files shows, gc removes the one of which no part is new. The other
// one can be ended.
func TestGCUploads(t *testing.T) {
	t.Parallel()
	s := emptyStorage(t, onS3)
	host := serve(t, v3, s).Host
	content := make([]byte, 12<<20)
	if _, err := rand.Read(content); err != nil {
		t.Fatal(err)
	}
	half := len(content) / 2
	abandoned := upload(t, http.MethodPatch, startUpload(t, host), content[:half])
	goesOn := upload(t, http.MethodPatch, startUpload(t, host), content[:half])
	run(t, "find", s.dir, "-exec", "touch", "-d", "10 days ago", "{}", "+")
	goesOn = upload(t, http.MethodPatch, goesOn, content[half:])
	run(t, "find", s.dir, "-name", ".sgwtmp", "-prune", "-o", "-exec", "touch", "-d", "10 days ago", "{}", "+")

	if r := try(t, program(t, registryfs), "check", "-q", s.source()); r.code != 0 || strings.Contains(r.stdout, "leftover") {
		t.Errorf("check: exit status %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := try(t, program(t, registryfs), "gc", "-q", "--dry-run", s.source()); r.code != 0 || !strings.Contains(r.stdout, "abandoned uploads would be removed: 1, ") {
		t.Errorf("gc --dry-run: exit status %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if left := uploadsIn(t, s); len(left) != 2 {
		t.Fatalf("before gc there are the uploads %q", left)
	}
	if r := try(t, program(t, registryfs), "gc", "-q", s.source()); r.code != 0 || !strings.Contains(r.stdout, "abandoned uploads removed: 1, 6") {
		t.Errorf("gc: exit status %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if left := uploadsIn(t, s); len(left) != 1 || strings.Contains(left[0], uploadID(abandoned)) {
		t.Errorf("after gc there are the uploads %q", left)
	}
	separator := "?"
	if strings.Contains(goesOn, "?") {
		separator = "&"
	}
	upload(t, http.MethodPut, goesOn+separator+"digest="+string(digest.FromBytes(content)), nil)
	if left := uploadsIn(t, s); len(left) > 0 {
		t.Errorf("after all there are the uploads %q", left)
	}
}

// startUpload begins one and returns where it goes on.
func startUpload(t testing.TB, host string) string {
	t.Helper()
	return upload(t, http.MethodPost, "http://"+host+"/v2/live/app/blobs/uploads/", nil)
}

// upload makes a request of an upload, and returns where it goes on.
func upload(t testing.TB, method, url string, content []byte) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %s, %v", method, url, resp.Status, err)
	}
	return resp.Header.Get("Location")
}

func uploadID(location string) string {
	_, rest, _ := strings.Cut(location, "/uploads/")
	id, _, _ := strings.Cut(rest, "?")
	return id
}

// uploadsIn are the uploads in parts that a bucket has.
func uploadsIn(t testing.TB, s storage) (paths []string) {
	t.Helper()
	for info, err := range drivers.LeftoversOf(s3Driver(t, s.bucket.Params())).All(t.Context(), "/docker/registry/v2") {
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, fmt.Sprint(info.Path(), " ", info.Size(), " ", info.ModTime()))
	}
	return paths
}
