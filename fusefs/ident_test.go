package fusefs

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestLoadSecret(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	const n = 16
	var got [n]*secret
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			var err error
			if got[i], err = loadSecret(dir); err != nil {
				t.Errorf("loadSecret: %v", err)
			}
		})
	}
	wg.Wait()
	for _, s := range got {
		if s == nil || *s != *got[0] {
			t.Fatal("mounts that start at once have made different keys")
		}
	}
	again, err := loadSecret(dir)
	if err != nil || *again != *got[0] {
		t.Errorf("loadSecret again = %v, want the same key", err)
	}
	if *again == (secret{}) {
		t.Error("the key is all zeros")
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 1 {
		t.Errorf("the state directory has %v, %v; want the key alone", names, err)
	}
	info, err := os.Stat(filepath.Join(dir, secretFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v; want mode 0600", info, err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the state directory: %v, %v; want mode 0700", info, err)
	}

	other, err := loadSecret(t.TempDir())
	if err != nil || *other == *got[0] {
		t.Errorf("another state directory has the same key, %v", err)
	}
	unkept, err := loadSecret("")
	if err != nil || *unkept == (secret{}) {
		t.Errorf("loadSecret without a directory: %v", err)
	}
}

func TestLoadSecretBroken(t *testing.T) {
	for _, content := range []string{"", "\n", "zz", "0123", strings.Repeat("g", 64)} {
		dir := t.TempDir()
		name := filepath.Join(dir, secretFile)
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := loadSecret(dir); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("loadSecret of %q = %v, want an error that names the file", content, err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadSecret(filepath.Join(file, "state")); err == nil {
		t.Error("loadSecret below a file succeeds")
	}
}

func TestKey(t *testing.T) {
	var zero, other secret
	other[0] = 1
	// Another number would make every inode of every mount another one.
	const want = 0x69ba3da25fc5c092
	if got := zero.of("digest", "sha256:abc").ino(); got != want {
		t.Errorf("ino = %#x, want %#x as ever", got, uint64(want))
	}
	seen := map[key]string{}
	for _, parts := range [][]string{{}, {""}, {"", ""}, {"a"}, {"a", ""}, {"", "a"}, {"a", "b"}, {"ab"}, {"ab", ""}, {"a\x00b"}, {"a", "b", ""}, {strings.Repeat("a", 500)}, {strings.Repeat("a", 501)}} {
		k := zero.of(parts...)
		if old, ok := seen[k]; ok {
			t.Errorf("of(%q) is of(%s)", parts, old)
		}
		seen[k] = strings.Join(parts, "|")
		if k != zero.of(parts...) {
			t.Errorf("of(%q) differs from itself", parts)
		}
		if k == other.of(parts...) {
			t.Errorf("of(%q) does not depend on the secret", parts)
		}
	}
}

func TestIno(t *testing.T) {
	for _, c := range []struct {
		first, last byte
		want        uint64
	}{{0, 0, 2}, {1, 0, 3}, {2, 0, 2}, {5, 0, 5}, {0, 0x80, 2}, {0, 0x7f, 0x7f << 56}, {7, 0xff, 0x7f<<56 + 7}} {
		k := key{0: c.first, 7: c.last, 8: 0xff}
		if got := k.ino(); got != c.want {
			t.Errorf("ino of %x = %#x, want %#x: neither 0 nor the root's, and not negative", k, got, c.want)
		}
	}
}
