package gc

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"registryfs/drivers/base"
	"registryfs/drivers/filesystem"
)

// TestLeftovers removes what old writes have left, but for that of uploads which go
// on; and keeps an upload of which only such a file is young.
func TestLeftovers(t *testing.T) {
	dir := t.TempDir()
	s := scene{t, base.New(filesystem.New(filesystem.Parameters{RootDirectory: dir}))}
	kept := s.push("app", "latest", "kept")
	for _, id := range []string{"old", "written", "young"} {
		s.upload(id)
	}
	const tmp = "data.0197f7d2-3c1b-7a54-9c9f-2d6f0a3b1c5e.tmp"
	leave := func(path string, old bool) string {
		local := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(local), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(local, []byte("half"), 0o644); err != nil {
			t.Fatal(err)
		}
		if old {
			at := time.Now().Add(-3 * day)
			if err := os.Chtimes(local, at, at); err != nil {
				t.Fatal(err)
			}
		}
		return local
	}
	s.age(uploadsPath+"/old", 3*day)
	s.age(uploadsPath+"/written", 3*day)
	is := map[string]bool{
		leave(root+"/blobs/sha256/aa/"+tmp, true):          false,
		leave(root+"/blobs/sha256/bb/"+tmp, false):         true,
		leave(uploadsPath+"/old/"+tmp, true):               false,
		leave(uploadsPath+"/young/"+tmp, true):             true,
		leave(uploadsPath+"/gone/"+tmp, true):              false,
		leave(uploadsPath+"/written/.data"+partial, false): true,
		filepath.Join(dir, uploadsPath, "written/data"):    true,
		filepath.Join(dir, uploadsPath, "young/data"):      true,
		filepath.Join(dir, uploadsPath, "old"):             false,
	}
	o := Options{MinAge: 9 * day, UploadAge: 2 * day}
	var dry *Report
	for _, o := range []Options{{MinAge: 9 * day}, {MinAge: 9 * day, UploadAge: 2 * day, DryRun: true}} {
		dry = s.run(o)
		for local := range is {
			if _, err := os.Stat(local); err != nil {
				t.Errorf("%+v: %v", o, err)
			}
		}
	}
	r := s.run(o)
	s.wantClean(r)
	if want, upload := (Count{2, 8}), (Count{1, 45}); r.Leftovers != want || r.Uploads != upload {
		t.Errorf("removed %v and uploads %v, want %v and %v", r.Leftovers, r.Uploads, want, upload)
	}
	if dry.Leftovers != r.Leftovers || dry.Uploads != r.Uploads {
		t.Errorf("a dry run said %v and uploads %v", dry.Leftovers, dry.Uploads)
	}
	for local, want := range is {
		if _, err := os.Stat(local); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", local, err == nil, want)
		}
	}
	s.wantPulled("app", kept)
}

const partial = ".registryfs-partial"
