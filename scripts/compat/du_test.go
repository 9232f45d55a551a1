package compat

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestDu compares what the command says of a store that a registry has written
// with what du counts in a mount of it.
func TestDu(t *testing.T) { onEach(t, testDu) }

func testDu(t *testing.T, k kind) {
	s := standardStorage(t, k, v3)
	var report struct {
		Repositories []struct {
			Name                  string
			Total, Unique, Shared int64
			Tags                  []struct{ Total, Unique, Shared int64 }
		}
		Total, Stored int64
	}
	text := run(t, program(t, registryfs), "du", "--json", "--tags", s.source())
	if err := json.Unmarshal([]byte(text), &report); err != nil {
		t.Fatalf("registryfs du --json: %v\n%s", err, text)
	}
	if len(report.Repositories) < 8 {
		t.Fatalf("registryfs du lists %d repositories:\n%s", len(report.Repositories), text)
	}
	mnt := mount(t, s)
	check := func(what string, got int64, dir string, options ...string) {
		t.Helper()
		// Other repositories may be nested in one.
		args := append([]string{"-sb", "--exclude=_tags"}, append(options, dir)...)
		size, _, _ := strings.Cut(run(t, "du", args...), "\t")
		want, err := strconv.ParseInt(size, 10, 64)
		if err != nil || got != want {
			t.Errorf("%s = %d, but du %s says %s", what, got, strings.Join(args, " "), size)
		}
	}
	for _, p := range report.Repositories {
		check(p.Name, p.Total, repository(mnt, p.Name), fmt.Sprintf("--exclude=%s/[a-z0-9]*", repository(mnt, p.Name)))
		check("all but what only "+p.Name+" has", report.Total-p.Unique, filepath.Join(mnt, "repositories"), fmt.Sprintf("--exclude=%s/_*", repository(mnt, p.Name)))
		if p.Shared != p.Total-p.Unique {
			t.Errorf("%s has %+v", p.Name, p)
		}
		for _, tag := range p.Tags {
			if tag.Total == 0 || tag.Total > p.Total || tag.Unique+tag.Shared != tag.Total {
				t.Errorf("a tag of %s has %+v of %d bytes", p.Name, tag, p.Total)
			}
		}
	}
	check("all together", report.Total, filepath.Join(mnt, "repositories"))
	check("the store", report.Stored, filepath.Join(mnt, "blobs"))
	if out := run(t, program(t, registryfs), "du", s.source(), "team/*"); !strings.Contains(out, "team/app:1.2\n") || strings.Contains(out, "busybox") {
		t.Errorf("registryfs du of team/*:\n%s", out)
	}
}
