package fusefs

import (
	"maps"
	"os"
	"runtime"
	"testing"
)

// held is what a mount and this process hold, by name.
func (m *mount) held(t *testing.T) map[string]int {
	t.Helper()
	s := m.srv.s
	out := map[string]int{}
	s.handles.mu.Lock()
	out["open files"] = len(s.handles.open)
	s.handles.mu.Unlock()
	s.drafts.mu.Lock()
	out["drafts"], out["directories with drafts"] = len(s.drafts.byName), len(s.drafts.byDir)
	s.drafts.mu.Unlock()
	s.turnover.mu.Lock()
	out["names that change"] = len(s.turnover.names)
	s.turnover.mu.Unlock()
	s.busy.mu.Lock()
	out["busy directories"] = len(s.busy.count)
	s.busy.mu.Unlock()
	s.passthrough.mu.Lock()
	out["files read here"] = len(s.passthrough.cached)
	s.passthrough.mu.Unlock()
	s.notify.mu.Lock()
	out["notifications"] = len(s.notify.names) + len(s.notify.nodes)
	s.notify.mu.Unlock()
	out["directories of the mount"] = s.locals.size()
	spooled, err := os.ReadDir(m.spool)
	if err != nil {
		t.Fatal(err)
	}
	out["spool files"] = len(spooled)
	if !onS3 { // connections to a store are kept for a while
		out["descriptors"] = descriptors(t)
	}
	return out
}

func descriptors(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

// TestNothingGrows uses a mount again and again, in ways that work and in ways that
// do not, and wants it to hold afterwards what it held after the first time. It
// runs alone: what is counted is the whole process's.
func TestNothingGrows(t *testing.T) {
	m := newMount(t, withDeletes)
	m.put(t, "app", newImage("one", layer("a", 300<<10)), "v1")
	use := func(round string) { // with names of its own
		t.Helper()
		m.bash(t, 0, `
for i in "$round"{1..5}; do
	cp repositories/app/_tags/v1 repositories/app/_tags/t$i && rm repositories/app/_tags/t$i
	! echo bad >repositories/app/_tags/bad$i
	: >repositories/app/_tags/empty$i && rm repositories/app/_tags/empty$i
	! echo x >repositories/app/_blobs/sha256/$(printf %064d $i)
	mkdir repositories/new$i && rmdir repositories/new$i
	! cat repositories/none$i && ! ln -s a repositories/link$i && ! mv repositories/app/_tags/v1 repositories/app/_blobs/sha256/
	cp repositories/app/_tags/v1 repositories/app/_tags/v1 || :
	cat repositories/app/_tags/v1 repositories/app/_blobs/sha256/* >$local/out
	head -c 1 repositories/app/_blobs/sha256/* >$local/out
	(exec 3<repositories/app/_tags/v1; exec 4>raw/stray; rm raw/stray)
done 2>/dev/null
ls -lR . >$local/out
`, "local="+t.TempDir(), "round="+round)
	}
	use("1")
	var want map[string]int
	if !eventually(func() bool { want = m.held(t); return want["open files"] == 0 && want["notifications"] == 0 }) {
		t.Fatalf("after the first time there is %v", want)
	}
	use("2")
	use("3")
	var got map[string]int
	if !eventually(func() bool { got = m.held(t); return maps.Equal(got, want) }) {
		t.Errorf("after the third time there is\n%v, want what there was after the first\n%v", got, want)
	}
}

// TestManyMounts mounts again and again in one process.
func TestManyMounts(t *testing.T) {
	if onS3 {
		t.Skip("connections to the store are kept for a while")
	}
	use := func() [2]int { return [2]int{descriptors(t), runtime.NumGoroutine()} }
	var want, got [2]int
	for i := range 12 {
		m := newMount(t)
		m.bash(t, 0, `cat README.txt .registryfs/* && ls repositories`)
		m.unmount(t)
		if i == 1 { // what is made once is there by now
			want = use()
		}
	}
	if !eventually(func() bool { got = use(); return got[0] <= want[0] && got[1] <= want[1] }) {
		t.Errorf("after 12 mounts there are %d descriptors and %d goroutines, after the second there were %d and %d\n%s",
			got[0], got[1], want[0], want[1], goroutines())
	}
}

// TestFirstRelease closes, as the first file of a mount, one that the kernel cannot
// read past us.
func TestFirstRelease(t *testing.T) {
	m := newMount(t)
	m.bash(t, 0, `cat README.txt .registryfs/stats`)
	m.unmount(t)
	if errs := m.srv.Stats().Errors; len(errs) > 0 {
		t.Errorf("errors are counted: %v", errs)
	}
}
