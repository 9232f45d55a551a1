package layout

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	descA = `{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","size":1}`
	descB = `{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","size":2}`

	ociImage    = `"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"`
	ociIndex    = `"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json"`
	dockerImage = `"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json"`
	dockerList  = `"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json"`

	image1 = `"config":` + descA + `,"layers":[` + descB + `]`
	index1 = `"manifests":[` + descB + `]`
)

func TestParseManifest(t *testing.T) {
	foreign := func(mediaType, urls string) string {
		return `"config":` + descA + `,"layers":[{"mediaType":"` + mediaType + `","digest":"` + string(hexOf("b")) + `","size":2` + urls + `}]`
	}
	tests := []struct {
		name, content string
		mediaType     string // "" if it is refused
		reason        string // a part of the message
	}{
		{"OCI image", `{` + ociImage + `,` + image1 + `}`, v1.MediaTypeImageManifest, ""},
		{"OCI image without type", `{"schemaVersion":2,` + image1 + `}`, v1.MediaTypeImageManifest, ""},
		{"OCI image with null manifests", `{` + ociImage + `,` + image1 + `,"manifests":null}`, v1.MediaTypeImageManifest, ""},
		{"OCI image without layers", `{` + ociImage + `,"config":` + descA + `}`, v1.MediaTypeImageManifest, ""},
		{"OCI index", `{` + ociIndex + `,` + index1 + `}`, v1.MediaTypeImageIndex, ""},
		{"OCI index without type", `{"schemaVersion":2,` + index1 + `}`, v1.MediaTypeImageIndex, ""},
		{"empty OCI index without type", `{"schemaVersion":2,"manifests":[]}`, v1.MediaTypeImageIndex, ""},
		{"empty OCI index", `{` + ociIndex + `}`, v1.MediaTypeImageIndex, ""},
		{"docker image", `{` + dockerImage + `,` + image1 + `}`, dockerManifest, ""},
		{"docker list", `{` + dockerList + `,` + index1 + `}`, dockerManifestList, ""},
		{"docker list with a stray config", `{` + dockerList + `,` + index1 + `,"config":` + descA + `}`, dockerManifestList, ""},
		{"artifact with subject", `{` + ociImage + `,"artifactType":"a/b",` + image1 + `,"subject":` + descB + `}`, v1.MediaTypeImageManifest, ""},
		{"subject that is not looked at", `{` + ociImage + `,` + image1 + `,"subject":{"digest":"x"}}`, v1.MediaTypeImageManifest, ""},
		{"unknown members", `{` + ociImage + `,` + image1 + `,"x":1,"x":2}`, v1.MediaTypeImageManifest, ""},
		{"white space around", " \n{" + ociImage + `,` + image1 + "}\n\t ", v1.MediaTypeImageManifest, ""},
		{"annotations", `{` + ociImage + `,` + image1 + `,"annotations":{"a":"b"}}`, v1.MediaTypeImageManifest, ""},
		{"docker foreign layer with urls", `{` + dockerImage + `,` + foreign(dockerForeignLayer, `,"urls":["https://x/"]`) + `}`, dockerManifest, ""},
		{"OCI foreign layer without urls", `{` + ociImage + `,` + foreign(ociForeignLayer, ``) + `}`, v1.MediaTypeImageManifest, ""},
		{"sha512 layer", `{` + ociImage + `,"config":{"digest":"sha512:` + strings.Repeat("a", 128) + `"}}`, v1.MediaTypeImageManifest, ""},

		{"empty", ``, "", "no JSON object"},
		{"white space", "\n", "", "no JSON object"},
		{"array", `[]`, "", "no JSON object"},
		{"string", `"x"`, "", "no JSON object"},
		{"binary", "\x1f\x8b\x08", "", "no JSON object"},
		{"cut off", `{` + ociImage + `,` + image1, "", "EOF"},
		{"trailing object", `{` + ociImage + `,` + image1 + `}{}`, "", "bytes after its end"},
		{"trailing byte", `{` + ociImage + `,` + image1 + "}\x00", "", "bytes after its end"},
		{"empty object", `{}`, "", "schemaVersion is missing"},
		{"no version", `{` + image1 + `}`, "", "schemaVersion is missing"},
		{"version 1", `{"schemaVersion":1,"name":"a","tag":"b","fsLayers":[]}`, "", "schema version 1"},
		{"signed version 1", `{"schemaVersion":1,"mediaType":"application/vnd.docker.distribution.manifest.v1+prettyjws"}`, "", "schema version 1"},
		{"version 3", `{"schemaVersion":3,` + image1 + `}`, "", "it must be 2"},
		{"version as a string", `{"schemaVersion":"2",` + image1 + `}`, "", "schemaVersion"},
		{"OCI artifact", `{"mediaType":"application/vnd.oci.artifact.manifest.v1+json","blobs":[` + descB + `]}`, "", "withdrawn"},
		{"unknown type", `{"schemaVersion":2,"mediaType":"application/json",` + image1 + `}`, "", "not one of the four"},
		{"a config", `{"architecture":"amd64","os":"linux","rootfs":{}}`, "", "schemaVersion is missing"},
		{"layers and manifests", `{"schemaVersion":2,` + image1 + `,` + index1 + `}`, "", "both layers and manifests"},
		{"OCI image with manifests", `{` + ociImage + `,"config":` + descA + `,` + index1 + `}`, "", "no manifests"},
		{"OCI image with empty manifests", `{` + ociImage + `,"config":` + descA + `,"manifests":[]}`, "", "no manifests"},
		{"OCI index with config", `{` + ociIndex + `,` + index1 + `,"config":` + descA + `}`, "", "neither config nor layers"},
		{"OCI index with empty config", `{` + ociIndex + `,"config":{}}`, "", "neither config nor layers"},
		{"OCI index with layers", `{` + ociIndex + `,"layers":[` + descB + `]}`, "", "neither config nor layers"},
		{"docker image with both", `{` + dockerImage + `,` + image1 + `,` + index1 + `}`, "", "both layers and manifests"},
		{"docker list with both", `{` + dockerList + `,` + image1 + `,` + index1 + `}`, "", "both layers and manifests"},
		{"no config", `{` + ociImage + `,"layers":[]}`, "", "config is missing"},
		{"null config", `{` + dockerImage + `,"config":null,"layers":[]}`, "", "config is missing"},
		{"config without digest", `{` + ociImage + `,"config":{}}`, "", "digest"},
		{"config is a string", `{` + ociImage + `,"config":"x"}`, "", "config"},
		{"bad layer digest", `{` + ociImage + `,"config":` + descA + `,"layers":[{"digest":"sha256:abc"}]}`, "", "sha256:abc"},
		{"unknown algorithm", `{` + ociImage + `,"config":{"digest":"md5:d41d8cd98f00b204e9800998ecf8427e"}}`, "", "md5"},
		{"bad child digest", `{` + ociIndex + `,"manifests":[{"digest":""}]}`, "", "digest"},
		{"negative size", `{` + ociImage + `,"config":{"digest":"` + string(hexOf("a")) + `","size":-1}}`, "", "negative"},
		{"negative child size", `{` + ociIndex + `,"manifests":[{"digest":"` + string(hexOf("a")) + `","size":-1}]}`, "", "negative"},
		{"docker foreign layer without urls", `{` + dockerImage + `,` + foreign(dockerForeignLayer, ``) + `}`, "", "no urls"},
		{"media type twice", `{` + ociImage + `,` + image1 + `,"mediaType":"x"}`, "", "mediaType twice"},
		{"media type in another case", `{` + ociImage + `,` + image1 + `,"MediaType":"x"}`, "", "mediaType twice"},
		{"layers twice", `{` + ociImage + `,` + image1 + `,"layers":[]}`, "", "layers twice"},
		{"config twice", `{"config":null,` + ociImage + `,` + image1 + `}`, "", "config twice"},
		{"manifests twice", `{` + ociIndex + `,` + index1 + `,"Manifests":[]}`, "", "manifests twice"},
		{"version twice", `{"schemaVersion":2,` + ociImage + `,` + image1 + `}`, "", "schemaVersion twice"},
		{"subject twice", `{` + ociImage + `,` + image1 + `,"subject":` + descA + `,"subject":` + descB + `}`, "", "subject twice"},
		{"annotations not strings", `{` + ociImage + `,` + image1 + `,"annotations":{"a":1}}`, "", "annotations"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := parseManifest([]byte(tt.content))
			if tt.mediaType != "" {
				if err != nil || m.mediaType != tt.mediaType {
					t.Errorf("parseManifest = %q, %v, want %q", m.mediaType, err, tt.mediaType)
				}
				return
			}
			if !errors.Is(err, ErrManifestInvalid) || !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("parseManifest = %v, want ErrManifestInvalid with %q", err, tt.reason)
			}
		})
	}
}

func TestParseManifestTooLarge(t *testing.T) {
	whole := `{` + ociImage + `,` + image1 + `}`
	whole += strings.Repeat(" ", MaxManifestSize-len(whole))
	if _, err := parseManifest([]byte(whole)); err != nil {
		t.Errorf("manifest of 4 MiB: %v", err)
	}
	if _, err := parseManifest([]byte(whole + " ")); !errors.Is(err, ErrTooLarge) {
		t.Errorf("manifest of 4 MiB and a byte: %v, want ErrTooLarge", err)
	}
}

func TestURLRules(t *testing.T) {
	re := func(s ...string) (list []*regexp.Regexp) {
		for _, e := range s {
			list = append(list, regexp.MustCompile(e))
		}
		return list
	}
	allowAll := URLRules{Allow: re(".")}
	tests := []struct {
		name      string
		rules     URLRules
		image     string
		mediaType string
		url       string
		ok        bool
	}{
		{"nothing configured", URLRules{}, dockerImage, dockerForeignLayer, "https://foo/x", false},
		{"allowed", URLRules{Allow: re("^https://bar/", "^https://foo/")}, dockerImage, dockerForeignLayer, "https://foo/x", true},
		{"not allowed", URLRules{Allow: re("^https://foo/")}, dockerImage, dockerForeignLayer, "https://bar/x", false},
		{"denied", URLRules{Allow: re("."), Deny: re("^https://foo/")}, dockerImage, dockerForeignLayer, "https://foo/x", false},
		{"only others denied", URLRules{Deny: re("^https://foo/")}, dockerImage, dockerForeignLayer, "https://bar/x", true},
		{"http", allowAll, dockerImage, dockerForeignLayer, "http://foo/x", true},
		{"file", allowAll, dockerImage, dockerForeignLayer, "file:///etc/passwd", false},
		{"no scheme", allowAll, dockerImage, dockerForeignLayer, "foo/x", false},
		{"empty", allowAll, dockerImage, dockerForeignLayer, "", false},
		{"fragment", allowAll, dockerImage, dockerForeignLayer, "https://foo/x#y", false},
		{"unparsable", allowAll, dockerImage, dockerForeignLayer, "https://foo/%zz", false},
		{"docker ordinary layer is not looked at", URLRules{}, dockerImage, "application/vnd.docker.image.rootfs.diff.tar.gzip", "https://foo/x", true},
		{"OCI foreign", URLRules{}, ociImage, ociForeignLayerGzip, "https://foo/x", false},
		{"OCI ordinary layer", URLRules{}, ociImage, v1.MediaTypeImageLayerGzip, "https://foo/x", false},
		{"OCI zstd layer is not looked at", URLRules{}, ociImage, v1.MediaTypeImageLayerZstd, "https://foo/x", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := parseManifest([]byte(`{` + tt.image + `,"config":` + descA + `,"layers":[{"mediaType":"` + tt.mediaType +
				`","digest":"` + string(hexOf("b")) + `","urls":["` + tt.url + `"]}]}`))
			if err != nil {
				t.Fatal(err)
			}
			err = m.checkURLs(tt.rules)
			if tt.ok && err != nil || !tt.ok && !errors.Is(err, ErrManifestInvalid) {
				t.Errorf("checkURLs(%s) = %v, want ok %v", tt.url, err, tt.ok)
			}
			if !tt.ok && Remedy(err) == "" {
				t.Errorf("no remedy for %v", err)
			}
		})
	}
}

func TestReferencesOf(t *testing.T) {
	a, b, c := hexOf("a"), hexOf("b"), hexOf("c")
	tests := []struct {
		name, content string
		want          []digest.Digest
	}{
		{"image", `{` + ociImage + `,` + image1 + `}`, []digest.Digest{a, b}},
		{"index", `{` + ociIndex + `,` + index1 + `}`, []digest.Digest{b}},
		{"schema 1", `{"schemaVersion":1,"fsLayers":[{"blobSum":"` + string(c) + `"},{"blobSum":"` + string(a) + `"}]}`, []digest.Digest{c, a}},
		{"artifact", `{"mediaType":"` + ociArtifact + `","blobs":[` + descB + `]}`, []digest.Digest{b}},
		{"wrong types beside", `{"config":` + descA + `,"layers":"x","manifests":[` + descB + `]}`, []digest.Digest{a, b}},
		{"bad digests", `{"config":{"digest":"x"},"layers":[{},` + descB + `]}`, []digest.Digest{b}},
		{"no JSON", `layer`, nil},
		{"empty", ``, nil},
	}
	for _, tt := range tests {
		if got := referencesOf([]byte(tt.content)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: referencesOf = %v, want %v", tt.name, got, tt.want)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(`{` + ociImage + `,` + image1 + `}`))
	f.Add([]byte(`{` + ociIndex + `,` + index1 + `}`))
	f.Add([]byte(`{` + dockerImage + `,` + image1 + `}`))
	f.Add([]byte(`{` + dockerList + `,` + index1 + `}`))
	f.Add([]byte(`{"schemaVersion":2,"Layers":[],"manifestſ":[]}`))
	f.Add([]byte(`{"schemaVersion":1}`))
	f.Add([]byte(`[[[[`))
	f.Fuzz(func(t *testing.T, content []byte) {
		m, err := parseManifest(content)
		referencesOf(content)
		if err != nil {
			if !errors.Is(err, ErrManifestInvalid) && !errors.Is(err, ErrTooLarge) {
				t.Errorf("error is neither ErrManifestInvalid nor ErrTooLarge: %v", err)
			}
			return
		}
		if !json.Valid(content) {
			t.Errorf("took what is no JSON: %q", content)
		}
		if m.isIndex() == (m.config != nil) || m.isIndex() && len(m.layers) > 0 || !m.isIndex() && len(m.children) > 0 {
			t.Errorf("an index and an image at once: %q", content)
		}
		all := referencesOf(content)
		for _, desc := range append(m.blobs(), m.children...) {
			if desc.Digest.Validate() != nil || desc.Size < 0 {
				t.Errorf("took descriptor %+v", desc)
			}
			if !slices.Contains(all, desc.Digest) {
				t.Errorf("referencesOf leaves out %s of %q", desc.Digest, content)
			}
		}
	})
}
