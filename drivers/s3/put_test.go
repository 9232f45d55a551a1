package s3

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"registryfs/drivers"
)

// TestSettings: every new object has them, however it is made.
func TestSettings(t *testing.T) {
	s := newFakeStore(t)
	content := random(minChunkSize + 1)
	d := s.wrapped(func(p *Parameters) {
		smallChunks(p)
		p.Encrypt, p.KeyID = true, "key-1"
		p.ObjectACL, p.StorageClass = types.ObjectCannedACLBucketOwnerFullControl, types.StorageClassStandardIa
		p.CopyThreshold, p.CopyChunkSize = 1000, minChunkSize
	})
	put := func(path string, content []byte) {
		if err := d.PutContent(t.Context(), path, content); err != nil {
			t.Fatal(err)
		}
	}
	put("/small", content[:100])
	put("/large", content)
	for _, move := range [][2]string{{"/small", "/small2"}, {"/large", "/large2"}} {
		if err := d.Move(t.Context(), move[0], move[1]); err != nil {
			t.Fatalf("Move = %v", err)
		}
	}
	if got, err := d.GetContent(t.Context(), "/large2"); err != nil || !bytes.Equal(got, content) {
		t.Errorf("what was copied by parts = %d bytes, %v", len(got), err)
	}
	for _, kind := range []string{"Put", "Copy", "Create"} {
		for name, want := range map[string]string{
			"Content-Type":                 "application/octet-stream",
			"X-Amz-Acl":                    "bucket-owner-full-control",
			"X-Amz-Storage-Class":          "STANDARD_IA",
			"X-Amz-Server-Side-Encryption": "aws:kms",
			"X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "key-1",
		} {
			if got := s.header(kind).Get(name); got != want {
				t.Errorf("%s: %s = %q, want %q", kind, name, got, want)
			}
		}
	}
	plain := s.driver(func(p *Parameters) { p.KeyID = "unused" })
	if err := plain.PutContent(t.Context(), "/plain", nil); err != nil {
		t.Fatal(err)
	}
	for name := range s.header("Put") {
		if name == "X-Amz-Acl" || name == "X-Amz-Storage-Class" || len(name) > 28 && name[:28] == "X-Amz-Server-Side-Encryption" {
			t.Errorf("a put without settings has %s", name)
		}
	}
}

func TestPutIfAbsent(t *testing.T) {
	const link = "/_layers/link"
	t.Run("one look", func(t *testing.T) {
		s := newFakeStore(t)
		d := s.driver(nil)
		if err := d.PutContentIfAbsent(t.Context(), link, []byte("mine")); err != nil {
			t.Fatal(err)
		}
		d.answered.Store(true)
		s.made()
		if err := d.PutContentIfAbsent(t.Context(), "/_layers/2/link", []byte("mine")); err != nil {
			t.Fatal(err)
		}
		if made := s.made(); !slices.Equal(made, []string{"HEAD", "Put"}) {
			t.Errorf("made %q, want a HEAD and a Put", made)
		}
		if err := d.PutContentIfAbsent(t.Context(), link, []byte("mine")); !errors.Is(err, fs.ErrExist) {
			t.Errorf("the second = %v, want fs.ErrExist", err)
		}
	})
	t.Run("answer lost", func(t *testing.T) {
		s := newFakeStore(t)
		var lost atomic.Bool
		stored := "mine"
		s.fault = func(w http.ResponseWriter, r *http.Request, kind string) bool {
			if kind == "Put" && lost.CompareAndSwap(false, true) {
				s.put("root"+strings.TrimPrefix(r.URL.Path, "/"+testBucket+"/root"), stored)
				panic(http.ErrAbortHandler)
			}
			return false
		}
		d := s.driver(nil)
		if err := d.PutContentIfAbsent(t.Context(), link, []byte("mine")); err != nil {
			t.Errorf("PutContentIfAbsent = %v, want nil: it was put", err)
		}
		lost.Store(false)
		stored = "of another"
		if err := d.PutContentIfAbsent(t.Context(), "/_layers/other/link", []byte("mine")); !errors.Is(err, fs.ErrExist) {
			t.Errorf("PutContentIfAbsent = %v, want fs.ErrExist", err)
		}
	})
	t.Run("conflict", func(t *testing.T) {
		s := newFakeStore(t)
		var n atomic.Int64
		s.fault = func(w http.ResponseWriter, r *http.Request, kind string) bool {
			if kind == "Put" && n.Add(1) < 3 {
				refuse(w, http.StatusConflict, "ConditionalRequestConflict")
				return true
			}
			return false
		}
		if err := s.driver(nil).PutContentIfAbsent(t.Context(), link, []byte("mine")); err != nil {
			t.Errorf("PutContentIfAbsent beside another = %v", err)
		}
	})
	t.Run("passed over by the store", func(t *testing.T) {
		s := newFakeStore(t)
		s.fault = func(w http.ResponseWriter, r *http.Request, kind string) bool {
			r.Header.Del("If-None-Match")
			return false
		}
		s.put("root"+link, "of another")
		d := s.driver(nil)
		if err := d.PutContentIfAbsent(t.Context(), link, []byte("mine")); !errors.Is(err, fs.ErrExist) {
			t.Errorf("PutContentIfAbsent = %v, want fs.ErrExist", err)
		}
		if got, err := d.GetContent(t.Context(), link); string(got) != "of another" {
			t.Errorf("GetContent = %q, %v: it was replaced", got, err)
		}
	})
	t.Run("unknown to the store", func(t *testing.T) {
		s := newFakeStore(t)
		s.fault = func(w http.ResponseWriter, r *http.Request, kind string) bool {
			if r.Header.Get("If-None-Match") != "" {
				refuse(w, http.StatusNotImplemented, "NotImplemented")
				return true
			}
			return false
		}
		d := s.driver(nil)
		for i := range 2 {
			s.made()
			if err := d.PutContentIfAbsent(t.Context(), fmt.Sprint("/_layers/", i, "/link"), []byte("mine")); err != nil {
				t.Errorf("PutContentIfAbsent = %v", err)
			}
			if made := s.made(); i == 1 && slices.Index(made, "Put") != len(made)-1 {
				t.Errorf("made %q: what the store does not know was forgotten", made)
			}
			if err := d.PutContentIfAbsent(t.Context(), fmt.Sprint("/_layers/", i, "/link"), nil); !errors.Is(err, fs.ErrExist) {
				t.Errorf("the second = %v, want fs.ErrExist", err)
			}
		}
	})
}

// TestPutContentsStops: nothing is put after what could not be.
func TestPutContentsStops(t *testing.T) {
	s := newFakeStore(t)
	var n atomic.Int64
	s.fault = func(w http.ResponseWriter, r *http.Request, kind string) bool {
		if n.Add(1) == 2 {
			refuse(w, http.StatusForbidden, "AccessDenied")
			return true
		}
		return false
	}
	err := drivers.PutContents(t.Context(), s.driver(nil), []drivers.Content{{Path: "/a"}, {Path: "/b"}, {Path: "/c"}})
	if !errors.Is(err, fs.ErrPermission) {
		t.Errorf("PutContents = %v, want fs.ErrPermission", err)
	}
	if keys := s.keys(); !slices.Equal(keys, []string{"root/a"}) {
		t.Errorf("stored %q, want only the first", keys)
	}
}

func TestErrorKinds(t *testing.T) {
	s := newFakeStore(t)
	var status atomic.Int64
	var code atomic.Value
	s.fault = func(w http.ResponseWriter, r *http.Request, kind string) bool {
		refuse(w, int(status.Load()), code.Load().(string))
		return true
	}
	d := s.driver(nil)
	for name, want := range errnoCodes {
		status.Store(400)
		code.Store(name)
		if err := d.PutContent(t.Context(), "/a", nil); !errors.Is(err, want) {
			t.Errorf("%s = %v, want %v", name, err, want)
		}
	}
}
