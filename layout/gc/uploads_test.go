package gc

import (
	"context"
	"strings"
	"testing"
	"time"

	"registryfs/drivers"
)

const uploadsPath = root + "/repositories/app/_uploads"

// upload stores an upload in progress of 41 bytes.
func (s scene) upload(id string) {
	s.t.Helper()
	s.put(uploadsPath+"/"+id+"/startedat", "2024-01-02T03:04:05Z")
	s.put(uploadsPath+"/"+id+"/data", "as far as it has come")
	s.put(uploadsPath+"/"+id+"/hashstates/sha256/0", "")
}

// TestUploads removes those that stand still, by their newest file.
func TestUploads(t *testing.T) {
	for _, o := range []Options{{Now: true, UploadAge: 2 * day}, {MinAge: 9 * day, UploadAge: 2 * day}} {
		s := newScene(t)
		kept := s.push("app", "latest", "kept")
		for _, id := range []string{"old", "older", "hashed", "young"} {
			s.upload(id)
		}
		s.age(uploadsPath, 3*day)
		s.put(uploadsPath+"/hashed/hashstates/sha256/21", "new")
		s.put(uploadsPath+"/young/data", "as far as it has come since")
		before := len(s.files("/"))

		none := o
		none.UploadAge = 0
		if r := s.run(none); r.Uploads.Files > 0 || len(s.files("/")) != before {
			t.Errorf("without an age: %d removed", r.Uploads.Files)
		}
		dry := o
		dry.DryRun = true
		want := Count{2, 82}
		if r := s.run(dry); r.Uploads != want || len(s.files("/")) != before {
			t.Errorf("dry run: %v, %d files, want %v and %d", r.Uploads, len(s.files("/")), want, before)
		}
		r := s.run(o)
		s.wantClean(r)
		if r.Uploads != want {
			t.Errorf("removed %v, want %v", r.Uploads, want)
		}
		for id, has := range map[string]bool{"old": false, "older": false, "hashed": true, "young": true} {
			if s.has(uploadsPath+"/"+id) != has {
				t.Errorf("upload %s is there: %v, want %v", id, !has, has)
			}
		}
		s.wantPulled("app", kept)
	}
}

// TestUploadsClock goes by the time of the store and not of this machine.
func TestUploadsClock(t *testing.T) {
	s := newScene(t)
	s.upload("old")
	s.age(uploadsPath, 3*day)
	o := Options{MinAge: 9 * day, UploadAge: time.Hour}
	r := newCollector(s.registry(), o)
	defer r.close()
	r.start(time.Now().Add(-4 * day)) // nothing is old by this clock
	m, err := r.mark(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	if !s.has(uploadsPath+"/old/data") || r.report.Uploads.Files > 0 {
		t.Error("an upload was removed that is young by the store's clock")
	}
}

// stuck has uploads that cannot be removed.
type stuck struct{ drivers.StorageDriver }

func (d stuck) Delete(ctx context.Context, path string) error {
	if strings.Contains(path, "/_uploads/") {
		return errBroken
	}
	return d.StorageDriver.Delete(ctx, path)
}

// TestUploadsFail: an upload that cannot be removed is told and keeps nothing else.
func TestUploadsFail(t *testing.T) {
	for _, o := range []Options{{Now: true, UploadAge: day}, {UploadAge: day}} {
		s := newScene(t)
		s.push("app", "latest", "kept")
		s.upload("old")
		lone := s.blob("unreferenced")
		s.later(2 * day)
		if !o.Now {
			s.run(Options{})
			s.later(2 * day)
		}
		report := scene{t, stuck{s.d}}.run(o)
		if len(report.Failed) != 1 || report.Uploads.Files > 0 || s.has(blobPath(lone)) {
			t.Errorf("now %v: %s", o.Now, describe(report))
		}
	}
}
