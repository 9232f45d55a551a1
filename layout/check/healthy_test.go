package check

import (
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// foreign is the manifest of an image whose layer clients get from elsewhere.
func foreign(config, layer digest.Digest) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",`+
		`"config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":%q},`+
		`"layers":[{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","digest":%q,"urls":["https://example.com/layer"]}]}`, config, layer)
}

// TestHealthy is about stores in which nothing is wrong.
func TestHealthy(t *testing.T) {
	for name, make := range map[string]func(s *store, m, l digest.Digest){
		"foreign layer": func(s *store, m, l digest.Digest) {
			s.manifest("app", "foreign", foreign(s.blob("app", "config").Digest, absent))
		},
		// Somebody has pushed it all the same, to another repository.
		"foreign layer of another repository": func(s *store, m, l digest.Digest) {
			s.manifest("windows", "foreign", foreign(s.blob("windows", "config").Digest, l))
		},
		"layer by its sha512": func(s *store, m, l digest.Digest) {
			alias := digest.SHA512.FromString("layer of one")
			s.write(s.reg.Repository("app").LayerLink(alias), string(l))
			s.manifest("app", "alias", fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",`+
				`"config":{"digest":%q},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":12}]}`, s.blob("app", "config").Digest, alias))
		},
		"pull-through cache": func(s *store, m, l digest.Digest) {
			s.write("/scheduler-state.json", "{}")
			p := s.reg.Repository("library/app")
			_, fetched := s.image("library/app", "latest", "fetched")
			s.remove(layout.RawBlob(fetched)) // and expired
			config := s.blob("library/app", "config").Digest
			s.manifest("library/app", "lazy", fmt.Sprintf(
				`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"digest":%q},"layers":[{"digest":%q},{"digest":%q}]}`, config, absent, l))
			gone, _ := s.image("library/app", "gone", "gone")
			s.remove(p.RevisionLink(gone))
			s.remove(layout.RawBlob(gone))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			m, l := s.image("app", "v1", "one")
			make(s, m, l)
			out := s.check(Options{Data: true, Repair: true, MinAge: 1e15})
			if want(t, "findings", out.found); len(out.fixes) > 0 {
				t.Errorf("repairs: %q", out.fixes)
			}
		})
	}
}
