package layout

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
	"registryfs/drivers/drivertest"
	"registryfs/drivers/inmemory"
)

// contentOf reads an upload whole.
func contentOf(t *testing.T, u *Upload) string {
	t.Helper()
	content, err := io.ReadAll(io.NewSectionReader(u, 0, u.Size()))
	if err != nil {
		t.Fatalf("read upload: %v", err)
	}
	return string(content)
}

// TestUploadModel makes random changes and compares with a slice, in memory, in
// a temporary file and on the way from one to the other.
func TestUploadModel(t *testing.T) {
	for _, tt := range []struct {
		name   string
		memory int64
		unit   int
		rounds int
	}{
		{"memory", 0, 1 << 10, 20},
		{"temporary file", 1, 1 << 10, 20},
		{"both", 0, 1 << 20, 2},
		{"little memory", 40 << 10, 1 << 12, 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, _ := newRegistry(t, Options{SpoolMemory: tt.memory})
			rnd := rand.New(rand.NewPCG(1, 2))
			for range tt.rounds {
				u := r.NewUpload("")
				var model []byte
				for range 30 {
					switch n := rnd.IntN(16 * tt.unit); rnd.IntN(6) {
					case 0:
						if err := u.Truncate(int64(n)); err != nil {
							t.Fatal(err)
						}
						model = append(model, make([]byte, max(0, n-len(model)))...)[:n]
					case 1:
						if got, err := u.Digest(digest.SHA512); err != nil || got != digest.SHA512.FromBytes(model) {
							t.Fatalf("sha512 = %v, %v", got, err)
						}
					default:
						off := len(model)
						if rnd.IntN(3) == 0 {
							off = n
						}
						p := bytes.Repeat([]byte{byte(1 + rnd.IntN(255))}, rnd.IntN(tt.unit))
						if _, err := u.WriteAt(t.Context(), p, int64(off)); err != nil {
							t.Fatal(err)
						}
						if len(p) > 0 {
							model = append(model, make([]byte, max(0, off+len(p)-len(model)))...)
							copy(model[off:], p)
						}
					}
					if u.Size() != int64(len(model)) {
						t.Fatalf("Size = %d, want %d", u.Size(), len(model))
					}
					if got, err := u.Digest(digest.SHA256); err != nil || got != digest.FromBytes(model) {
						t.Fatalf("digest = %v, %v, want %v", got, err, digest.FromBytes(model))
					}
				}
				if contentOf(t, u) != string(model) {
					t.Fatal("content differs")
				}
				if err := u.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if want := r.opts.SpoolMemory; r.spool.left != want {
				t.Errorf("%d bytes of memory left, want %d", r.spool.left, want)
			}
			if entries, err := os.ReadDir(r.opts.SpoolDir); err != nil || len(entries) != 0 {
				t.Errorf("spool directory has %v, %v", entries, err)
			}
		})
	}
}

// placeOf is where the bytes of an upload are.
func placeOf(u *Upload) string {
	switch u.place.(type) {
	case *memory:
		return "memory"
	case tempFile:
		return "file"
	case *stream:
		return "stream"
	case storedBlob:
		return "stored"
	}
	return "closed"
}

func TestUploadPlaces(t *testing.T) {
	content := strings.Repeat("0123456789abcdef", smallSpool/16+1)
	dgst := digest.FromString(content)
	const chunk = 8 << 10
	tests := []struct {
		name   string
		want   digest.Digest
		memory int64
		stored string // at dgst
		write  func(t *testing.T, u *Upload)
		local  string // the place, in a local store
		remote string // if it is another there
	}{
		{name: "small", want: dgst, write: func(t *testing.T, u *Upload) { writeChunks(t, u, content[:chunk], 4096) }, local: "memory"},
		{name: "no memory", memory: 1, write: func(t *testing.T, u *Upload) { writeChunks(t, u, content[:chunk], 4096) }, local: "file"},
		{name: "digest known", want: dgst, write: func(t *testing.T, u *Upload) { writeChunks(t, u, content, chunk) }, local: "stream"},
		{name: "digest known, no memory", want: dgst, memory: 1, write: func(t *testing.T, u *Upload) { writeChunks(t, u, content, chunk) }, local: "stream"},
		{name: "digest not known", write: func(t *testing.T, u *Upload) { writeChunks(t, u, content, chunk) }, local: "file"},
		{name: "sha512", want: digest.SHA512.FromString(content), write: func(t *testing.T, u *Upload) { writeChunks(t, u, content, chunk) }, local: "file"},
		{name: "out of order", want: dgst, write: func(t *testing.T, u *Upload) {
			mustWrite(t, u, content[chunk:2*chunk], chunk)
			mustWrite(t, u, content[:chunk], 0)
			mustWrite(t, u, content[2*chunk:], 2*chunk)
		}, local: "file"},
		{name: "a size first", want: dgst, write: func(t *testing.T, u *Upload) {
			if err := u.Truncate(int64(len(content))); err != nil {
				t.Fatal(err)
			}
			writeChunks(t, u, content, chunk)
		}, local: "file"},
		{name: "stored", want: dgst, stored: content, write: func(t *testing.T, u *Upload) { writeChunks(t, u, content, chunk) }, local: "stored", remote: "file"},
		{name: "damaged at the end", want: dgst, stored: content[:len(content)-1] + "x", write: func(t *testing.T, u *Upload) { writeChunks(t, u, content, chunk) }, local: "stream", remote: "file"},
		{name: "damaged at the beginning", want: dgst, stored: "x" + content[1:], write: func(t *testing.T, u *Upload) { writeChunks(t, u, content, chunk) }, local: "stream", remote: "file"},
		{name: "truncated", want: dgst, stored: content[:len(content)-1], write: func(t *testing.T, u *Upload) { writeChunks(t, u, content, chunk) }, local: "stream", remote: "file"},
		{name: "too long", want: dgst, stored: content + "x", write: func(t *testing.T, u *Upload) { writeChunks(t, u, content, chunk) }, local: "stored", remote: "file"},
		{name: "stored, rewritten", want: dgst, stored: content, write: func(t *testing.T, u *Upload) {
			writeChunks(t, u, content, chunk)
			mustWrite(t, u, content[:10], 0)
		}, local: "stored", remote: "file"},
		{name: "stored, changed in the middle and back", want: dgst, stored: content, write: func(t *testing.T, u *Upload) {
			writeChunks(t, u, content, chunk)
			mustWrite(t, u, "x", 100)
			mustWrite(t, u, content[100:101], 100)
		}, local: "file"},
		{name: "stored, cut and written on", want: dgst, stored: content, write: func(t *testing.T, u *Upload) {
			writeChunks(t, u, content, chunk)
			if err := u.Truncate(chunk); err != nil {
				t.Fatal(err)
			}
			mustWrite(t, u, content[chunk:], chunk)
		}, local: "stored", remote: "file"},
		{name: "begun anew", want: dgst, write: func(t *testing.T, u *Upload) {
			writeChunks(t, u, strings.Repeat("x", len(content)), chunk)
			if err := u.Truncate(0); err != nil {
				t.Fatal(err)
			}
			writeChunks(t, u, content, chunk)
		}, local: "stream"},
	}
	onBoth(t, func(t *testing.T, d drivers.StorageDriver) {
		_, err := drivers.OpenFile(t.Context(), d, "/none")
		local := !errors.Is(err, errors.ErrUnsupported)
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				if tt.stored != "" {
					put(t, d, blobDataPath(dgst), tt.stored)
				}
				r := newSmallSpool(t, d, Options{SpoolMemory: tt.memory})
				u := r.NewUpload(tt.want)
				tt.write(t, u)
				want := tt.local
				if !local && tt.remote != "" {
					want = tt.remote
				}
				if got := placeOf(u); got != want {
					t.Errorf("the bytes are in: %s, want: %s", got, want)
				}
				if tt.stored == "" && has(t, d, blobDataPath(dgst)) {
					t.Error("visible before it is put")
				}
				if u.Size() < int64(len(content)) {
					if err := u.Close(); err != nil {
						t.Error(err)
					}
					return
				}
				put, err := r.Repository("a").Blobs().Put(t.Context(), u, tt.want)
				if err != nil || put.Digest != dgst {
					t.Errorf("Put = %+v, %v", put, err)
				}
				// What is put can be read and put again.
				if got := contentOf(t, u); got != content {
					t.Error("the upload's content has changed")
				}
				if again, err := r.Repository("a").Blobs().Put(t.Context(), u, tt.want); err != nil || again.NewBlob || again.NewLink {
					t.Errorf("second Put = %+v, %v", again, err)
				}
				same := tt.stored == "" || tt.stored == content || local || len(tt.stored) != len(content)
				if same && readAll(t, r, dgst) != content {
					t.Error("stored content differs")
				}
				if err := u.Close(); err != nil {
					t.Error(err)
				}
				if err := d.Delete(t.Context(), "/docker"); err != nil {
					t.Fatal(err)
				}
			})
		}
	})
}

func mustWrite(t *testing.T, u *Upload, p string, off int64) {
	t.Helper()
	if _, err := u.WriteAt(t.Context(), []byte(p), off); err != nil {
		t.Fatalf("WriteAt(%d): %v", off, err)
	}
}

func TestUploadStreaming(t *testing.T) {
	content := strings.Repeat("s", smallSpool+1)
	dgst := digest.FromString(content)
	d := inmemory.New()
	r := newSmallSpool(t, d, Options{})
	u := r.NewUpload(dgst)
	defer u.Close()
	writeChunks(t, u, content, 8<<10)

	if _, err := u.WriteAt(t.Context(), []byte("x"), 5); !errors.Is(err, ErrOutOfOrder) || Remedy(err) == "" {
		t.Errorf("write before the end: %v, want ErrOutOfOrder", err)
	}
	if err := u.Truncate(5); !errors.Is(err, ErrOutOfOrder) {
		t.Errorf("Truncate: %v, want ErrOutOfOrder", err)
	}
	if err := u.Truncate(u.Size()); err != nil {
		t.Errorf("Truncate to the size: %v", err)
	}
	if _, err := u.ReadAt(make([]byte, 1), 0); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("ReadAt: %v, want errors.ErrUnsupported", err)
	}
	if got, err := u.Digest(digest.SHA256); err != nil || got != dgst {
		t.Errorf("Digest = %v, %v", got, err)
	}
	if _, err := u.Digest(digest.SHA512); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("sha512: %v, want errors.ErrUnsupported", err)
	}
	if _, err := r.Repository("a").Blobs().Put(t.Context(), u, dgst); err != nil {
		t.Fatal(err)
	}

	t.Run("gap", func(t *testing.T) {
		gapped := content + strings.Repeat("\x00", 3<<20) + "end"
		u := r.NewUpload(digest.FromString(gapped))
		defer u.Close()
		writeChunks(t, u, content, 8<<10)
		mustWrite(t, u, "end", int64(len(gapped)-3))
		if _, err := r.Repository("a").Blobs().Put(t.Context(), u, ""); err != nil {
			t.Errorf("Put with a gap: %v", err)
		}
	})
	t.Run("longer than it should be", func(t *testing.T) {
		u := r.NewUpload(dgst)
		defer u.Close()
		writeChunks(t, u, content, 8<<10)
		if _, err := r.Repository("b").Blobs().Put(t.Context(), u, dgst); err != nil {
			t.Fatal(err)
		}
		mustWrite(t, u, "x", u.Size())
		if _, err := r.Repository("b").Blobs().Put(t.Context(), u, dgst); !errors.Is(err, ErrDigestMismatch) {
			t.Errorf("Put: %v, want ErrDigestMismatch", err)
		}
		if readAll(t, r, dgst) != content {
			t.Error("the stored blob has changed")
		}
	})
	t.Run("put too early", func(t *testing.T) {
		if err := d.Delete(t.Context(), "/docker"); err != nil {
			t.Fatal(err)
		}
		u := r.NewUpload(dgst)
		defer u.Close()
		mustWrite(t, u, content[:smallSpool], 0)
		mustWrite(t, u, content[smallSpool:smallSpool], smallSpool)
		if _, err := r.Repository("b").Blobs().Put(t.Context(), u, dgst); !errors.Is(err, ErrDigestMismatch) {
			t.Errorf("Put: %v, want ErrDigestMismatch", err)
		}
		mustWrite(t, u, content[smallSpool:], smallSpool)
		if _, err := r.Repository("b").Blobs().Put(t.Context(), u, dgst); err != nil {
			t.Errorf("Put of the rest: %v", err)
		}
	})
	t.Run("manifest", func(t *testing.T) {
		img := newImage("m", 1)
		r := New(d, testOptions(t, Options{SpoolMemory: 1}))
		putBlobs(t, r.Repository("c"), img)
		u := r.NewUpload(img.digest())
		defer u.Close()
		mustWrite(t, u, img.manifest, 0)
		if placeOf(u) != "stream" {
			t.Fatalf("in %s", placeOf(u))
		}
		put, err := r.Repository("c").Manifests().Put(t.Context(), u, PutOptions{Tag: "v"})
		if err != nil || !put.NewBlob {
			t.Errorf("Put = %+v, %v", put, err)
		}
	})
}

// A blob that is new to a remote store is sent once, as it comes, and nothing is
// asked for but whether it is there.
func TestUploadRemote(t *testing.T) {
	content := strings.Repeat("s", 3*smallSpool)
	dgst := digest.FromString(content)
	counting := drivertest.NewCounting(drivertest.Remote(inmemory.New()))
	r := newSmallSpool(t, counting, Options{SpoolDir: "/no/such/directory"})
	u := r.NewUpload(dgst)
	defer u.Close()
	writeChunks(t, u, content[:2*smallSpool], 8<<10)
	if counting.Count("Writer") != 1 || placeOf(u) != "stream" {
		t.Errorf("before all is there: %v, in %s", counting.Counts(), placeOf(u))
	}
	for off := 2 * smallSpool; off < len(content); off += 8 << 10 {
		mustWrite(t, u, content[off:off+8<<10], int64(off))
	}
	if has(t, counting, blobDataPath(dgst)) {
		t.Error("visible before it is put")
	}
	if _, err := r.Raw().Put(t.Context(), RawPath(blobDataPath(dgst)), u, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if got := counting.Counts(); got["Writer"] != 1 || got["PutContent"] != 0 || got["Reader"] != 0 || got["Move"] != 0 {
		t.Errorf("calls %v, want one Writer and no copy", got)
	}
	if readAll(t, r, dgst) != content {
		t.Error("other bytes are stored")
	}
}

// Bytes of another digest are taken back from a remote store.
func TestUploadRemoteWrong(t *testing.T) {
	content := strings.Repeat("s", 3*smallSpool)
	d := drivertest.Remote(inmemory.New())
	r := newSmallSpool(t, d, Options{})
	want := hexOf("a")
	u := r.NewUpload(want)
	writeChunks(t, u, content, 8<<10)
	if _, err := r.Repository("a").Blobs().Put(t.Context(), u, want); !errors.Is(err, ErrDigestMismatch) {
		t.Errorf("Put: %v, want ErrDigestMismatch", err)
	}
	if err := u.Close(); err != nil {
		t.Error(err)
	}
	if got := paths(t, d); len(got) > 0 {
		t.Errorf("left: %v", got)
	}
	w, err := d.Writer(t.Context(), blobDataPath(want), true)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if w.Size() > 0 {
		t.Errorf("%d bytes are left of the upload", w.Size())
	}
}

// Uploads begun at the same time and never ended leave others a way.
func TestUploadManyStreams(t *testing.T) {
	d := drivertest.Remote(inmemory.New())
	r := New(d, testOptions(t, Options{Memory: drivers.NewBudget(2 * streamMemory)}))
	r.spool.each = smallSpool
	places := map[string]int{}
	var uploads []*Upload
	for i := range 5 {
		content := strings.Repeat(string(rune('a'+i)), 2*smallSpool)
		u := r.NewUpload(digest.FromString(content))
		defer u.Close()
		writeChunks(t, u, content, 8<<10)
		places[placeOf(u)]++
		uploads = append(uploads, u)
	}
	if places["stream"] != 2 {
		t.Errorf("places %v, want 2 streams", places)
	}
	for _, u := range uploads {
		if _, err := r.Repository("a").Blobs().Put(t.Context(), u, ""); err != nil {
			t.Error(err)
		}
	}
	if r.spool.streams != 0 {
		t.Errorf("%d streams are counted after all have ended", r.spool.streams)
	}
}

func TestUploadClosed(t *testing.T) {
	d := inmemory.New()
	r := newSmallSpool(t, d, Options{})
	content := strings.Repeat("c", smallSpool+1)
	u := r.NewUpload(digest.FromString(content))
	writeChunks(t, u, content, 8<<10)
	for range 2 {
		if err := u.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if _, err := u.WriteAt(t.Context(), []byte("x"), 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("WriteAt after Close: %v, want fs.ErrClosed", err)
	}
	if _, err := u.ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("ReadAt after Close: %v, want fs.ErrClosed", err)
	}
	if _, err := r.Repository("a").Blobs().Put(t.Context(), u, ""); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Put after Close: %v, want fs.ErrClosed", err)
	}
	if files := paths(t, d); len(files) != 0 {
		t.Errorf("a dropped upload leaves %q", files)
	}
}

func TestUploadParallel(t *testing.T) {
	r, _ := newRegistry(t, Options{SpoolMemory: 3 << 20})
	const parts, size = 32, 256 << 10
	u := r.NewUpload("")
	defer u.Close()
	var wg sync.WaitGroup
	for i := range parts {
		wg.Go(func() {
			p := bytes.Repeat([]byte{byte(i)}, size)
			if _, err := u.WriteAt(t.Context(), p, int64(i*size)); err != nil {
				t.Error(err)
			}
			if _, err := u.Digest(digest.SHA256); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var want []byte
	for i := range parts {
		want = append(want, bytes.Repeat([]byte{byte(i)}, size)...)
	}
	if got, err := u.Digest(digest.SHA256); err != nil || got != digest.FromBytes(want) {
		t.Errorf("Digest = %v, %v, want %v", got, err, digest.FromBytes(want))
	}
}

// Who waits for another's long put gives up when its request is interrupted.
func TestUploadInterrupted(t *testing.T) {
	r, _ := newRegistry(t, Options{})
	u := upload(t, r, "", "x")
	done, err := u.acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := u.WriteAt(ctx, []byte("y"), 0); !errors.Is(err, context.Canceled) {
		t.Errorf("WriteAt: %v, want context.Canceled", err)
	}
}

func TestUploadNegative(t *testing.T) {
	r := New(inmemory.New(), Options{})
	u := r.NewUpload("")
	defer u.Close()
	if _, err := u.WriteAt(t.Context(), []byte("x"), -1); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("WriteAt(-1): %v", err)
	}
	if err := u.Truncate(-1); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("Truncate(-1): %v", err)
	}
}
