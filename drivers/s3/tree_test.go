package s3

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestDeleteRequests(t *testing.T) {
	s := newFakeStore(t)
	for i := range 2500 {
		s.put(fmt.Sprintf("root/dir/%04d", i), "")
	}
	keep := []string{"root/di", "root/dir-x/a", "root/dir.x", "root/dirx"}
	for _, key := range keep {
		s.put(key, "")
	}
	d := s.driver(nil)
	if err := d.Delete(t.Context(), "/dir"); err != nil {
		t.Fatal(err)
	}
	made := s.made()
	if count(made, "DeleteObjects") != 3 || count(made, "Delete") != 0 || len(made) > 8 {
		t.Errorf("Delete of 2500 files made %q", made)
	}
	if keys := s.keys(); !slices.Equal(keys, keep) {
		t.Errorf("left %q, want %q", keys, keep)
	}
	if got := s.header("DeleteObjects").Get("Content-Md5"); got == "" {
		t.Error("DeleteObjects has no Content-MD5, which older stores want")
	}
	if err := d.Delete(t.Context(), "/dir"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Delete of what is gone = %v, want fs.ErrNotExist", err)
	}
}

// TestDeleteTellsWhatIsLeft: one object that cannot be deleted keeps no other.
func TestDeleteTellsWhatIsLeft(t *testing.T) {
	s := newFakeStore(t)
	for i := range 10 {
		s.put(fmt.Sprintf("root/dir/%d", i), "")
	}
	s.fault = func(w http.ResponseWriter, r *http.Request, kind string) bool {
		if kind != "DeleteObjects" {
			return false
		}
		fmt.Fprint(w, "<DeleteResult>")
		for i := range 10 {
			fmt.Fprintf(w, "<Error><Key>root/dir/%d</Key><Code>AccessDenied</Code><Message>no</Message></Error>", i)
		}
		fmt.Fprint(w, "</DeleteResult>")
		return true
	}
	err := s.driver(nil).Delete(t.Context(), "/dir")
	if err == nil || !strings.Contains(err.Error(), "/dir/0") || !strings.Contains(err.Error(), "5 more") {
		t.Errorf("Delete = %v, want the first objects and the number of others", err)
	}
	if !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Delete = %v, want fs.ErrPermission", err)
	}
	s.fault = func(w http.ResponseWriter, r *http.Request, kind string) bool {
		if kind == "DeleteObjects" {
			refuse(w, http.StatusNotImplemented, "NotImplemented")
		}
		return kind == "DeleteObjects"
	}
	if err := s.driver(nil).Delete(t.Context(), "/dir"); err != nil || len(s.keys()) != 0 {
		t.Errorf("Delete where there is no DeleteObjects = %v, left %q", err, s.keys())
	}
}

// TestDeleteOfBusyStore: an answer may be fine and say of single objects that the
// store was too busy for them.
func TestDeleteOfBusyStore(t *testing.T) {
	s := newFakeStore(t)
	for i := range 10 {
		s.put(fmt.Sprintf("root/dir/%d", i), "")
	}
	busy := 2
	s.fault = func(w http.ResponseWriter, r *http.Request, kind string) bool {
		if kind != "DeleteObjects" || busy == 0 {
			return false
		}
		busy--
		fmt.Fprint(w, "<DeleteResult><Error><Key>root/dir/3</Key><Code>SlowDown</Code></Error><Error><Key>root/dir/4</Key><Code>InternalError</Code></Error></DeleteResult>")
		return true
	}
	d := s.driver(nil)
	if err := d.Delete(t.Context(), "/dir"); err != nil {
		t.Errorf("Delete = %v", err)
	}
	if keys := s.keys(); slices.Contains(keys, "root/dir/3") || slices.Contains(keys, "root/dir/4") {
		t.Errorf("left %q", keys)
	}
	s.put("root/dir/3", "")
	s.put("root/dir/4", "")
	busy, d.Retries = 1<<30, 1
	if err := d.Delete(t.Context(), "/dir"); err == nil || !strings.Contains(err.Error(), "SlowDown") {
		t.Errorf("Delete of a store that stays busy = %v, want SlowDown", err)
	}
}

// TestMoveFails: the source is whole, and what was copied of it is given back.
func TestMoveFails(t *testing.T) {
	for _, kind := range []string{"Create", "CopyPart", "Complete", "Copy"} {
		s := newFakeStore(t)
		s.put("root/src", string(random(3*minChunkSize)))
		s.fault = func(w http.ResponseWriter, r *http.Request, k string) bool {
			if k == kind && (k != "CopyPart" || r.URL.Query().Get("partNumber") == "2") {
				refuse(w, http.StatusForbidden, "AccessDenied")
				return true
			}
			return false
		}
		d := s.driver(func(p *Parameters) {
			p.CopyChunkSize = minChunkSize
			if kind != "Copy" {
				p.CopyThreshold = 1
			}
		})
		if err := d.Move(t.Context(), "/src", "/dst"); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("Move whose %s fails = %v, want fs.ErrPermission", kind, err)
		}
		if keys := s.keys(); !slices.Equal(keys, []string{"root/src"}) || s.openUploads() != 0 {
			t.Errorf("after %s failed there are %q and %d uploads", kind, keys, s.openUploads())
		}
	}
}

// TestCopySource: the root may have any name.
func TestCopySource(t *testing.T) {
	s := newFakeStore(t)
	d := s.driver(func(p *Parameters) { p.RootDirectory = "/my root/ü+%41?/" })
	if err := d.PutContent(t.Context(), "/a", []byte("content")); err != nil {
		t.Fatal(err)
	}
	if err := d.Move(t.Context(), "/a", "/b"); err != nil {
		t.Fatal(err)
	}
	if got, err := d.GetContent(t.Context(), "/b"); err != nil || string(got) != "content" {
		t.Errorf("GetContent = %q, %v", got, err)
	}
	if paths, err := d.List(t.Context(), "/"); err != nil || !slices.Equal(paths, []string{"/b"}) {
		t.Errorf("List = %q, %v", paths, err)
	}
}
