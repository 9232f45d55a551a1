package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestGC runs the command on a directory with one blob that nothing needs.
func TestGC(t *testing.T) {
	root := t.TempDir()
	const hex = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae" // of foo
	blob := filepath.Join(root, registryTree, "blobs/sha256/2c", hex, "data")
	for _, dir := range []string{filepath.Dir(blob), filepath.Join(root, registryTree, "repositories")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(blob, []byte("foo"), 0o644); err != nil {
		t.Fatal(err)
	}
	upload := filepath.Join(root, registryTree, "repositories/app/_uploads/0e1f0a6c")
	if err := os.MkdirAll(upload, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(upload, "data"), []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-200 * time.Hour)
	if err := os.Chtimes(filepath.Join(upload, "data"), old, old); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "config.yml")
	text := "version: 0.1\nstorage: {filesystem: {rootdirectory: " + root + "}, cache: {blobdescriptor: inmemory}, maintenance: {uploadpurging: {age: 400h}}}\n"
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args   []string
		code   int
		stdout string
		stderr string
		gone   bool
	}{
		{args: []string{"gc"}, code: 2, stderr: "takes one SOURCE"},
		{args: []string{"gc", "--keep-history=2", root}, code: 2, stderr: "add --untagged"},
		{args: []string{"gc", "--min-age=soon", root}, code: 2, stderr: "not an age"},
		{args: []string{"gc", "-q", "--now", "--dry-run", root}, stdout: "abandoned uploads would be removed: 1, 7 B"},
		{args: []string{"gc", "-q", "--now", "--dry-run", config}, stdout: "store: 1 blobs, 3 B, in 1 repositories\nunreferenced: 1 blobs, 3 B\nwould be freed"},
		{args: []string{"gc", "-q", "--now", "--dry-run", "--upload-age=0s", root}, stdout: "unreferenced: 1 blobs, 3 B\nwould be freed"},
		{args: []string{"gc", "-q", "--now", "--dry-run", root}, stdout: "would be freed: 3 B in 1 blobs"},
		{args: []string{"gc", "-q", root}, stdout: "unreferenced: 1 blobs"},
		{args: []string{"gc", "-q", "--min-age=0s", config}, code: 1, stdout: "noted", stderr: "--registry-cache=flushed"},
		{args: []string{"gc", "-q", "--min-age=0s", config}, code: 1, stderr: "--registry-cache=flushed"},
		{args: []string{"gc", "-q", "--min-age=0s", "--registry-cache=flushed", "--json", config}, stdout: `"bytes": 3`, gone: true},
	} {
		r := registryfs(t, test.args...)
		if r.status != test.code || !strings.Contains(r.stdout, test.stdout) || !strings.Contains(r.stderr, test.stderr) {
			t.Errorf("registryfs %s: %s", strings.Join(test.args, " "), r)
		}
		if _, err := os.Stat(blob); os.IsNotExist(err) != test.gone {
			t.Errorf("registryfs %s: the blob is gone: %v, want %v", strings.Join(test.args, " "), !test.gone, test.gone)
		}
		if strings.Contains(strings.Join(test.args, " "), "--json") && !json.Valid([]byte(r.stdout)) {
			t.Errorf("not JSON: %s", r.stdout)
		}
	}
}
