package layout

import (
	"errors"
	"testing"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers/drivertest"
	"registryfs/drivers/inmemory"
)

func TestTotalSize(t *testing.T) {
	d := inmemory.New()
	store := func(content string) digest.Digest {
		put(t, d, blobDataPath(digest.FromString(content)), content)
		return digest.FromString(content)
	}
	ofBlobs := func(list string) string { return `{` + ociImage + `,"config":` + descA + `,"layers":[` + list + `]}` }
	blob := func(digit, size string) string {
		return `{"mediaType":"x/y","digest":"` + string(hexOf(digit)) + `","size":` + size + `}`
	}
	one := ofBlobs(blob("b", "100") + "," + blob("c", "20") + "," + blob("b", "100"))
	two := ofBlobs(blob("b", "100"))
	index := indexOf(store(one), store(two))
	nested := indexOf(store(index), store(two))
	sparse := indexOf(store(two), hexOf("0"), digest.FromString("damaged"))
	put(t, d, blobDataPath(digest.FromString("damaged")), "other bytes")
	for _, tt := range []struct {
		name, content string
		want          int
	}{
		{"image", one, len(one) + 1 + 100 + 20},
		{"index", index, len(index) + len(one) + len(two) + 1 + 100 + 20},
		{"index of an index", nested, len(nested) + len(index) + len(one) + len(two) + 1 + 100 + 20},
		{"children that are not there", sparse, len(sparse) + len(two) + 1 + 100 + 1 + 1},
		{"sizes that cannot be", ofBlobs(blob("b", "-5") + "," + blob("c", "9223372036854775807")), 1<<63 - 1},
		{"no JSON", "hello", 5},
	} {
		dgst := store(tt.content)
		for _, r := range []*Registry{New(d, Options{}), New(drivertest.Remote(d), Options{})} {
			if got, err := r.TotalSize(t.Context(), dgst); err != nil || got != int64(tt.want) {
				t.Errorf("%s: TotalSize = %d, %v, want %d", tt.name, got, err, tt.want)
			}
		}
	}
	r := New(d, Options{})
	if _, err := r.TotalSize(t.Context(), hexOf("0")); !errors.As(err, new(ManifestUnknownError)) {
		t.Errorf("TotalSize of nothing: %v, want ManifestUnknownError", err)
	}
	if _, err := r.TotalSize(t.Context(), digest.FromString("damaged")); !errors.Is(err, ErrCorrupt) {
		t.Errorf("TotalSize of damaged content: %v, want ErrCorrupt", err)
	}
	// What comes to be there counts.
	c := drivertest.NewCounting(d)
	r = New(c, Options{})
	child := ofBlobs(blob("d", "7"))
	late := indexOf(digest.FromString(child))
	if got, err := r.TotalSize(t.Context(), store(late)); err != nil || got != int64(len(late)+1) {
		t.Errorf("TotalSize without the child = %d, %v", got, err)
	}
	store(child)
	for range 2 {
		if got, err := r.TotalSize(t.Context(), digest.FromString(late)); err != nil || got != int64(len(late)+len(child)+1+7) {
			t.Errorf("TotalSize with the child = %d, %v", got, err)
		}
		c.Reset()
	}
	if _, err := r.TotalSize(t.Context(), digest.FromString(late)); err != nil || len(c.Counts()) > 0 {
		t.Errorf("TotalSize once more took %v, %v", c.Counts(), err)
	}
}
