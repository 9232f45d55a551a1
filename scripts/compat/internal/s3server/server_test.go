package s3server

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"registryfs/scripts/compat/internal/tools"
)

func TestServer(t *testing.T) {
	program, err := tools.Versitygw(t.Context())
	if err != nil && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := Start(t.Context(), program, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	b, err := s.Bucket("bucket", "a/b")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := filepath.ToSlash(b.Dir()), filepath.ToSlash(s.dir)+"/buckets/bucket/a/b"; got != want {
		t.Errorf("Dir = %q, want %q", got, want)
	}

	list := func() {
		t.Helper()
		resp, err := http.Get(s.Endpoint() + "/bucket?list-type=2")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("a request without credentials: status %s, want 403", resp.Status)
		}
	}
	list()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := http.Get(s.Endpoint()); err == nil {
		t.Error("the server answers after Stop")
	}
	if err := s.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	list()
	if got, err := s.Requests(); err != nil || got["ListObjectsV2"] != 2 {
		t.Errorf("Requests = %v, %v, want two of ListObjectsV2", got, err)
	}
}
