package layout

import (
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestParseLink(t *testing.T) {
	hex := strings.Repeat("0a", 32)
	tests := []struct {
		name, content string
		legal         bool
	}{
		{"sha256", "sha256:" + hex, true},
		{"sha384", "sha384:" + strings.Repeat("0a", 48), true},
		{"sha512", "sha512:" + hex + hex, true},
		{"empty", "", false},
		{"newline", "sha256:" + hex + "\n", false},
		{"leading space", " sha256:" + hex, false},
		{"two", "sha256:" + hex + "sha256:" + hex, false},
		{"short", "sha256:" + hex[2:], false},
		{"upper case", "sha256:" + strings.ToUpper(hex), false},
		{"no algorithm", hex, false},
		{"unknown algorithm", "md5:" + hex[:32], false},
		{"tarsum", "tarsum.v1+sha256:" + hex, false},
		{"zeros", strings.Repeat("\x00", 71), false},
		{"JSON", `{"digest":"sha256:` + hex + `"}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseLink([]byte(tt.content))
			if tt.legal && (err != nil || string(got) != tt.content) {
				t.Errorf("parseLink(%q) = %q, %v", tt.content, got, err)
			}
			if !tt.legal && (!errors.Is(err, ErrLinkInvalid) || got != "") {
				t.Errorf("parseLink(%q) = %q, %v, want ErrLinkInvalid", tt.content, got, err)
			}
		})
	}
}

func FuzzParseLink(f *testing.F) {
	f.Add([]byte(hexOf("a")))
	f.Add([]byte(hexOf("a") + "\n"))
	f.Add([]byte("sha512:" + strings.Repeat("0", 128)))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, content []byte) {
		d, err := parseLink(content)
		if err != nil {
			if !errors.Is(err, ErrLinkInvalid) {
				t.Errorf("error of parseLink(%q) is not ErrLinkInvalid: %v", content, err)
			}
			return
		}
		if string(d) != string(content) || digest.Digest(content).Validate() != nil {
			t.Errorf("parseLink(%q) = %q", content, d)
		}
		blobDataPath(d) // must not panic
	})
}
