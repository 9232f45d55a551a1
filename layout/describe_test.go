package layout

import (
	"errors"
	"reflect"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestDescribe(t *testing.T) {
	img := newImage("one", 1)
	variant := `{"os":"linux","architecture":"arm","variant":"v7"}`
	undated := `{"created":"yesterday","os":"linux","architecture":"arm64"}`
	tests := []struct {
		name, content string
		want          Description
	}{
		{"image", img.manifest, Description{
			MediaType: "application/vnd.oci.image.manifest.v1+json", Platform: "linux/amd64", Created: "2024-05-06T07:08:09Z",
		}},
		{"index", `{"schemaVersion":2,"manifests":[{"platform":` + variant + `},{"platform":{"os":"linux","architecture":"amd64"}},{"platform":` +
			variant + `},{}],"annotations":{"org.opencontainers.image.created":"2020-01-01T00:00:00Z"}}`, Description{
			MediaType: "application/vnd.oci.image.index.v1+json", Platform: "linux/arm/v7,linux/amd64", Created: "2020-01-01T00:00:00Z",
			Annotations: map[string]string{"org.opencontainers.image.created": "2020-01-01T00:00:00Z"},
		}},
		{"artifact", `{` + ociImage + `,"artifactType":"a/b","config":{"mediaType":"c/d"},"subject":` + descB + `}`, Description{
			MediaType: "application/vnd.oci.image.manifest.v1+json", ArtifactType: "a/b", Subject: hexOf("b"),
		}},
		{"artifact by its config", `{` + ociImage + `,"config":{"mediaType":"c/d"}}`, Description{
			MediaType: "application/vnd.oci.image.manifest.v1+json", ArtifactType: "c/d",
		}},
		{"config missing", `{` + ociImage + `,` + image1 + `}`, Description{MediaType: "application/vnd.oci.image.manifest.v1+json"}},
		{"created at no time", `{` + ociImage + `,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` +
			string(digest.FromString(undated)) + `"}}`, Description{MediaType: "application/vnd.oci.image.manifest.v1+json", Platform: "linux/arm64"}},
		{"schema 1", `{"schemaVersion":1}`, Description{MediaType: "application/vnd.docker.distribution.manifest.v1+json"}},
		{"bad subject", `{` + ociImage + `,"subject":{"digest":"x"}}`, Description{MediaType: "application/vnd.oci.image.manifest.v1+json"}},
		{"no JSON", "hello", Description{}},
		{"a config", img.blobs[0], Description{}},
	}
	r, d := newRegistry(t, Options{})
	putBlobs(t, r.Repository("a"), img)
	put(t, d, blobDataPath(digest.FromString(undated)), undated)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dgst := digest.FromString(tt.content)
			put(t, d, blobDataPath(dgst), tt.content)
			tt.want.Size = int64(len(tt.content))
			for range 2 {
				if got, err := r.Describe(t.Context(), dgst); err != nil || !reflect.DeepEqual(got, tt.want) {
					t.Errorf("Describe = %+v, %v, want %+v", got, err, tt.want)
				}
			}
		})
	}
	if _, err := r.Describe(t.Context(), hexOf("0")); !errors.As(err, new(ManifestUnknownError)) {
		t.Errorf("Describe of nothing: %v, want ManifestUnknownError", err)
	}
}
