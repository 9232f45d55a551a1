package compat

import (
	"strings"
	"testing"
)

// rsync copies src to dst as a backup does, and must succeed without a word on
// stderr. It returns the itemized changes.
func rsync(t testing.TB, src, dst string) []string {
	t.Helper()
	r := tryRsync(t, src, dst)
	if r.code != 0 || r.stderr != "" {
		t.Fatalf("rsync -a %s %s: exit status %d\n%s", src, dst, r.code, firstLines(r.stderr, 20))
	}
	changes, _, found := strings.Cut(r.stdout, "Number of files:")
	if !found {
		t.Fatalf("rsync printed no statistics:\n%s", firstLines(r.stdout, 20))
	}
	return strings.FieldsFunc(changes, func(r rune) bool { return r == '\n' })
}

func tryRsync(t testing.TB, src, dst string, options ...string) result {
	t.Helper()
	args := append([]string{"-a", "--itemize-changes", "--stats"}, options...)
	return try(t, program(t, rsyncPath), append(args, src, dst)...)
}

// checkQuiet sees that rsync finds nothing to do: no transfer, and no mode,
// owner or time to set either.
func checkQuiet(t testing.TB, src, dst string) {
	t.Helper()
	if changes := rsync(t, src, dst); len(changes) > 0 {
		t.Errorf("rsync -a %s %s has %d changes to make again:\n%s", src, dst, len(changes),
			firstLines(strings.Join(changes, "\n"), 20))
	}
}

// checkNoTransfer sees that rsync has no file to transfer. Modes it may want to
// set again: those of a mount are not kept.
func checkNoTransfer(t testing.TB, src, dst string) {
	t.Helper()
	for _, change := range rsync(t, src, dst) {
		if change[0] != '.' || strings.Contains(strings.Fields(change)[0], "t") {
			t.Errorf("rsync -a %s %s: %s", src, dst, change)
		}
	}
}
