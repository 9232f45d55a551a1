package layout

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
	"registryfs/drivers/inmemory"
)

// onBoth runs a test on a driver with local files and on one without.
func onBoth(t *testing.T, test func(t *testing.T, d drivers.StorageDriver)) {
	t.Run("inmemory", func(t *testing.T) { test(t, inmemory.New()) })
	t.Run("filesystem", func(t *testing.T) { test(t, newFilesystem(t)) })
}

func TestBlobPut(t *testing.T) {
	onBoth(t, func(t *testing.T, d drivers.StorageDriver) {
		r := New(d, testOptions(t, Options{}))
		blobs := r.Repository("a").Blobs()
		for _, size := range []int{0, 1, 4096, maxSpooled, maxSpooled + 1} {
			content := strings.Repeat("x", size)
			dgst := digest.FromString(content)
			for _, want := range []digest.Digest{"", dgst} {
				u := r.NewUpload(want)
				defer u.Close()
				writeChunks(t, u, content, 1<<20)
				put, err := blobs.Put(t.Context(), u, want)
				if err != nil {
					t.Fatal(err)
				}
				if first := want == ""; put.Digest != dgst || put.Size != int64(size) || put.NewBlob != first || put.NewLink != first || put.ModTime.IsZero() {
					t.Errorf("Put of %d bytes, want %q = %+v", size, want, put)
				}
			}
			if got, err := blobs.Stat(t.Context(), dgst); err != nil || got.Digest != dgst || got.Size != int64(size) || got.Problem != nil {
				t.Errorf("Stat = %+v, %v", got, err)
			}
			if content := readAll(t, r, dgst); digest.FromString(content) != dgst {
				t.Errorf("blob of %d bytes reads as other %d bytes", size, len(content))
			}
		}
	})
}

func writeChunks(t *testing.T, u *Upload, content string, chunk int) {
	t.Helper()
	for off := 0; off < len(content); off += chunk {
		part := content[off:min(off+chunk, len(content))]
		if n, err := u.WriteAt(t.Context(), []byte(part), int64(off)); err != nil || n != len(part) {
			t.Fatalf("WriteAt(%d) = %d, %v", off, n, err)
		}
	}
}

func readAll(t *testing.T, r *Registry, d digest.Digest) string {
	t.Helper()
	b, err := r.Blobs().Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	buf := make([]byte, b.Size())
	if n, err := b.ReadAt(t.Context(), buf, 0); n < len(buf) && err != nil {
		t.Fatal(err)
	}
	return string(buf)
}

func TestBlobPutRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, d drivers.StorageDriver) {
		r := newSmallSpool(t, d, Options{})
		blobs := r.Repository("a").Blobs()
		large := strings.Repeat("large", smallSpool/2)
		tests := []struct {
			name, content string
			want          digest.Digest
			err           error
		}{
			{"other digest", "x", hexOf("a"), ErrDigestMismatch},
			{"other sha512 digest", "x", digest.SHA512.FromString("y"), ErrDigestMismatch},
			{"large, other digest", large, hexOf("a"), ErrDigestMismatch},
			{"no digest", "x", "sha256:x", ErrDigestInvalid},
		}
		for _, tt := range tests {
			u := r.NewUpload(tt.want)
			writeChunks(t, u, tt.content, 8<<10)
			if put, err := blobs.Put(t.Context(), u, tt.want); !errors.Is(err, tt.err) {
				t.Errorf("%s: Put = %+v, %v, want %v", tt.name, put, err, tt.err)
			}
			if err := u.Close(); err != nil {
				t.Errorf("%s: Close: %v", tt.name, err)
			}
		}
		if files := paths(t, d); len(files) != 0 {
			t.Errorf("refused puts leave %q", files)
		}
	})
}

// A stored blob that is no longer whole is replaced; in a local store also one
// with as many other bytes.
func TestBlobPutRepairs(t *testing.T) {
	onBoth(t, func(t *testing.T, d drivers.StorageDriver) {
		r := newSmallSpool(t, d, Options{})
		_, err := drivers.OpenFile(t.Context(), d, "/none")
		local := !errors.Is(err, errors.ErrUnsupported)
		for _, size := range []int{100, smallSpool + 100} {
			content := strings.Repeat("y", size)
			dgst := digest.FromString(content)
			damages := []string{"", content[:size/2], content + "z"}
			if local {
				damages = append(damages, content[:size-1]+"z", "z"+content[1:])
			}
			for i, damaged := range damages {
				for _, want := range []digest.Digest{dgst, ""} {
					put(t, d, blobDataPath(dgst), damaged)
					u := r.NewUpload(want)
					writeChunks(t, u, content, 8<<10)
					if put, err := r.Repository("a").Blobs().Put(t.Context(), u, want); err != nil || !put.NewBlob {
						t.Errorf("%d bytes, damage %d: Put = %+v, %v", size, i, put, err)
					}
					if readAll(t, r, dgst) != content {
						t.Errorf("%d bytes, damage %d: not repaired", size, i)
					}
					if err := u.Close(); err != nil {
						t.Error(err)
					}
				}
			}
		}
	})
}

func TestBlobAlias(t *testing.T) {
	d := inmemory.New()
	r := newSmallSpool(t, d, Options{})
	blobs := r.Repository("a").Blobs()
	content := strings.Repeat("alias", smallSpool/2)
	canonical, alias := digest.FromString(content), digest.SHA512.FromString(content)
	u := r.NewUpload(alias)
	defer u.Close()
	writeChunks(t, u, content, 8<<10)
	put, err := blobs.Put(t.Context(), u, alias)
	if err != nil || put.Digest != canonical || !put.NewLink {
		t.Fatalf("Put = %+v, %v", put, err)
	}
	want := []string{blobDataPath(canonical), layerLinkPath("a", canonical), layerLinkPath("a", alias)}
	if got := paths(t, d); !slices.Equal(got, want) {
		t.Errorf("store has %q, want %q", got, want)
	}
	for _, name := range []digest.Digest{canonical, alias} {
		if got, err := blobs.Stat(t.Context(), name); err != nil || got.Digest != canonical || got.Problem != nil {
			t.Errorf("Stat(%s) = %+v, %v", name, got, err)
		}
	}
	if algs, err := blobs.Algorithms(t.Context()); err != nil || !slices.Equal(algs, []digest.Algorithm{"sha256", "sha512"}) {
		t.Errorf("Algorithms = %q, %v", algs, err)
	}
}

func TestBlobLink(t *testing.T) {
	r, _ := newRegistry(t, Options{})
	if _, err := r.Repository("a").Blobs().Put(t.Context(), upload(t, r, "", "x"), ""); err != nil {
		t.Fatal(err)
	}
	b := r.Repository("b").Blobs()
	for i, want := range []bool{true, false} {
		if got, err := b.Link(t.Context(), digest.FromString("x")); err != nil || got != want {
			t.Errorf("Link %d = %v, %v, want %v", i, got, err, want)
		}
	}
	if _, err := b.Link(t.Context(), hexOf("a")); !errors.As(err, new(BlobUnknownError)) {
		t.Errorf("Link of nothing: %v, want BlobUnknownError", err)
	}
	if _, err := b.Link(t.Context(), "x"); !errors.Is(err, ErrDigestInvalid) {
		t.Errorf("Link of no digest: %v, want ErrDigestInvalid", err)
	}
}

func TestBlobUnlink(t *testing.T) {
	r, d := newRegistry(t, Options{})
	p := r.Repository("a")
	img := newImage("one", 1)
	putImage(t, p, "", img)
	layer := digest.FromString(img.blobs[1])
	err := p.Blobs().Unlink(t.Context(), layer)
	var used BlobInUseError
	if !errors.As(err, &used) || used.Manifest != img.digest() || !errors.Is(err, ErrInUse) || Remedy(err) == "" {
		t.Errorf("Unlink of a used blob: %v, want BlobInUseError", err)
	}
	// Odd revisions do not stand in the way.
	put(t, d, revisionLinkPath("a", hexOf("d")), string(hexOf("d")))
	put(t, d, revisionLinkPath("a", hexOf("e")), "")
	put(t, d, blobDataPath(hexOf("f")), "damaged")
	put(t, d, revisionLinkPath("a", hexOf("f")), string(hexOf("f")))
	if err := p.Manifests().Unlink(t.Context(), img.digest()); err != nil {
		t.Fatal(err)
	}
	if err := p.Blobs().Unlink(t.Context(), layer); err != nil {
		t.Errorf("Unlink of an unused blob: %v", err)
	}
	if err := p.Blobs().Unlink(t.Context(), layer); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("second Unlink: %v, want fs.ErrNotExist", err)
	}
	if _, err := r.Blobs().Stat(t.Context(), layer); err != nil {
		t.Errorf("blob after Unlink: %v", err)
	}
	// A wrong-named revision uses what its content names.
	put(t, d, revisionLinkPath("a", hexOf("9")), string(img.digest()))
	config := digest.FromString(img.blobs[0])
	if err := p.Blobs().Unlink(t.Context(), config); !errors.Is(err, ErrInUse) {
		t.Errorf("Unlink of what a wrong-named revision uses: %v, want ErrInUse", err)
	}
}

func TestBlobStore(t *testing.T) {
	onBoth(t, func(t *testing.T, d drivers.StorageDriver) {
		r := newSmallSpool(t, d, Options{})
		s := r.Blobs()
		if algs, err := s.Algorithms(t.Context()); err != nil || !slices.Equal(algs, []string{"sha256"}) {
			t.Errorf("Algorithms of an empty store = %q, %v", algs, err)
		}
		aa := digest.Digest("sha256:aa" + strings.Repeat("0", 62))
		ab := digest.Digest("sha256:ab" + strings.Repeat("0", 62))
		ac := digest.Digest("sha512:aa" + strings.Repeat("0", 126))
		for _, b := range []digest.Digest{aa, ab, ac} {
			put(t, d, blobDataPath(b), "xyz")
		}
		put(t, d, blobsPath+"/md5/aa/"+strings.Repeat("a", 32)+"/data", "")
		put(t, d, blobsPath+"/sha256/zz/stray", "")
		put(t, d, blobsPath+"/sha256/aa/stray", "")
		put(t, d, blobsPath+"/sha256/aa/"+ab.Encoded()+"/data", "wrong shard")
		put(t, d, blobsPath+"/sha256/aa/"+aa.Encoded()+"/other", "")
		put(t, d, blobsPath+"/sha256/"+aa.Encoded()+"/data", "no shard")

		if algs, err := s.Algorithms(t.Context()); err != nil || !slices.Equal(algs, []string{"sha256", "sha512"}) {
			t.Errorf("Algorithms = %q, %v", algs, err)
		}
		var shards []string
		for _, e := range collect(t, s.Shards(t.Context(), "sha256")) {
			shards = append(shards, e.Name)
		}
		slices.Sort(shards)
		if !slices.Equal(shards, []string{"aa", "ab"}) {
			t.Errorf("Shards = %q", shards)
		}
		all := collect(t, s.All(t.Context(), "sha256", "aa"))
		if len(all) != 1 || all[0].Digest != aa || all[0].Size != 3 || all[0].ModTime.IsZero() {
			t.Errorf("All = %+v, want only %s", all, aa)
		}
		for _, shard := range []string{"ff", "zz", "..", "a"} {
			if all := collect(t, s.All(t.Context(), "sha256", shard)); len(all) != 0 {
				t.Errorf("All of shard %q = %+v", shard, all)
			}
		}
		for _, none := range []digest.Digest{hexOf("0"), "", "sha256:x", "md5:" + digest.Digest(strings.Repeat("a", 32))} {
			if _, err := s.Stat(t.Context(), none); !errors.As(err, new(BlobUnknownError)) {
				t.Errorf("Stat(%q): %v, want BlobUnknownError", none, err)
			}
			if _, err := s.Open(t.Context(), none); !errors.As(err, new(BlobUnknownError)) {
				t.Errorf("Open(%q): %v, want BlobUnknownError", none, err)
			}
		}
	})
}
