package drivers_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"registryfs/drivers"
)

// registryPath is the rule of the registry, which lets "." and ".." through.
var registryPath = regexp.MustCompile(`^(/[A-Za-z0-9._-]+)+$`)

func FuzzValidPath(f *testing.F) {
	for _, path := range []string{"", "/", "/a", "a", "/a/", "//", "/a/./b", "/..", "/...", "/a\n", "/ä", "/A-z_0.9/b"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		names := strings.Split(path, "/")
		want := registryPath.MatchString(path) && !strings.HasSuffix(path, "\n") &&
			!slices.Contains(names, ".") && !slices.Contains(names, "..")
		if got := drivers.ValidPath(path); got != want {
			t.Errorf("ValidPath(%q) = %v, want %v", path, got, want)
		}
		if want && !drivers.ValidChild(path) {
			t.Errorf("ValidChild(%q) = false for a valid path", path)
		}
	})
}

func FuzzComparePaths(f *testing.F) {
	f.Add("/a/b", "/a-b")
	f.Add("/a", "/a/b")
	f.Add("/a.b/c", "/a/b/c")
	f.Add("/", "/a")
	f.Fuzz(func(t *testing.T, a, b string) {
		if a != "/" && !drivers.ValidPath(a) || b != "/" && !drivers.ValidPath(b) {
			return
		}
		components := func(path string) []string { return strings.Split(strings.TrimSuffix(path, "/"), "/") }
		want := slices.Compare(components(a), components(b))
		if got := drivers.ComparePaths(a, b); got != want {
			t.Errorf("ComparePaths(%q, %q) = %d, want %d", a, b, got, want)
		}
	})
}
