package fusefs

import (
	"syscall"
	"testing"
)

// TestOperationsAreCounted makes requests of every kind, and wants each to be
// counted, as are those that are refused.
func TestOperationsAreCounted(t *testing.T) {
	t.Parallel()
	need(t, "setfattr", "fallocate", "mkfifo")
	m := newMount(t, withDeletes, withXAttrs)
	m.put(t, "app", newImage("one", layer("a", 10)), "v1")
	m.bash(t, 0, `
ls -lR info repositories >/dev/null
cat repositories/app/_tags/v1 >$local/m.json
cp $local/m.json repositories/app/_tags/v2
cp repositories/app/_tags/v1 repositories/app/_tags/v3
sync repositories/app/_tags/v3
mv repositories/app/_tags/v2 repositories/app/_tags/v4
ln repositories/app/_tags/v4 repositories/app/_tags/v5
rm repositories/app/_tags/v5
mkdir repositories/new && touch -d 2020-01-01 repositories/new && rmdir repositories/new
stat -f . >/dev/null
! ln -s x repositories/link && ! mkfifo repositories/fifo
! setfattr -n user.x -v 1 repositories/app/_tags/v1 && ! setfattr -x user.x repositories/app/_tags/v1
! fallocate -l 5 repositories/app/_tags/v6
rm repositories/app/_tags/v6
`, "local="+t.TempDir())
	if !eventually(func() bool { return m.srv.Stats().OpenFiles == 0 }) {
		t.Error("files remain open")
	}
	stats := m.srv.Stats()
	for _, o := range stats.Operations {
		if o.Durations.Count == 0 {
			t.Errorf("no %s is counted", o.Name)
		}
	}
	if got := stats.Errors[syscall.EPERM]; got != 2 { // ln -s, mkfifo
		t.Errorf("%d refusals with EPERM are counted, want 2", got)
	}
	if got := stats.Errors[syscall.EOPNOTSUPP]; got < 3 { // the attributes, fallocate
		t.Errorf("%d refusals with EOPNOTSUPP are counted, want 3", got)
	}
	m.errorsSay(t, "setxattr /repositories/app/_tags/v1: operation not supported: attributes are made from the manifests")
}
