package fusefs

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"syscall"
	"testing"

	"registryfs/layout"
)

func TestRefusalsText(t *testing.T) {
	var log strings.Builder
	r := refusals{log: slog.New(slog.NewTextHandler(&log, nil))}
	for i := range keptRefusals + 10 {
		r.note("rm", fmt.Sprint("/file", i), fmt.Errorf("rm: %w", errNoDelete))
	}
	lines := strings.Split(strings.TrimSpace(r.text()), "\n")
	if len(lines) != keptRefusals || !strings.Contains(lines[0], "/file10:") || !strings.Contains(lines[len(lines)-1], fmt.Sprint("/file", keptRefusals+9, ":")) {
		t.Errorf("text has %d lines from %q to %q", len(lines), lines[0], lines[len(lines)-1])
	}
	if !strings.Contains(lines[0], "operation not permitted: rm: deletes are off; mount with --allow-delete") {
		t.Errorf("a line = %q, want what, why, and the remedy", lines[0])
	}
	if got := strings.Count(log.String(), "\n"); got != keptRefusals+10 {
		t.Errorf("%d lines were logged, want each once", got)
	}

	r = refusals{log: slog.New(slog.DiscardHandler)}
	for _, quiet := range []error{nil, fs.ErrNotExist, fs.ErrExist, layout.ErrNotEmpty} {
		if quiet != nil {
			r.note("lookup", "/x", quiet)
		}
	}
	if r.text() != "" {
		t.Errorf("answers were taken for refusals: %q", r.text())
	}
	if got := r.note("read", "/x", errors.New("two\nlines")); got != syscall.EIO || strings.Count(r.text(), "\n") != 1 {
		t.Errorf("note = %v, text %q, want EIO and one line", got, r.text())
	}
}

func TestStaged(t *testing.T) {
	const rdwr, wronly, excl = syscall.O_RDWR, syscall.O_WRONLY, syscall.O_CREAT | syscall.O_EXCL
	for _, c := range []struct {
		who, name          string
		flags, mode, umask uint32
		want               bool
	}{
		{"mkstemp", "tmp.x1", rdwr | excl, 0o600, 0o022, true},
		{"mkstemp, no umask", ".v1.Ab12cd", rdwr | excl, 0o600, 0, true},
		{"mkstemp with a file type", "v1", rdwr | excl, syscall.S_IFREG | 0o600, 0o022, true},
		{"mkstemp under 027", "v1", rdwr | excl, 0o600, 0o027, true},
		{"any file under 077", "v1", rdwr | excl, 0o600, 0o077, false},
		{"any file under 066", "v1", rdwr | excl, 0o600, 0o066, false},
		{"sed -i, which sets 077", "sedx0Y9zz", rdwr | excl, 0o600, 0o077, true},
		{"perl -i, which sets 0177", "XXO427lU", rdwr | excl, 0o600, 0o177, true},
		{"a name like sed's", "sedative", rdwr | excl, 0o600, 0o077, false},
		{"cp of a name like sed's", "sedx0Y9zz", wronly | excl, 0o600, 0o077, false},
		{"cp", "v1", wronly | excl, 0o644, 0o022, false},
		{"cp -p", "v1", wronly | excl, 0o600, 0o022, false},
		{"open for both", "v1", rdwr | excl, 0o644, 0o022, false},
		{"rsync --inplace", "v1", wronly | syscall.O_CREAT, 0o600, 0o022, false},
		{"not exclusive", "v1", rdwr | syscall.O_CREAT, 0o600, 0o022, false},
	} {
		if got := staged(c.name, c.flags, c.mode, c.umask); got != c.want {
			t.Errorf("%s: staged(%q, %#o, %#o, %#o) = %v, want %v", c.who, c.name, c.flags, c.mode, c.umask, got, c.want)
		}
	}
}
