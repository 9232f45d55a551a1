package layout

import (
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestParseRepositoryName(t *testing.T) {
	tests := []struct {
		name  string
		legal bool
	}{
		{"a", true},
		{"0", true},
		{"library/alpine", true},
		{"a/1b", true},
		{"team/app-extra", true},
		{"foo-bar/a", true},
		{"foo/d/in", true},
		{"a.b/c_d/e__f/g---h", true},
		{"tags", true},
		{"sha256", true},
		{strings.Repeat("a", 255), true},
		{strings.Repeat("a/", 127) + "a", true},
		{strings.Repeat("a", 256), false},
		{"", false},
		{"/", false},
		{"/a", false},
		{"a/", false},
		{"a//b", false},
		{"A", false},
		{"a/B", false},
		{"_a", false},
		{"_layers", false},
		{"a/_manifests", false},
		{"a_", false},
		{"a___b", false},
		{"a..b", false},
		{"a._b", false},
		{".", false},
		{"..", false},
		{"a/../b", false},
		{"-a", false},
		{"a-", false},
		{"localhost:5000/a", false},
		{"a:v1", false},
		{"a@b", false},
		{"ä", false},
		{"a b", false},
		{"a\n", false},
		{"a\x00", false},
	}
	for _, tt := range tests {
		got, err := ParseRepositoryName(tt.name)
		if tt.legal && (err != nil || string(got) != tt.name) {
			t.Errorf("ParseRepositoryName(%q) = %q, %v, want it as it is", tt.name, got, err)
		}
		if !tt.legal && !errors.Is(err, ErrNameInvalid) {
			t.Errorf("ParseRepositoryName(%q) = %q, %v, want ErrNameInvalid", tt.name, got, err)
		}
		if legal := ValidComponent(tt.name); legal != (tt.legal && !strings.Contains(tt.name, "/")) {
			t.Errorf("ValidComponent(%q) = %v", tt.name, legal)
		}
	}
}

func TestParseTagName(t *testing.T) {
	tests := []struct {
		name  string
		legal bool
	}{
		{"latest", true},
		{"1.2-rc", true},
		{"_", true},
		{"V1", true},
		{"sha256-" + strings.Repeat("a", 64) + ".sig", true},
		{strings.Repeat("a", 128), true},
		{strings.Repeat("a", 129), false},
		{"", false},
		{".", false},
		{"..", false},
		{".a", false},
		{"-a", false},
		{"a/b", false},
		{"a:b", false},
		{"a+b", false},
		{"é", false},
		{"a\n", false},
	}
	for _, tt := range tests {
		got, err := ParseTagName(tt.name)
		if tt.legal && (err != nil || string(got) != tt.name) {
			t.Errorf("ParseTagName(%q) = %q, %v, want it as it is", tt.name, got, err)
		}
		if !tt.legal && !errors.Is(err, ErrTagInvalid) {
			t.Errorf("ParseTagName(%q) = %q, %v, want ErrTagInvalid", tt.name, got, err)
		}
	}
}

func TestParseHex(t *testing.T) {
	hex := strings.Repeat("0a", 32)
	tests := []struct {
		alg   digest.Algorithm
		hex   string
		legal bool
	}{
		{digest.SHA256, hex, true},
		{digest.SHA384, strings.Repeat("0a", 48), true},
		{digest.SHA512, strings.Repeat("0a", 64), true},
		{digest.SHA256, hex[1:], false},
		{digest.SHA256, hex + "0", false},
		{digest.SHA512, hex, false},
		{digest.SHA256, strings.ToUpper(hex), false},
		{digest.SHA256, "", false},
		{digest.SHA256, strings.Repeat("0g", 32), false},
		{"md5", strings.Repeat("0a", 16), false},
		{"", hex, false},
		{"sha256:sha256", hex, false},
	}
	for _, tt := range tests {
		got, err := ParseHex(tt.alg, tt.hex)
		if tt.legal && (err != nil || got != digest.NewDigestFromEncoded(tt.alg, tt.hex)) {
			t.Errorf("ParseHex(%q, %q) = %q, %v", tt.alg, tt.hex, got, err)
		}
		if !tt.legal && !errors.Is(err, ErrDigestInvalid) {
			t.Errorf("ParseHex(%q, %q) = %q, %v, want ErrDigestInvalid", tt.alg, tt.hex, got, err)
		}
	}
}

func FuzzParseRepositoryName(f *testing.F) {
	for _, s := range []string{"a", "library/alpine", "a__b/c-d", "A", "_a", "a/", "..", "a/../b", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := ParseRepositoryName(s)
		if err != nil {
			if !errors.Is(err, ErrNameInvalid) {
				t.Errorf("error of ParseRepositoryName(%q) is not ErrNameInvalid: %v", s, err)
			}
			return
		}
		if string(name) != s || len(s) > 255 {
			t.Errorf("ParseRepositoryName(%q) = %q", s, name)
		}
		path := revisionLinkPath(name, hexOf("0"))
		if got := (RawTree{}).Names(RawPath(path)); got.Repository != name || got.Manifest != hexOf("0") {
			t.Errorf("Names(%s) = %+v", path, got)
		}
	})
}

func FuzzParseTagName(f *testing.F) {
	for _, s := range []string{"latest", "_a.b-c", "", ".", "..", "a/b", "sha256-" + strings.Repeat("0", 64)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tag, err := ParseTagName(s)
		if err != nil {
			if !errors.Is(err, ErrTagInvalid) {
				t.Errorf("error of ParseTagName(%q) is not ErrTagInvalid: %v", s, err)
			}
			return
		}
		if string(tag) != s || !validComponent(s) {
			t.Errorf("ParseTagName(%q) = %q, which no path can hold", s, tag)
		}
		path := tagCurrentLinkPath("a/b", tag)
		if got := (RawTree{}).Names(RawPath(path)); got.Repository != "a/b" || got.Tag != tag {
			t.Errorf("Names(%s) = %+v", path, got)
		}
	})
}

// TestValidate compares the short way with the long one.
func TestValidate(t *testing.T) {
	hex := strings.Repeat("0123456789abcdef", 4)
	for _, d := range []digest.Digest{
		"", "sha256:", digest.Digest("sha256:" + hex), digest.Digest("sha256:" + strings.ToUpper(hex)),
		digest.Digest("sha256:" + hex[1:]), digest.Digest("sha256:" + hex + "0"), digest.Digest("sha256:" + hex[1:] + "\n"),
		digest.Digest("sha512:" + hex + hex), digest.Digest("sha512:" + hex), digest.Digest("md5:" + hex[:32]),
	} {
		if got, want := validate(d), d.Validate(); got != want {
			t.Errorf("validate(%q) = %v, want %v", d, got, want)
		}
	}
}
