package fusefs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"registryfs/drivers"
	"registryfs/drivers/drivertest"
	"registryfs/drivers/inmemory"
)

// timeless is a store that keeps no times, as an object store is: those that
// files have are of the second in which they were written, directories have none.
type timeless struct{ drivers.StorageDriver }

func newTimeless() drivers.StorageDriver {
	return timeless{drivertest.Fallback(inmemory.New())}
}

func (d timeless) Stat(ctx context.Context, path string) (drivers.FileInfo, error) {
	info, err := d.StorageDriver.Stat(ctx, path)
	if err != nil {
		return nil, err
	}
	f := drivers.FileInfoFields{FullPath: info.Path(), Bytes: info.Size(), Modified: info.ModTime().Truncate(time.Second), Dir: info.IsDir()}
	if f.Dir {
		f.Modified = time.Time{}
	}
	return f, nil
}

// keeps mounts d as the store of that name, with state of its own.
func keeps(d drivers.StorageDriver, state string) mountOption {
	return func(c *mountConfig) { c.driver, c.StateDir, c.StoreID = d, state, "store" }
}

// TestTimelessRsync restores into a store without times: the second run finds
// nothing to do, in this mount and in the next.
func TestTimelessRsync(t *testing.T) {
	t.Parallel()
	need(t, "rsync")
	from := newMount(t)
	from.seedTwo(t)
	for _, tree := range []string{"raw", "repositories"} {
		for _, flags := range []string{"-a", "-a --inplace", "-a --delay-updates"} {
			t.Run(tree+" "+flags, func(t *testing.T) {
				t.Parallel()
				d, state := newTimeless(), t.TempDir()
				to := newMount(t, keeps(d, state))
				backup := t.TempDir()
				env := []string{"flags=" + flags, "from=" + from.path(tree), "to=" + to.path(tree), "backup=" + backup}
				// What is made in the second that it is to be of has its time by chance.
				from.bash(t, 0, `rsync $flags $from/ $backup/ && find $backup -exec touch -d '2020-01-01 00:00:00.5' {} +`, env...)
				to.bash(t, 0, `rsync $flags $backup/ $to/`, env...)
				to.bash(t, 0, `diff -r $from $to`, env...)
				to.quiet(t, `rsync $flags -i $backup/ $to/`, env...)
				to.unmount(t)
				again := newMount(t, keeps(d, state))
				env[2] = "to=" + again.path(tree)
				again.quiet(t, `rsync $flags -i $backup/ $to/`, env...)
				again.quiet(t, `rsync $flags -i $to/ $backup/`, env...)
			})
		}
	}
}

// TestTimelessTimes sets times as programs do, and finds them in the next mount
// under every name of the file.
func TestTimelessTimes(t *testing.T) {
	t.Parallel()
	d, state := newTimeless(), t.TempDir()
	m := newMount(t, keeps(d, state))
	i := newImage("one", layer("a", 100))
	m.put(t, "app", i, "v1")
	manifest := filepath.Join(t.TempDir(), "m.json")
	if err := os.WriteFile(manifest, i.manifest, 0o644); err != nil {
		t.Fatal(err)
	}
	when := time.Date(2020, 2, 3, 4, 5, 6, 789, time.UTC)
	if err := os.Chtimes(manifest, when, when); err != nil {
		t.Fatal(err)
	}
	env := []string{"manifest=" + manifest, "tags=" + m.path("repositories/app/_tags"), "hex=" + i.hex(), "blob=" + i.blob(1).Encoded()}
	m.bash(t, 0, `cp -p $manifest $tags/cp
		install -p $manifest $tags/install
		cp -p $manifest $tags/v1
		touch -d '2021-01-01T00:00:00Z' $tags/../_manifests/sha256/$hex
		touch -d '2022-01-01T00:00:00.5Z' $tags/../_blobs/sha256/$blob
		touch -d '2023-01-01T00:00:00Z' $tags
		mkdir $repos/new && touch -d '2024-01-01T00:00:00Z' $repos/new`, env...)
	const show = `cd $repos && TZ=UTC stat -c '%n %.9Y' app/_tags/* app/_manifests/sha256/$hex \
		app/_blobs/sha256/$blob ../blobs/sha256/*/$blob ../raw/docker/registry/v2/blobs/sha256/*/$blob/data app/_tags | sed "s/$blob/BLOB/g; s/$hex/HEX/; s,sha256/../,sha256/,"`
	want := strings.Join([]string{
		"app/_tags/cp 1580702706.000000789",
		"app/_tags/install 1580702706.000000789",
		"app/_tags/v1 1580702706.000000789",
		"app/_manifests/sha256/HEX 1609459200.000000000",
		"app/_blobs/sha256/BLOB 1640995200.500000000",
		"../blobs/sha256/BLOB 1640995200.500000000",
		"../raw/docker/registry/v2/blobs/sha256/BLOB/data 1640995200.500000000",
		"app/_tags 1672531200.000000000"}, "\n")
	if got := m.out(t, show, env...); got != want {
		t.Errorf("times:\n%s\nwant\n%s", got, want)
	}
	if got := m.out(t, `stat -c %Y $repos/new`); got != "1704067200" {
		t.Errorf("time of a new directory = %s, want 1704067200", got)
	}
	m.unmount(t)
	m = newMount(t, keeps(d, state))
	if got := m.out(t, show, env...); got != want {
		t.Errorf("times in the next mount:\n%s\nwant\n%s", got, want)
	}
	// Another store has nothing of that, and neither has a mount without state.
	if got := newMount(t, keeps(d, state), func(c *mountConfig) { c.StoreID = "other" }).out(t, show, env...); strings.Contains(got, "1580702706") {
		t.Errorf("times of another store:\n%s", got)
	}
}

// TestTimelessChanged drops the time of what somebody else has written anew.
func TestTimelessChanged(t *testing.T) {
	t.Parallel()
	d, state := newTimeless(), t.TempDir()
	path := "/docker/registry/v2/repositories/app/_uploads/1/startedat"
	put := func() {
		if err := d.PutContent(t.Context(), path, []byte("2026-01-01T00:00:00Z")); err != nil {
			t.Fatal(err)
		}
	}
	put()
	m := newMount(t, keeps(d, state))
	i := newImage("one", layer("a", 100))
	m.put(t, "app", i, "v1")
	show := `stat -c %Y raw` + path + ` repositories/app/_tags/v1`
	m.bash(t, 0, `touch -d @1000 raw`+path+` repositories/app/_tags/v1`)
	if got := m.out(t, show); got != "1000\n1000" {
		t.Fatalf("times = %q, want those that were set", got)
	}
	time.Sleep(1100 * time.Millisecond) // the store's clock has ticks of a second
	put()
	m.put(t, "app", newImage("two", layer("a", 100)), "v1")
	m.put(t, "app", i, "v1") // it is what it was, and was tagged again
	m.unmount(t)
	m = newMount(t, keeps(d, state))
	for _, got := range strings.Fields(m.out(t, show)) {
		if got == "1000" {
			t.Errorf("times after a change = %q, want none of those that were set", got)
		}
	}
}

// TestTimeLog shares one log among mounts, and outlives a crash.
func TestTimeLog(t *testing.T) {
	t.Parallel()
	l := &timeLog{name: filepath.Join(t.TempDir(), "sub", "times"), most: 10}
	record := func(n, sec int) timeRecord {
		return timeRecord{key{byte(n)}, keptTime{store: anyTime, sec: int64(sec), nsec: 5}}
	}
	want := func(records ...timeRecord) {
		t.Helper()
		if got, err := l.load(); err != nil || fmt.Sprint(got) != fmt.Sprint(records) {
			t.Errorf("load = %v, %v, want %v", got, err, records)
		}
	}
	add := func(records ...timeRecord) {
		t.Helper()
		for _, r := range records {
			if err := l.append(r); err != nil {
				t.Fatalf("append: %v", err)
			}
		}
	}
	want()
	add(record(1, 1), record(2, -2))
	want(record(1, 1), record(2, -2))

	text, err := os.ReadFile(l.name)
	if err != nil {
		t.Fatal(err)
	}
	text[recordSize] ^= 1 // damaged, and one more that was begun
	if err := os.WriteFile(l.name, append(text, 1, 2, 3), 0o600); err != nil {
		t.Fatal(err)
	}
	want(record(1, 1))
	add(record(3, 3))
	want(record(1, 1), record(3, 3))

	// Full, it keeps the newest of each.
	for i := range 100 {
		add(record(100+i%12, i))
	}
	info, err := os.Stat(l.name)
	if err != nil || info.Size() > 2*10*recordSize || info.Mode().Perm() != 0o600 {
		t.Errorf("log = %v bytes, %v, want at most twice 10 records", info.Size(), err)
	}
	got, err := l.load()
	if err != nil || got[len(got)-1] != record(103, 99) {
		t.Errorf("load = %v, %v, want %v at the end", got, err, record(103, 99))
	}
}

// TestTimeLogShared appends from several mounts at once, while the log is
// written anew: nothing that was just set may be lost.
func TestTimeLogShared(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "times")
	const writers, each = 4, 50
	done := make(chan error, writers)
	for w := range writers {
		l := &timeLog{name: name, most: writers * each / 2}
		go func() {
			for i := range each {
				if err := l.append(timeRecord{key{byte(w)}, keptTime{sec: int64(i)}}); err != nil {
					done <- err
					return
				}
				// Something to be dropped.
				if err := l.append(timeRecord{key{byte(w), 1}, keptTime{sec: int64(i)}}); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	records, err := (&timeLog{name: name}).load()
	if err != nil {
		t.Fatal(err)
	}
	last := map[key]int64{}
	for _, r := range records {
		last[r.key] = r.kept.sec
	}
	for w := range writers {
		if got := last[key{byte(w)}]; got != each-1 {
			t.Errorf("newest time of writer %d = %d, want %d", w, got, each-1)
		}
	}
}

// TestKeptTimesBounded forgets the oldest, and what was set again is new.
func TestKeptTimesBounded(t *testing.T) {
	t.Parallel()
	var kept keptTimes
	a := fileAttr(1, time.Unix(50, 0), mutable)
	nth := func(i int) key { return key{byte(i), byte(i >> 8), byte(i >> 16)} }
	for i := range maxKeptTimes {
		if err := kept.keep(nth(i), &a, time.Unix(7, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if err := kept.keep(nth(0), &a, time.Unix(8, 0)); err != nil {
		t.Fatal(err)
	}
	if err := kept.keep(nth(maxKeptTimes), &a, time.Unix(8, 0)); err != nil {
		t.Fatal(err)
	}
	for i, want := range map[int]int64{0: 8, 1: 50, 2: 7, maxKeptTimes: 8} {
		if got := kept.shown(nth(i), &a).Unix(); got != want {
			t.Errorf("time of file %d = %d, want %d", i, got, want)
		}
	}
	a.mtime = time.Unix(51, 0)
	if got := kept.shown(nth(0), &a).Unix(); got != 51 {
		t.Errorf("time of a file that was written again = %d, want the store's, 51", got)
	}
}

func FuzzTimeLog(f *testing.F) {
	r := timeRecord{key{1}, keptTime{1, 2, 3}}
	f.Add(r.encode())
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, r := range decodeTimes(text) {
			if back, ok := decodeTime(r.encode()); !ok || back != r {
				t.Errorf("decode(encode(%v)) = %v, %v", r, back, ok)
			}
		}
	})
}
