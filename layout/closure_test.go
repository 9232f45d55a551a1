package layout

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestPromote(t *testing.T) {
	img := newImage("one", 2)
	index := newIndex(newImage("x", 1), newImage("y", 1))
	tests := []struct {
		policy ReferencePolicy
		served bool
		err    error
		linked bool
	}{
		{ReferencesSource, true, nil, true},
		{ReferencesSource, false, ErrManifestBlobUnknown, false},
		{ReferencesStore, false, nil, true},
		{ReferencesStrict, true, ErrManifestBlobUnknown, false},
		{ReferencesNone, false, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.policy.String(), func(t *testing.T) {
			var log bytes.Buffer
			r, d := newRegistry(t, Options{References: tt.policy, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			from, to := r.Repository("from"), r.Repository("to")
			putImage(t, from, "v", img)
			for _, child := range []image{newImage("x", 1), newImage("y", 1)} {
				putImage(t, from, "", child)
			}
			putImage(t, from, "index", index)
			for _, src := range []image{img, index} {
				if tt.served {
					r.Served("from", src.digest())
				}
				put, err := to.Manifests().Promote(t.Context(), src.digest(), PutOptions{Tag: "v"})
				if !errors.Is(err, tt.err) {
					t.Fatalf("Promote: %v, want %v", err, tt.err)
				}
				if err != nil {
					if has(t, d, repositoryPath("to")) {
						t.Error("a refused promotion leaves something")
					}
					if Remedy(err) == "" {
						t.Errorf("no remedy for %v", err)
					}
					continue
				}
				if (len(put.Linked) > 0) != tt.linked || put.NewBlob || !put.NewLink {
					t.Errorf("Promote = %+v", put)
				}
				for _, l := range put.Linked {
					if !strings.Contains(log.String(), string(l)) {
						t.Errorf("link of %s is not logged", l)
					}
				}
				if tt.linked {
					wholeTag(t, to, "v")
				}
			}
		})
	}
}

// wholeTag fails unless the tag and all it needs are linked and right.
func wholeTag(t *testing.T, p Repository, tag TagName) {
	t.Helper()
	got, err := p.Tags().Get(t.Context(), tag)
	if err != nil || got.Problem != nil {
		t.Errorf("tag %s: %v, %v", tag, err, got.Problem)
		return
	}
	wholeManifest(t, p, got.Digest)
}

func wholeManifest(t *testing.T, p Repository, d digest.Digest) {
	t.Helper()
	content, err := p.Manifests().Get(t.Context(), d)
	if err != nil || digest.FromBytes(content) != d {
		t.Errorf("manifest %s of %s: %v", d, p.Name(), err)
		return
	}
	m, err := parseManifest(content)
	if err != nil {
		t.Errorf("manifest %s of %s: %v", d, p.Name(), err)
	}
	for _, child := range m.children {
		wholeManifest(t, p, child.Digest)
	}
	for _, b := range m.blobs() {
		desc, err := p.Blobs().Stat(t.Context(), b.Digest)
		if err != nil || desc.Problem != nil || desc.Size != b.Size {
			t.Errorf("blob %s of %s: %+v, %v", b.Digest, p.Name(), desc, err)
		}
	}
}

// A manifest that only names another repository's layer must not get it.
func TestClosureKeepsPrivate(t *testing.T) {
	r, _ := newRegistry(t, Options{})
	private := newImage("private", 1)
	putImage(t, r.Repository("private"), "v", private)
	r.Served("private", private.digest())

	var m v1.Manifest
	if err := json.Unmarshal([]byte(private.manifest), &m); err != nil {
		t.Fatal(err)
	}
	m.Annotations = map[string]string{"mine": "all mine"}
	mine := toJSON(m)
	_, err := r.Repository("mine").Manifests().Put(t.Context(), upload(t, r, "", mine), PutOptions{Tag: "v"})
	if !errors.Is(err, ErrManifestBlobUnknown) {
		t.Fatalf("Put: %v, want ErrManifestBlobUnknown", err)
	}
	for _, b := range private.blobs {
		if !strings.Contains(err.Error(), string(digest.FromString(b))) {
			t.Errorf("%v does not name %s", err, digest.FromString(b))
		}
	}
	// Without the tag only its form counts, and nothing is linked.
	if _, err := r.Repository("mine").Manifests().Put(t.Context(), upload(t, r, "", mine), PutOptions{}); err != nil {
		t.Errorf("Put without tag: %v", err)
	}
	if got := collect(t, r.Repository("mine").Blobs().All(t.Context(), "sha256")); len(got) != 0 {
		t.Errorf("linked %q", got)
	}
}

func TestClosureIndexChildren(t *testing.T) {
	amd, arm := newImage("amd", 1), newImage("arm", 1)
	index := newIndex(amd, arm)
	linux := func(arch string) IndexChildren {
		return IndexChildren{Mode: ChildrenList, Platforms: []Platform{{"linux", arch}}}
	}
	tests := []struct {
		name     string
		children IndexChildren
		has      []image
		ok       bool
	}{
		{"all, both", IndexChildren{}, []image{amd, arm}, true},
		{"all, one", IndexChildren{}, []image{amd}, false},
		{"none, none", IndexChildren{Mode: ChildrenNone}, nil, true},
		{"none, one", IndexChildren{Mode: ChildrenNone}, []image{arm}, true},
		{"list, listed", linux("amd64"), []image{amd}, true},
		{"list, other", linux("arm64"), []image{amd}, false},
		{"list, nothing listed", IndexChildren{Mode: ChildrenList}, nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, _ := newRegistry(t, Options{IndexChildren: tt.children})
			p := r.Repository("a")
			for _, img := range tt.has {
				putImage(t, p, "", img)
			}
			_, err := p.Manifests().Put(t.Context(), upload(t, r, "", index.manifest), PutOptions{Tag: "v"})
			if tt.ok != (err == nil) || err != nil && !errors.Is(err, ErrManifestBlobUnknown) {
				t.Errorf("Put: %v, want ok %v", err, tt.ok)
			}
		})
	}
	t.Run("list, child without platform", func(t *testing.T) {
		r, _ := newRegistry(t, Options{IndexChildren: linux("amd64")})
		content := `{` + ociIndex + `,` + index1 + `}`
		if _, err := r.Repository("a").Manifests().Put(t.Context(), upload(t, r, "", content), PutOptions{Tag: "v"}); err != nil {
			t.Errorf("Put: %v", err)
		}
	})
	t.Run("child whose own layer is missing", func(t *testing.T) {
		r, d := newRegistry(t, Options{})
		p := r.Repository("a")
		putImage(t, p, "", amd)
		putImage(t, p, "", arm)
		if err := d.Delete(t.Context(), layerPath("a", digest.FromString(arm.blobs[1]))); err != nil {
			t.Fatal(err)
		}
		_, err := p.Manifests().Put(t.Context(), upload(t, r, "", index.manifest), PutOptions{Tag: "v"})
		if !errors.Is(err, ErrManifestBlobUnknown) {
			t.Errorf("Put: %v, want ErrManifestBlobUnknown", err)
		}
	})
}

func TestClosureExempt(t *testing.T) {
	foreign := `{` + ociImage + `,"config":` + descA + `,"subject":` + descA + `,"layers":[{"mediaType":"` + ociForeignLayer +
		`","digest":"` + string(hexOf("b")) + `","urls":["https://x/"]}]}`
	r, d := newRegistry(t, Options{})
	p := r.Repository("a")
	put(t, d, blobDataPath(hexOf("a")), "x")
	put(t, d, layerLinkPath("a", hexOf("a")), string(hexOf("a")))
	// The URL rules hold for new manifests; this one is known.
	dgst := digest.FromString(foreign)
	put(t, d, blobDataPath(dgst), foreign)
	put(t, d, revisionLinkPath("a", dgst), string(dgst))
	if _, err := p.Manifests().Put(t.Context(), upload(t, r, "", foreign), PutOptions{Tag: "v"}); err != nil {
		t.Errorf("Put of a known manifest with a foreign layer: %v", err)
	}
	if _, err := r.Repository("b").Manifests().Put(t.Context(), upload(t, r, "", foreign), PutOptions{}); !errors.Is(err, ErrManifestInvalid) {
		t.Errorf("Put of it elsewhere: %v, want ErrManifestInvalid", err)
	}
	r.Served("a", dgst)
	got, err := r.Repository("b").Manifests().Promote(t.Context(), dgst, PutOptions{Tag: "v"})
	if err != nil || !slices.Equal(got.Linked, []digest.Digest{hexOf("a")}) {
		t.Errorf("promotion: %+v, %v, want only the config linked", got, err)
	}
}

// A sha512 layer is a link of that name that holds a sha256 digest.
func TestClosureAlias(t *testing.T) {
	r, d := newRegistry(t, Options{})
	layer := "layer"
	alias := digest.SHA512.FromString(layer)
	from := r.Repository("from")
	if _, err := from.Blobs().Put(t.Context(), upload(t, r, alias, layer), alias); err != nil {
		t.Fatal(err)
	}
	m := `{` + ociImage + `,"config":{"mediaType":"x/y","digest":"` + string(alias) + `","size":5}}`
	if _, err := from.Manifests().Put(t.Context(), upload(t, r, "", m), PutOptions{Tag: "v"}); err != nil {
		t.Fatal(err)
	}
	r.Served("from", digest.FromString(m))
	if _, err := r.Repository("to").Manifests().Promote(t.Context(), digest.FromString(m), PutOptions{Tag: "v"}); err != nil {
		t.Fatal(err)
	}
	content, err := d.GetContent(t.Context(), layerLinkPath("to", alias))
	if err != nil || string(content) != string(digest.FromString(layer)) {
		t.Errorf("link = %q, %v, want the sha256 digest", content, err)
	}
}
