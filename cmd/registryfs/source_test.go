package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func mkdir(t *testing.T, elem ...string) string {
	t.Helper()
	dir := filepath.Join(elem...)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// tempDir is a directory by its real name.
func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestFindStoreDirectory(t *testing.T) {
	dir := tempDir(t)
	root := mkdir(t, dir, "root")
	mkdir(t, root, registryTree)
	empty := mkdir(t, dir, "empty")
	plain := mkdir(t, dir, "docker") // only called so
	nested := mkdir(t, root, registryTree, "inner")
	mkdir(t, nested, registryTree)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(root, link); err != nil {
		t.Fatal(err)
	}
	for source, want := range map[string]string{root: root, empty: empty, plain: plain, link: root, nested: nested} {
		s, err := findStore(source, nil)
		if err != nil || s.driver != "filesystem" || s.root() != want || s.source != want {
			t.Errorf("findStore(%q) = %s %q as %q, %v, want filesystem %q", source, s.driver, s.root(), s.source, err, want)
		}
	}
	t.Chdir(dir)
	if s, err := findStore("root", nil); err != nil || s.root() != root {
		t.Errorf("findStore(%q) = %q, %v, want %q", "root", s.root(), err, root)
	}
}

func TestFindStoreInMemory(t *testing.T) {
	s, err := findStore("inmemory:", nil)
	if err != nil || s.driver != "inmemory" || s.root() != "" {
		t.Errorf("findStore(inmemory:) = %s %q, %v, want inmemory", s.driver, s.root(), err)
	}
}

func TestFindStoreErrors(t *testing.T) {
	dir := tempDir(t)
	root := mkdir(t, dir, "root")
	tree := mkdir(t, root, registryTree)
	repositories := mkdir(t, tree, "repositories")
	mkdir(t, dir, "file.yml.d")
	mount := mkdir(t, dir, "mount")
	writeFile(t, filepath.Join(mkdir(t, mount, ".registryfs"), "stats"), "")
	tests := []struct {
		name, source, want string
	}{
		{"absent", filepath.Join(dir, "absent"), "does not exist: pass a registry's root directory or its config.yml, or make an empty store with: mkdir -p"},
		{"docker", filepath.Join(root, "docker"), "inside a registry's storage: pass its root directory, \"" + root + `"`},
		{"docker/registry", filepath.Join(root, "docker/registry"), "pass its root directory, \"" + root + `"`},
		{"docker/registry/v2", tree, "pass its root directory, \"" + root + `"`},
		{"repositories", repositories, "pass its root directory, \"" + root + `"`},
		{"mount", mount, `is a mount of registryfs: pass the store that is mounted there`},
		{"URL", "gs://bucket/x", "begins with gs:// and not with s3://"},
		{"device", os.DevNull, "is neither a directory nor a file"},
		{"no config", writeFile(t, filepath.Join(dir, "x.txt"), "hello"), "says version: 0.1, this file does not"},
		{"a blob", writeFile(t, filepath.Join(dir, "blob"), strings.Repeat("a", maxConfigSize+1)), "too large for a registry's config.yml"},
		{"config without its directory", writeFile(t, filepath.Join(dir, "c.yml"), config("storage: {filesystem: {rootdirectory: /no/such/dir}}")),
			`storage.filesystem.rootdirectory is "/no/such/dir", which does not exist on this machine`},
		{"config with a file for a directory", writeFile(t, filepath.Join(dir, "d.yml"), config("storage: {filesystem: {rootdirectory: /dev/null}}")),
			`"/dev/null", which is not a directory`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := findStore(test.source, nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("findStore(%q) = %v, want %q", test.source, err, test.want)
			}
		})
	}
}

func TestFindStoreConfig(t *testing.T) {
	dir := tempDir(t)
	root := mkdir(t, dir, "root")
	other := mkdir(t, dir, "other")
	t.Chdir(dir)
	writeFile(t, "config.yml", config("storage: {filesystem: {rootdirectory: root}}"))
	s, err := findStore("config.yml", nil)
	if err != nil || s.root() != root || s.source != filepath.Join(dir, "config.yml") {
		t.Errorf("findStore = %q from %q, %v, want %q", s.root(), s.source, err, root)
	}
	s, err = findStore("config.yml", []string{"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=" + other})
	if err != nil || s.root() != other {
		t.Errorf("findStore with a variable = %q, %v, want %q", s.root(), err, other)
	}
	// A directory is not the registry's configuration, so its variables do not count.
	s, err = findStore("root", []string{"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=" + other, "REGISTRY_STORAGE_S3_BUCKET=b"})
	if err != nil || s.root() != root {
		t.Errorf("findStore of a directory with a variable = %q, %v, want %q", s.root(), err, root)
	}
}

func TestHoldsSomethingElse(t *testing.T) {
	dir := tempDir(t)
	s, err := findStore(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.holdsSomethingElse() {
		t.Error("an empty directory holds something else")
	}
	mkdir(t, dir, "photos")
	if !s.holdsSomethingElse() {
		t.Error("a directory of photos holds nothing else")
	}
	mkdir(t, dir, registryTree)
	if s.holdsSomethingElse() {
		t.Error("a registry's root holds something else")
	}
}

func TestDefaultStore(t *testing.T) {
	data, home := tempDir(t), tempDir(t)
	t.Setenv("HOME", home)
	for variable, want := range map[string]string{
		data:       data + "/registryfs/store",
		"":         home + "/.local/share/registryfs/store",
		"relative": home + "/.local/share/registryfs/store",
	} {
		t.Setenv("XDG_DATA_HOME", variable)
		got, err := defaultStore()
		if err != nil || got != want || !isDir(want) {
			t.Errorf("defaultStore with XDG_DATA_HOME=%q = %q, %v, want the directory %q", variable, got, err, want)
		}
	}
	writeFile(t, filepath.Join(home, "file"), "")
	t.Setenv("XDG_DATA_HOME", filepath.Join(home, "file"))
	if got, err := defaultStore(); err == nil || !strings.Contains(err.Error(), "pass a SOURCE") {
		t.Errorf("defaultStore below a file = %q, %v, want an error", got, err)
	}
}

func TestDefaultStateDir(t *testing.T) {
	state := tempDir(t)
	t.Setenv("XDG_STATE_HOME", state)
	if got, err := defaultStateDir(); err != nil || got != state+"/registryfs" || !isDir(got) {
		t.Errorf("defaultStateDir = %q, %v, want %q", got, err, state+"/registryfs")
	}
	t.Setenv("XDG_STATE_HOME", "")
	t.Setenv("HOME", state)
	if got, err := defaultStateDir(); err != nil || got != state+"/.local/state/registryfs" {
		t.Errorf("defaultStateDir = %q, %v, want it below HOME", got, err)
	}
}
