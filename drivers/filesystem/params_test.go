package filesystem

import (
	"os"
	"testing"

	"registryfs/drivers"
)

func TestFromParameters(t *testing.T) {
	for _, test := range []struct {
		name    string
		params  map[string]any
		wantErr bool
	}{
		{"none", nil, false},
		{"nil values", map[string]any{"rootdirectory": nil, "maxthreads": nil}, false},
		{"both", map[string]any{"rootdirectory": t.TempDir(), "maxthreads": 100}, false},
		{"too few threads", map[string]any{"maxthreads": 1}, false},
		{"threads in words", map[string]any{"maxthreads": "many"}, true},
		{"empty root", map[string]any{"rootdirectory": ""}, true},
		{"unknown", map[string]any{"else": true}, false},
	} {
		d, err := drivers.Create(t.Context(), "filesystem", test.params)
		if (err != nil) != test.wantErr {
			t.Errorf("%s: Create = %v, want an error: %v", test.name, err, test.wantErr)
		}
		if err == nil && d.Name() != "filesystem" {
			t.Errorf("%s: Name = %q", test.name, d.Name())
		}
	}
}

func TestRootIsAbsolute(t *testing.T) {
	t.Chdir(t.TempDir())
	d := New(Parameters{RootDirectory: "below"})
	if err := d.PutContent(t.Context(), "/file", []byte("here")); err != nil {
		t.Fatal(err)
	}
	t.Chdir("/")
	if got, err := d.GetContent(t.Context(), "/file"); err != nil || string(got) != "here" {
		t.Errorf("GetContent after a change of directory = %q, %v", got, err)
	}
	slash := newDriver("/")
	if got := slash.local("/"); got != "/" {
		t.Errorf("the root of / is %q", got)
	}
	if got := slash.local("/a"); got != "/a" {
		t.Errorf("/a in the root of / is %q", got)
	}
}

// TestNothingMadeByReading: a wrong --root must not leave directories behind.
func TestNothingMadeByReading(t *testing.T) {
	root := t.TempDir() + "/not/made"
	d := New(Parameters{RootDirectory: root})
	if paths, err := d.List(t.Context(), "/"); err != nil || len(paths) != 0 {
		t.Errorf("List = %q, %v, want nothing", paths, err)
	}
	if _, err := d.Stat(t.Context(), "/"); err != nil {
		t.Errorf("Stat = %v", err)
	}
	if _, err := drivers.StatFS(t.Context(), d); err != nil {
		t.Errorf("StatFS = %v", err)
	}
	if _, err := os.Stat(root); !os.IsNotExist(err) {
		t.Errorf("the root is there: %v", err)
	}
}
