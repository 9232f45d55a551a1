package layout

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// The registry's own expectations for repository foo/bar and tag thetag.
func TestPaths(t *testing.T) {
	const (
		repo = RepositoryName("foo/bar")
		tag  = TagName("thetag")
		hex  = "abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789"
		root = "/docker/registry/v2/"
	)
	d := digest.Digest("sha256:" + hex)
	d512 := digest.Digest("sha512:" + hex + hex)
	tests := []struct{ got, want string }{
		{repositoryPath(""), root + "repositories"},
		{repositoryPath(repo), root + "repositories/foo/bar"},
		{manifestsPath(repo), root + "repositories/foo/bar/_manifests"},
		{revisionsPath(repo), root + "repositories/foo/bar/_manifests/revisions"},
		{revisionPath(repo, d), root + "repositories/foo/bar/_manifests/revisions/sha256/" + hex},
		{revisionLinkPath(repo, d), root + "repositories/foo/bar/_manifests/revisions/sha256/" + hex + "/link"},
		{tagsPath(repo), root + "repositories/foo/bar/_manifests/tags"},
		{tagPath(repo, tag), root + "repositories/foo/bar/_manifests/tags/thetag"},
		{tagCurrentLinkPath(repo, tag), root + "repositories/foo/bar/_manifests/tags/thetag/current/link"},
		{tagIndexPath(repo, tag), root + "repositories/foo/bar/_manifests/tags/thetag/index"},
		{tagIndexLinkPath(repo, tag, d), root + "repositories/foo/bar/_manifests/tags/thetag/index/sha256/" + hex + "/link"},
		{layersPath(repo), root + "repositories/foo/bar/_layers"},
		{layerLinkPath(repo, d), root + "repositories/foo/bar/_layers/sha256/" + hex + "/link"},
		{layerLinkPath(repo, d512), root + "repositories/foo/bar/_layers/sha512/" + hex + hex + "/link"},
		{layerLinkPath(repo, "tarsum+v1:"+hex), root + "repositories/foo/bar/_layers/tarsum/v1/" + hex + "/link"},
		{blobDataPath(d), root + "blobs/sha256/ab/" + hex + "/data"},
		{blobDataPath(d512), root + "blobs/sha512/ab/" + hex + hex + "/data"},
		{uploadsPath(repo), root + "repositories/foo/bar/_uploads"},
		{uploadDataPath(repo, "id"), root + "repositories/foo/bar/_uploads/id/data"},
		{uploadStartedAtPath(repo, "id"), root + "repositories/foo/bar/_uploads/id/startedat"},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("got  %s\nwant %s", tt.got, tt.want)
		}
	}
}

func TestDigestFromPath(t *testing.T) {
	hex := strings.Repeat("ab", 32)
	d := digest.Digest("sha256:" + hex)
	tests := []struct {
		path      string
		digest    digest.Digest
		canonical bool
	}{
		{blobsPath + "/sha256/ab/" + hex + "/data", d, true},
		{blobsPath + "/sha512/ab/" + hex + hex + "/data", digest.Digest("sha512:" + hex + hex), true},
		{blobsPath + "/sha256/" + hex + "/data", d, false},
		{blobsPath + "/sha256/00/" + hex + "/data", d, false},
		{blobsPath + "/sha256/ab/" + hex + "/data.tmp", d, false},
		{blobsPath + "/sha256/ab/" + hex, "", false},
		{blobsPath + "/sha256/ab/" + hex[1:] + "/data", "", false},
		{blobsPath + "/sha256/AB/" + strings.ToUpper(hex) + "/data", "", false},
		{blobsPath + "/md5/ab/" + hex[:32] + "/data", "", false},
		{"/other/sha256/ab/" + hex + "/data", d, false},
		{tagIndexLinkPath("a", "b", d), d, false},
		{"/", "", false},
		{"", "", false},
	}
	for _, tt := range tests {
		if got := digestFromPath(tt.path); got != tt.digest {
			t.Errorf("digestFromPath(%s) = %q, want %q", tt.path, got, tt.digest)
		}
		want := tt.digest
		if !tt.canonical {
			want = ""
		}
		if got := blobFromPath(tt.path); got != want {
			t.Errorf("blobFromPath(%s) = %q, want %q", tt.path, got, want)
		}
	}
}

func FuzzDigestFromPath(f *testing.F) {
	f.Add(blobDataPath(hexOf("a")))
	f.Add(layerLinkPath("a", hexOf("b")))
	f.Add(blobsPath + "/sha256/" + strings.Repeat("0", 64) + "/data")
	f.Add("/sha256//x")
	f.Add("")
	f.Fuzz(func(t *testing.T, path string) {
		d := digestFromPath(path)
		if d == "" {
			return
		}
		if err := d.Validate(); err != nil {
			t.Errorf("digestFromPath(%q) = %q: %v", path, d, err)
		}
		if !strings.Contains(path, d.Encoded()) {
			t.Errorf("digestFromPath(%q) = %q, which is not in it", path, d)
		}
		if b := blobFromPath(path); b != "" && blobDataPath(b) != path {
			t.Errorf("blobFromPath(%q) = %q, whose path is another", path, b)
		}
	})
}
