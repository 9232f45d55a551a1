package layout

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
)

func TestRawPut(t *testing.T) {
	hello := digest.FromString("hello")
	hello512 := digest.SHA512.FromString("hello")
	large := strings.Repeat("raw", smallSpool)
	link := string(hexOf("a"))
	noShard := RawPath(blobsPath + "/sha256/" + hello.Encoded() + "/data")
	tests := []struct {
		name    string
		path    RawPath
		content string
		err     error
	}{
		{"blob", RawPath(blobDataPath(hello)), "hello", nil},
		{"sha512 blob", RawPath(blobDataPath(hello512)), "hello", nil},
		{"large blob", RawPath(blobDataPath(digest.FromString(large))), large, nil},
		{"blob with other content", RawPath(blobDataPath(hexOf("a"))), "hello", ErrDigestMismatch},
		{"large blob with other content", RawPath(blobDataPath(hexOf("a"))), large, ErrDigestMismatch},
		{"truncated sha512 blob", RawPath(blobDataPath(hello512)), "hell", ErrDigestMismatch},
		{"blob without a shard", noShard, "hello", nil},
		{"other content without a shard", noShard, "hullo", ErrDigestMismatch},
		{"blob of an unknown algorithm", blobsPath + "/md5/aa/" + RawPath(strings.Repeat("a", 32)) + "/data", "hello", nil},
		{"temporary file of a registry", RawPath(blobDataPath(hexOf("a"))) + ".0190.tmp2", "hel", nil},
		{"link that leads nowhere", RawPath(layerLinkPath("a", hexOf("a"))), link, nil},
		{"link of another name", RawPath(layerLinkPath("a", hexOf("b"))), link, nil},
		{"tag link", RawPath(tagCurrentLinkPath("a", "v")), link, nil},
		{"signature link", RawPath(revisionPath("a", hexOf("a"))) + "/signatures/sha256/" + RawPath(hexOf("b").Encoded()) + "/link", link, nil},
		{"link with a newline", RawPath(tagCurrentLinkPath("a", "v")), link + "\n", ErrLinkInvalid},
		{"empty link", RawPath(layerLinkPath("a", hexOf("a"))), "", ErrLinkInvalid},
		{"large link", RawPath(layerLinkPath("a", hexOf("a"))), large, ErrLinkInvalid},
		{"upload", RawPath(uploadDataPath("a", "id")), "hello", nil},
		{"large upload", RawPath(uploadDataPath("a", "id")), large, nil},
		{"start of an upload", RawPath(uploadStartedAtPath("a", "id")), "2024-05-06T07:08:09Z", nil},
		{"hash state", RawPath(uploadsPath("a") + "/id/hashstates/sha256/5"), "\x00sha\x03", nil},
		{"scheduler state", "/scheduler-state.json", "{}", nil},
		{"stray", "/some.file_-X", "", nil},
		{"illegal name", "/a b", "x", ErrNameInvalid},
		{"dot dot", "/a/../b", "x", ErrNameInvalid},
		{"no slash", "a", "x", ErrNameInvalid},
		{"empty path", "", "x", ErrNameInvalid},
		{"root", "/", "x", fs.ErrInvalid},
	}
	onBoth(t, func(t *testing.T, d drivers.StorageDriver) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				raw := newSmallSpool(t, d, Options{}).Raw()
				for _, want := range []digest.Digest{raw.Want(tt.path), ""} {
					u := raw.r.NewUpload(want)
					writeChunks(t, u, tt.content, 8<<10)
					got, err := raw.Put(t.Context(), tt.path, u, day2020)
					if !errors.Is(err, tt.err) {
						t.Errorf("Put = %+v, %v, want %v", got, err, tt.err)
					}
					if err := u.Close(); err != nil {
						t.Error(err)
					}
					if tt.err != nil {
						continue
					}
					if got.Size != int64(len(tt.content)) || !got.ModTime.Equal(day2020) || got.Blob != raw.Want(tt.path) || got.Dir {
						t.Errorf("Put = %+v", got)
					}
					if content, err := d.GetContent(t.Context(), string(tt.path)); err != nil || string(content) != tt.content {
						t.Errorf("stored: %d bytes, %v", len(content), err)
					}
				}
				if files := deleteAll(t, d); (len(files) > 0) != (tt.err == nil) {
					t.Errorf("after a put with result %v there is %q", tt.err, files)
				}
			})
		}
	})
}

// deleteAll empties the store of the files it returns.
func deleteAll(t *testing.T, d drivers.StorageDriver) []string {
	t.Helper()
	files := paths(t, d)
	all, err := d.List(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		if err := d.Delete(t.Context(), path); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// A changed link of the same length, and anything not named by a digest, is
// written whatever is there.
func TestRawReplaces(t *testing.T) {
	onBoth(t, func(t *testing.T, d drivers.StorageDriver) {
		r := New(d, testOptions(t, Options{}))
		for _, path := range []RawPath{RawPath(tagCurrentLinkPath("a", "v")), "/scheduler-state.json"} {
			for _, content := range []string{string(hexOf("a")), string(hexOf("b"))} {
				if _, err := r.Raw().Put(t.Context(), path, upload(t, r, "", content), time.Time{}); err != nil {
					t.Fatal(err)
				}
				if got, err := d.GetContent(t.Context(), string(path)); err != nil || string(got) != content {
					t.Errorf("%s = %q, %v, want %q", path, got, err, content)
				}
			}
		}
	})
}

// What raw changes shows in the other views at once.
func TestRawSeen(t *testing.T) {
	r, _ := newRegistry(t, Options{})
	p := r.Repository("a")
	img := newImage("one", 1)
	putImage(t, p, "v", img)
	path := RawPath(blobDataPath(img.digest()))
	if err := r.Raw().Delete(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if tag, err := p.Tags().Get(t.Context(), "v"); err != nil || !errors.Is(tag.Problem, ErrCorrupt) {
		t.Errorf("Get after the blob is removed = %+v, %v", tag, err)
	}
	if _, err := p.Manifests().Get(t.Context(), img.digest()); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Get of the manifest: %v, want ErrCorrupt", err)
	}
	if _, err := r.Raw().Put(t.Context(), path, upload(t, r, "", img.manifest), day2020); err != nil {
		t.Fatal(err)
	}
	if tag, err := p.Tags().Get(t.Context(), "v"); err != nil || tag.Problem != nil || !tag.ModTime.Equal(day2020) {
		t.Errorf("Get after it is put back = %+v, %v", tag, err)
	}
}

func TestRawRemove(t *testing.T) {
	r, d := newRegistry(t, Options{})
	raw := r.Raw()
	put(t, d, "/a/b/c", "x")
	ctx := t.Context()
	if err := raw.RemoveDir(ctx, "/a/b"); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("RemoveDir of what is not empty: %v, want ErrNotEmpty", err)
	}
	if err := raw.Delete(ctx, "/a/b"); err == nil || isAbsent(err) || !has(t, d, "/a/b/c") {
		t.Errorf("Delete of a directory: %v, want a refusal", err)
	}
	if err := raw.Delete(ctx, "/a/b/c"); err != nil {
		t.Error(err)
	}
	if err := raw.RemoveDir(ctx, "/a/b"); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"Delete":     raw.Delete(ctx, "/a/b/c"),
		"RemoveDir":  raw.RemoveDir(ctx, "/a/b"),
		"SetModTime": raw.SetModTime(ctx, "/a/b/c", day2020),
	} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s of what is gone: %v, want fs.ErrNotExist", name, err)
		}
	}
	if _, err := raw.Stat(ctx, "/a/b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat: %v, want fs.ErrNotExist", err)
	}
	if _, err := raw.Open(ctx, "/a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open of a directory: %v, want fs.ErrNotExist", err)
	}
	if err := raw.SetModTime(ctx, "/a", day2020); err != nil {
		t.Error(err)
	}
	if e, err := raw.Stat(ctx, "/a"); err != nil || !e.Dir || !e.ModTime.Equal(day2020) {
		t.Errorf("Stat(/a) = %+v, %v", e, err)
	}
	if e, err := raw.Stat(ctx, "/"); err != nil || !e.Dir {
		t.Errorf("Stat(/) = %+v, %v", e, err)
	}
	var names []string
	for _, e := range collect(t, raw.List(ctx, "/")) {
		names = append(names, e.Name)
	}
	if !slices.Equal(names, []string{"a"}) {
		t.Errorf("List(/) = %q", names)
	}
}

func TestRawNames(t *testing.T) {
	d := hexOf("a")
	tests := []struct {
		path string
		want Names
	}{
		{blobDataPath(d), Names{Blob: d}},
		{blobsPath + "/sha256/aa", Names{}},
		{blobDataPath(d) + ".tmp", Names{}},
		{tagCurrentLinkPath("a/b", "v"), Names{Repository: "a/b", Tag: "v"}},
		{tagIndexLinkPath("a/b", "v", d), Names{Repository: "a/b", Tag: "v"}},
		{tagPath("a/b", "v"), Names{Repository: "a/b", Tag: "v"}},
		{tagsPath("a/b"), Names{Repository: "a/b"}},
		{tagsPath("a/b") + "/.x", Names{Repository: "a/b"}},
		{revisionLinkPath("a/b", d), Names{Repository: "a/b", Manifest: d}},
		{revisionPath("a/b", d), Names{Repository: "a/b", Manifest: d}},
		{revisionsPath("a/b") + "/sha256", Names{Repository: "a/b"}},
		{layerLinkPath("a/b", d), Names{Repository: "a/b", Layer: d}},
		{layersPath("a/b"), Names{Repository: "a/b"}},
		{uploadDataPath("a/b", "id"), Names{Repository: "a/b"}},
		{repositoryPath("a/b"), Names{Repository: "a/b"}},
		{repositoryPath("a") + "/_referrers/x", Names{Repository: "a"}},
		{repositoriesPath, Names{}},
		{repositoriesPath + "/UPPER/_manifests", Names{}},
		{"/scheduler-state.json", Names{}},
		{"/", Names{}},
		{"", Names{}},
	}
	for _, tt := range tests {
		if got := (RawTree{}).Names(RawPath(tt.path)); got != tt.want {
			t.Errorf("Names(%s) = %+v, want %+v", tt.path, got, tt.want)
		}
	}
}

func TestRawPath(t *testing.T) {
	if got := RawPath("/").Join("a").Join("b"); got != "/a/b" {
		t.Errorf("Join = %s", got)
	}
	for path, part := range map[RawPath]string{
		"/": "", "/a": "", "/a.b/_c-D": "", "/a b": `"a b"`, "/a/..": `".."`, "/a//b": `""`, "/a/": `""`, "": `""`, "a": "slash", "/ä": "ä",
	} {
		err := RawTree{}.Check(path)
		if part == "" && err != nil || part != "" && (!errors.Is(err, ErrNameInvalid) || !strings.Contains(err.Error(), part)) {
			t.Errorf("Check(%q) = %v, want it to name %s", path, err, part)
		}
	}
}
