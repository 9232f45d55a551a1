package layout

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
	"registryfs/drivers/drivertest"
	"registryfs/drivers/inmemory"
)

var errFault = errors.New("injected fault")

// faultOp is a change that must survive a fault at any of its calls.
type faultOp struct {
	name    string
	prepare func(t *testing.T, r *Registry)
	do      func(t *testing.T, r *Registry) error
	// check looks at what a failed do has left, and at the end with done set.
	check func(t *testing.T, r *Registry, done bool)
	// again says which errors a retry may have besides nil: what was asked for
	// had been done.
	again func(error) bool
}

var (
	imgOld  = newImage("old", 1)
	imgNew  = newImage("new", 2)
	imgArm  = newImage("arm", 1)
	imgList = newIndex(imgNew, imgArm)
)

func faultOps() []faultOp {
	large := strings.Repeat("l", smallSpool+100)
	tag := func(r *Registry, name TagName) (digest.Digest, bool) {
		got, err := r.Repository("app").Tags().Get(context.Background(), name)
		return got.Digest, err == nil
	}
	tagIs := func(name TagName, olds ...digest.Digest) func(t *testing.T, r *Registry, done bool) {
		return func(t *testing.T, r *Registry, done bool) {
			t.Helper()
			got, ok := tag(r, name)
			want := olds
			if done {
				want = olds[len(olds)-1:]
			}
			if ok && !slices.Contains(want, got) || !ok && !slices.Contains(want, "") {
				t.Errorf("tag %s is at %q, want one of %q", name, got, want)
			}
		}
	}
	putBlob := func(content string, want digest.Digest) func(t *testing.T, r *Registry) error {
		return func(t *testing.T, r *Registry) error {
			return withUpload(t, r, want, content, func(u *Upload) error {
				_, err := r.Repository("app").Blobs().Put(t.Context(), u, want)
				return err
			})
		}
	}
	putManifest := func(img image, o PutOptions) func(t *testing.T, r *Registry) error {
		return func(t *testing.T, r *Registry) error {
			return withUpload(t, r, "", img.manifest, func(u *Upload) error {
				_, err := r.Repository("app").Manifests().Put(t.Context(), u, o)
				return err
			})
		}
	}
	putRaw := func(path, content string) func(t *testing.T, r *Registry) error {
		return func(t *testing.T, r *Registry) error {
			return withUpload(t, r, r.Raw().Want(RawPath(path)), content, func(u *Upload) error {
				_, err := r.Raw().Put(t.Context(), RawPath(path), u, day2020)
				return err
			})
		}
	}
	blobIs := func(content string) func(t *testing.T, r *Registry, done bool) {
		return func(t *testing.T, r *Registry, done bool) {
			desc, err := r.Repository("app").Blobs().Stat(t.Context(), digest.FromString(content))
			if done && (err != nil || desc.Problem != nil) {
				t.Errorf("blob: %+v, %v", desc, err)
			}
		}
	}
	withOld := func(t *testing.T, r *Registry) {
		putImage(t, r.Repository("app"), "v", imgOld)
		putBlobs(t, r.Repository("app"), imgNew)
	}
	none := digest.Digest("")
	o, n := imgOld.digest(), imgNew.digest()
	return []faultOp{
		{name: "blob", do: putBlob("blob", digest.FromString("blob")), check: blobIs("blob")},
		{name: "blob streamed", do: putBlob(large, digest.FromString(large)), check: blobIs(large)},
		{name: "blob from a temporary file", do: putBlob(large, ""), check: blobIs(large)},
		{name: "blob by sha512", do: putBlob("blob", digest.SHA512.FromString("blob")), check: blobIs("blob")},
		{
			name: "blob that is stored",
			prepare: func(t *testing.T, r *Registry) {
				put(t, r.driver, blobDataPath(digest.FromString("blob")), "blob")
			},
			do: putBlob("blob", ""), check: blobIs("blob"),
		},
		{name: "new tag", prepare: func(t *testing.T, r *Registry) { putBlobs(t, r.Repository("app"), imgNew) },
			do: putManifest(imgNew, PutOptions{Tag: "v"}), check: tagIs("v", none, n)},
		{name: "new tag, exclusive", prepare: func(t *testing.T, r *Registry) { putBlobs(t, r.Repository("app"), imgNew) },
			do: putManifest(imgNew, PutOptions{Tag: "v", Exclusive: true, ModTime: day2020}), check: tagIs("v", none, n),
			again: func(err error) bool { return errors.Is(err, fs.ErrExist) }},
		{name: "moved tag", prepare: withOld, do: putManifest(imgNew, PutOptions{Tag: "v"}), check: tagIs("v", o, n)},
		{name: "moved tag with a time", prepare: withOld, do: putManifest(imgNew, PutOptions{Tag: "v", ModTime: day2020}), check: tagIs("v", o, n)},
		{name: "promotion", prepare: func(t *testing.T, r *Registry) {
			putImage(t, r.Repository("app"), "v", imgOld)
			putImage(t, r.Repository("from"), "", imgNew)
			putImage(t, r.Repository("from"), "", imgArm)
			putImage(t, r.Repository("from"), "v", imgList)
		}, do: func(t *testing.T, r *Registry) error {
			r.Served("from", imgList.digest())
			_, err := r.Repository("app").Manifests().Promote(t.Context(), imgList.digest(), PutOptions{Tag: "v"})
			return err
		}, check: tagIs("v", o, imgList.digest())},
		{name: "set", prepare: withOld, do: func(t *testing.T, r *Registry) error {
			return r.Repository("app").Tags().Set(t.Context(), "w", o)
		}, check: tagIs("w", none, o)},
		{name: "untag", prepare: withOld, do: func(t *testing.T, r *Registry) error {
			_, err := r.Repository("app").Tags().Untag(t.Context(), "v")
			return err
		}, check: tagIs("v", o, none), again: isAbsent},
		{name: "restore", prepare: withOld, do: func(t *testing.T, r *Registry) error {
			u := Untagged{Tag: "x", Digest: o, Tagged: day2020, current: []byte(o),
				history: []link{{digest: n, modTime: day2020}, {digest: o, modTime: day2020}}}
			return r.Repository("app").Tags().Restore(t.Context(), u)
		}, check: tagIs("x", none, o)},
		{name: "rename", prepare: withOld, do: func(t *testing.T, r *Registry) error {
			return r.Repository("app").Tags().Rename(t.Context(), "v", "w")
		}, check: func(t *testing.T, r *Registry, done bool) {
			tagIs("v", o, none)(t, r, done)
			tagIs("w", none, o)(t, r, done)
			if _, ok := tag(r, "v"); !ok {
				tagIs("w", o)(t, r, true)
			}
		}, again: isAbsent},
		{name: "rename over another", prepare: func(t *testing.T, r *Registry) {
			withOld(t, r)
			putImage(t, r.Repository("app"), "w", imgNew)
		}, do: func(t *testing.T, r *Registry) error {
			return r.Repository("app").Tags().Rename(t.Context(), "v", "w")
		}, check: func(t *testing.T, r *Registry, done bool) {
			tagIs("v", o, none)(t, r, done)
			tagIs("w", n, o)(t, r, done)
			if _, ok := tag(r, "v"); !ok {
				tagIs("w", o)(t, r, true)
			}
		}, again: isAbsent},
		{name: "unlink a manifest", prepare: func(t *testing.T, r *Registry) { putImage(t, r.Repository("app"), "", imgOld) },
			do: func(t *testing.T, r *Registry) error {
				return r.Repository("app").Manifests().Unlink(t.Context(), o)
			}, again: isAbsent},
		{name: "unlink a blob", prepare: func(t *testing.T, r *Registry) { putBlobs(t, r.Repository("app"), imgOld) },
			do: func(t *testing.T, r *Registry) error {
				return r.Repository("app").Blobs().Unlink(t.Context(), digest.FromString(imgOld.blobs[0]))
			}, again: isAbsent},
		{name: "remove a repository beside a nested one", prepare: func(t *testing.T, r *Registry) {
			put(t, r.driver, tagIndexLinkPath("app", "v", o), string(o))
			putImage(t, r.Repository("app/sub"), "v", imgOld)
		}, do: func(t *testing.T, r *Registry) error {
			return r.Repository("app").RemoveDir(t.Context(), Dir{Kind: DirRepository})
		}, check: func(t *testing.T, r *Registry, _ bool) { wholeTag(t, r.Repository("app/sub"), "v") },
			again: func(err error) bool { return errors.Is(err, ErrNotEmpty) }},
		{name: "raw blob", do: putRaw(blobDataPath(digest.FromString("raw")), "raw")},
		{name: "raw blob streamed", do: putRaw(blobDataPath(digest.FromString(large)), large)},
		{name: "raw upload data", do: putRaw(uploadDataPath("app", "id"), large)},
		{name: "raw tag link", prepare: func(t *testing.T, r *Registry) {
			withOld(t, r)
			putImage(t, r.Repository("app"), "", imgNew)
		}, do: putRaw(tagCurrentLinkPath("app", "v"), string(n)), check: tagIs("v", o, n)},
	}
}

// withUpload writes content to an upload, 16 KiB at a time, and uses it.
func withUpload(t *testing.T, r *Registry, want digest.Digest, content string, use func(*Upload) error) (err error) {
	u := r.NewUpload(want)
	defer u.Close() // what it says after a fault does not matter
	for off := 0; off < len(content); off += 16 << 10 {
		part := content[off:min(off+16<<10, len(content))]
		if _, err := u.WriteAt(t.Context(), []byte(part), int64(off)); err != nil {
			return err
		}
	}
	return use(u)
}

func TestFaults(t *testing.T) {
	modes := []struct {
		name string
		set  func(f *drivertest.Faulty, n int, err error)
	}{
		{"fails before", (*drivertest.Faulty).FailAt},
		{"fails after", (*drivertest.Faulty).FailAfter},
		{"crashes before", (*drivertest.Faulty).CrashAt},
		{"crashes after", (*drivertest.Faulty).CrashAfter},
	}
	for _, op := range faultOps() {
		t.Run(op.name, func(t *testing.T) {
			for _, mode := range modes {
				n := 1
				for ; op.runWithFault(t, mode.name, mode.set, n); n++ {
				}
				if n == 1 {
					t.Errorf("%s: no fault was met", mode.name)
				}
			}
		})
	}
}

// runWithFault runs op with a fault at its n-th call. It reports whether there
// was an n-th call.
func (op faultOp) runWithFault(t *testing.T, mode string, set func(*drivertest.Faulty, int, error), n int) bool {
	inner := inmemory.New()
	if op.prepare != nil {
		op.prepare(t, New(inner, testOptions(t, Options{})))
	}
	faulty := drivertest.NewFaulty(inner)
	set(faulty, n, drivers.Error{DriverName: "faulty", Detail: errFault})
	err := op.do(t, newSmallSpool(t, faulty, Options{}))
	met := faulty.Calls() >= n

	failed := t.Failed()
	whole := func(done bool) {
		t.Helper()
		r := New(inner, testOptions(t, Options{}))
		nothingDangles(t, r)
		if op.check != nil {
			op.check(t, r, done)
		}
	}
	whole(err == nil)
	if err != nil && !errors.Is(err, errFault) && (op.again == nil || !op.again(err)) {
		t.Errorf("error is not the fault: %v", err)
	}
	// What was running is gone after a crash; else the same process goes on.
	retry := newSmallSpool(t, inner, Options{})
	if err := op.do(t, retry); err != nil && (op.again == nil || !op.again(err)) {
		t.Errorf("retry: %v", err)
	}
	whole(true)
	if !failed && t.Failed() {
		t.Errorf("that was with: %s call %d", mode, n)
	}
	return met
}

// nothingDangles fails unless every name leads to whole content.
func nothingDangles(t *testing.T, r *Registry) {
	t.Helper()
	ctx := t.Context()
	for _, name := range collect(t, r.Repositories(ctx)) {
		p := r.Repository(name)
		for _, tag := range collect(t, p.Tags().All(ctx)) {
			if _, err := p.Tags().Get(ctx, tag); !isAbsent(err) {
				wholeTag(t, p, tag)
			}
		}
		for _, hex := range collect(t, p.Manifests().All(ctx, digest.SHA256)) {
			d := digest.NewDigestFromEncoded(digest.SHA256, hex)
			if _, err := p.Manifests().Get(ctx, d); err != nil && !isAbsent(err) {
				t.Errorf("manifest %s of %s: %v", d, name, err)
			}
		}
		algs, err := p.Blobs().Algorithms(ctx)
		if err != nil {
			t.Error(err)
		}
		for _, alg := range algs {
			for _, hex := range collect(t, p.Blobs().All(ctx, alg)) {
				d := digest.NewDigestFromEncoded(alg, hex)
				if desc, err := p.Blobs().Stat(ctx, d); err != nil && !isAbsent(err) || desc.Problem != nil {
					t.Errorf("blob %s of %s: %+v, %v", d, name, desc, err)
				}
			}
		}
	}
	for _, shard := range collect(t, r.Blobs().Shards(ctx, "sha256")) {
		for _, b := range collect(t, r.Blobs().All(ctx, "sha256", shard.Name)) {
			if got := digest.FromString(readAll(t, r, b.Digest)); got != b.Digest {
				t.Errorf("blob %s has digest %s", b.Digest, got)
			}
		}
	}
}

// The same upload can be put again after a failure, as a second FLUSH does.
func TestFaultsSameUpload(t *testing.T) {
	for _, content := range []string{imgNew.manifest, strings.Repeat("l", smallSpool+100)} {
		for n := 1; ; n++ {
			inner := inmemory.New()
			faulty := drivertest.NewFaulty(inner)
			r := newSmallSpool(t, faulty, Options{})
			u := r.NewUpload("")
			writeChunks(t, u, content, 16<<10)
			faulty.FailAt(n, errFault)
			_, err := r.Repository("a").Blobs().Put(t.Context(), u, "")
			if faulty.Calls() < n {
				break
			}
			if err != nil && !errors.Is(err, errFault) {
				t.Errorf("call %d: %v", n, err)
			}
			if _, err := r.Repository("a").Blobs().Put(t.Context(), u, ""); err != nil {
				t.Errorf("second Put after a fault at call %d: %v", n, err)
			}
			nothingDangles(t, New(inner, Options{}))
			if err := u.Close(); err != nil {
				t.Error(fmt.Errorf("close: %w", err))
			}
		}
	}
}
