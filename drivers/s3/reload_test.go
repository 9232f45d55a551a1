package s3

import (
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"registryfs/drivers"
)

// wantKey wants requests to be signed with that key.
func wantKey(t *testing.T, s *fakeStore, d drivers.StorageDriver, key string) {
	t.Helper()
	if err := d.PutContent(t.Context(), "/a", nil); err != nil {
		t.Fatal(err)
	}
	if got := s.header("Put").Get("Authorization"); !strings.Contains(got, "Credential="+key+"/") {
		t.Errorf("Authorization = %q, want key %s", got, key)
	}
}

func TestReload(t *testing.T) {
	s := newFakeStore(t)
	d := s.wrapped(nil)
	wantKey(t, s, d, "key")
	params := map[string]any{"bucket": testBucket, "regionendpoint": s.url, "accesskey": "second", "secretkey": "x"}
	if err := drivers.Reload(t.Context(), d, params); err != nil {
		t.Fatal(err)
	}
	wantKey(t, s, d, "second")

	// Without keys in params they are the environment's, and ~/.aws has the last.
	delete(params, "accesskey")
	delete(params, "secretkey")
	t.Setenv("AWS_ACCESS_KEY_ID", "third")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "x")
	if err := drivers.Reload(t.Context(), d, params); err != nil {
		t.Fatal(err)
	}
	wantKey(t, s, d, "third")

	file := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(file, []byte("[default]\naws_access_key_id = fourth\naws_secret_access_key = x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	if err := drivers.Reload(t.Context(), d, params); err != nil {
		t.Fatal(err)
	}
	wantKey(t, s, d, "fourth")

	// What cannot be used changes nothing.
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/no/such")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	for _, bad := range []map[string]any{params, {"bucket": testBucket, "anonymous": true, "regionendpoint": s.url}, {"chunksize": "x"}} {
		if err := drivers.Reload(t.Context(), d, bad); err == nil || errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Reload(%v) = %v, want an error", bad, err)
		}
	}
	wantKey(t, s, d, "fourth")
}

func TestRequests(t *testing.T) {
	s := newFakeStore(t)
	d := s.wrapped(nil)
	fails := 2
	s.fault = func(w http.ResponseWriter, _ *http.Request, kind string) bool {
		if kind != "GET" || fails == 0 {
			return false
		}
		fails--
		refuse(w, http.StatusServiceUnavailable, "SlowDown")
		return true
	}
	if err := d.PutContent(t.Context(), "/a", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := d.GetContent(t.Context(), "/a"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.List(t.Context(), "/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	want := map[string]int64{"PutObject": 1, "GetObject": 3, "ListObjectsV2": 1}
	if got := drivers.Requests(d); !maps.Equal(got, want) {
		t.Errorf("Requests = %v, want %v", got, want)
	}
}
