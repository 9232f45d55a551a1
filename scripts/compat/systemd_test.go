package compat

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSystemd has systemd itself look at the units, as instances, with our
// program in the place of the installed one.
func TestSystemd(t *testing.T) {
	t.Parallel()
	units, err := filepath.Glob(filepath.Join("..", "systemd", "*@.*"))
	if err != nil || len(units) != 7 {
		t.Fatalf("units are %q, %v, want 7", units, err)
	}
	dir := t.TempDir()
	args := []string{"verify", "--man=no", "--recursive-errors=no"}
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, strings.Replace(filepath.Base(unit), "@", "@images", 1))
		text = []byte(strings.ReplaceAll(string(text), "/usr/local/bin/registryfs", program(t, registryfs)))
		if err := os.WriteFile(name, text, 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, name)
	}
	r := try(t, "systemd-analyze", args...)
	if said := r.stdout + r.stderr; r.code != 0 || strings.Contains(said, dir) {
		t.Errorf("systemd-analyze verify: exit status %d\n%s", r.code, said)
	}
}
