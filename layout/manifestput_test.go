package layout

import (
	"testing"
)

func TestPutTagged(t *testing.T) {
	r, d := newRegistry(t, Options{})
	p := r.Repository("team/app")
	img := newImage("one", 2)
	got := putImage(t, p, "v1", img)
	if got.Digest != img.digest() || !got.NewBlob || !got.NewLink || got.Size != int64(len(img.manifest)) {
		t.Errorf("Put = %+v", got)
	}
	for _, p := range paths(t, d) {
		t.Log(p)
	}
	tag, err := p.Tags().Get(t.Context(), "v1")
	if err != nil || tag.Digest != img.digest() || tag.Problem != nil || tag.Size != got.Size {
		t.Errorf("Get(v1) = %+v, %v", tag, err)
	}
	content, err := p.Manifests().Get(t.Context(), tag.Digest)
	if err != nil || string(content) != img.manifest {
		t.Errorf("Get(%s) = %q, %v", tag.Digest, content, err)
	}
}
