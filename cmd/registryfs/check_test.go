package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// runCheck runs the command on a store and returns what it prints and its status.
func runCheck(t *testing.T, args ...string) (string, int) {
	t.Helper()
	out, err := exec.Command(binary, append([]string{"check", "-q"}, args...)...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(out), exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(out), 0
}

func TestCheckStatus(t *testing.T) {
	root := t.TempDir()
	if _, status := runCheck(t, root); status != 2 {
		t.Errorf("check of what is no store: exit status %d, want 2", status)
	}
	layers := filepath.Join(root, "docker/registry/v2/repositories/app/_layers/sha256")
	mkdir(t, layers)
	out, status := runCheck(t, root)
	if status != 0 || !strings.Contains(out, "1 no-manifest") && strings.Contains(out, "fault") {
		t.Errorf("check of a clean store: exit status %d, want 0\n%s", status, out)
	}

	const hex = "00000000000000000000000000000000000000000000000000000000deadbeef"
	link := filepath.Join(layers, hex, "link")
	mkdir(t, filepath.Dir(link))
	if err := os.WriteFile(link, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if out, status = runCheck(t, root); status != 1 || !strings.Contains(out, "fault  damaged") {
		t.Errorf("check of a damaged store: exit status %d, want 1\n%s", status, out)
	}
	out, status = runCheck(t, "--json", "--repair", "--dry-run", root)
	var doc struct {
		Findings []struct{ Weight, Kind, Path string }
		Repairs  []struct{ Do, Link, Text string }
		Summary  struct{ Faults int }
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	if status != 1 || len(doc.Findings) < 2 || len(doc.Repairs) != 1 || doc.Repairs[0].Link != "sha256:"+hex || doc.Summary.Faults != 2 {
		t.Errorf("check --json --repair --dry-run: exit status %d, want 1\n%s", status, out)
	}
	if content, err := os.ReadFile(link); err != nil || len(content) > 0 {
		t.Errorf("the dry run has written %q, %v", content, err)
	}
	runCheck(t, "--repair", root)
	if content, err := os.ReadFile(link); err != nil || string(content) != "sha256:"+hex {
		t.Errorf("the repair has written %q, %v", content, err)
	}
	for _, source := range []string{t.TempDir(), "/nonexistent", "s3://bucket?region=none"} {
		out, status = runCheck(t, "--json", source)
		var failed struct {
			Findings, Repairs []any
			Summary           struct{ Error string }
		}
		if err := json.Unmarshal([]byte(out), &failed); err != nil || failed.Summary.Error == "" || failed.Findings == nil || status != 2 {
			t.Errorf("check --json of %s: exit status %d, %v\n%s", source, status, err, out)
		}
	}
}

func TestCheckUsage(t *testing.T) {
	for _, args := range [][]string{
		{}, {"a", "b"}, {"--dry-run", "a"}, {"--shard", "3/2", "a"}, {"--shard", "x", "a"}, {"--rate", "0", "a"}, {"--min-age", "-1h", "a"}, {"--min-age", "1y", "a"},
	} {
		if out, status := runCheck(t, args...); status != 2 || out != "" {
			t.Errorf("check %q: exit status %d, want 2\n%s", args, status, out)
		}
	}
}
