package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPrepareMountpoint(t *testing.T) {
	dir := tempDir(t)
	mnt := mkdir(t, dir, "mnt")
	link := filepath.Join(dir, "link")
	if err := os.Symlink("mnt", link); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for _, name := range []string{mnt, link, "mnt", "./mnt/", "link"} {
		got, err := testMounting(options{}).prepareMountpoint(name)
		if err != nil || got != mnt {
			t.Errorf("prepareMountpoint(%q) = %q, %v, want %q", name, got, err, mnt)
		}
	}
}

func TestMakeMountpoint(t *testing.T) {
	dir := tempDir(t)
	mnt := filepath.Join(dir, "a/b")
	m := testMounting(options{mkdir: true})
	for range 2 {
		if got, err := m.prepareMountpoint(mnt); err != nil || got != mnt || !isDir(mnt) {
			t.Fatalf("prepareMountpoint(%q) = %q, %v, want it made", mnt, got, err)
		}
	}
	file := writeFile(t, filepath.Join(dir, "file"), "")
	if _, err := m.prepareMountpoint(filepath.Join(file, "below")); err == nil {
		t.Error("a mount point below a file was made")
	}
}

func TestPrepareMountpointErrors(t *testing.T) {
	dir := tempDir(t)
	file := writeFile(t, filepath.Join(dir, "file"), "")
	root := mkdir(t, dir, "root")
	mkdir(t, root, registryTree)
	for name, want := range map[string]string{
		filepath.Join(dir, "absent"): "does not exist: make it with: mkdir -p",
		file:                         "is a file: pass a directory",
		filepath.Join(file, "below"): "lies below a file",
		root:                         "is a registry's root directory, which the mount would hide",
	} {
		_, err := testMounting(options{}).prepareMountpoint(name)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("prepareMountpoint(%q) = %v, want %q", name, err, want)
		}
	}
}

func TestCheckApart(t *testing.T) {
	dir := tempDir(t)
	root := mkdir(t, dir, "root")
	mnt := mkdir(t, dir, "mnt")
	inside := mkdir(t, mnt, "inside")
	log := writeFile(t, filepath.Join(inside, "log"), "")
	s, err := findStore(root, nil)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name       string
		mountpoint string
		o          options
		want       string // "" for none
	}{
		{"beside", mnt, options{}, ""},
		{"the same prefix", root + "2", options{}, ""},
		{"the store itself", root, options{}, "lie within each other"},
		{"above the store", dir, options{}, "lie within each other"},
		{"in the store", filepath.Join(root, "mnt"), options{}, "lie within each other"},
		{"the top", "/", options{}, "lie within each other"},
		{"state", mnt, options{stateDir: inside}, "--state-dir"},
		{"spool", mnt, options{spoolDir: mnt}, "--spool-dir"},
		{"log", mnt, options{logFile: log}, "--log-file"},
		{"state elsewhere", mnt, options{stateDir: root}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := checkApart(test.mountpoint, s, &test.o)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("checkApart(%q) = %v, want %q", test.mountpoint, err, test.want)
			}
		})
	}
}
