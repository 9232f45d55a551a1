package fusefs

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"registryfs/drivers"
	"registryfs/drivers/drivertest"
	"registryfs/drivers/filesystem"
	"registryfs/drivers/inmemory"
)

// seedTags tags one image n times, as fast as it goes.
func seedTags(t testing.TB, d drivers.StorageDriver, repo string, i image, n int) {
	t.Helper()
	put := func(path string, content []byte) {
		if err := d.PutContent(context.Background(), "/"+path, content); err != nil {
			t.Fatal(err)
		}
	}
	link := []byte(i.digest())
	put(blobFile(i.digest()), i.manifest)
	put(revisionLink(repo, i.digest()), link)
	for _, b := range i.blobs {
		put(blobFile(i.blob(0)), b)
		put(layerLink(repo, i.blob(0)), []byte(i.blob(0)))
	}
	for n := range n {
		put(tagLink(repo, tagNumber(n)), link)
	}
}

func tagNumber(n int) string { return fmt.Sprintf("tag-%05d", n) }

// TestListingCost counts what a listing asks of the driver.
func TestListingCost(t *testing.T) {
	t.Parallel()
	const n = 1000
	for _, c := range []struct {
		name, script string
		most         map[string]int
	}{
		{"ls -l of tags", `ls -l repositories/app/_tags | wc -l`, map[string]int{"List": 1, "GetContent": n, "Stat": n}},
		{"ls -f of tags", `ls -f repositories/app/_tags | wc -l`, map[string]int{"List": 1, "GetContent": n, "Stat": n}},
		{"ls -l of digests", `ls -l info/app/_digests | wc -l`, map[string]int{"List": 1, "GetContent": n, "Stat": n}},
		{"stat of a tag", `stat repositories/app/_tags/tag-00001`, map[string]int{"List": 0, "GetContent": 1, "Stat": 1}},
		{"cat of a tag", `cat repositories/app/_tags/tag-00001`, map[string]int{"GetContent": 1, "Stat": 1, "OpenFile": 1, "Reader": 1}},
		{"ls of a blob's shard", `ls -lR blobs/sha256/`, map[string]int{"List": 2, "Walk": 2, "Stat": 0, "GetContent": 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := drivertest.NewCounting(inmemory.New())
			seedTags(t, d, "app", newImage("one"), n)
			// With time enough for a slow machine to end what it has begun.
			m := newMount(t, func(c *mountConfig) { c.driver, c.TagTTL = d, 20*time.Second })
			m.bash(t, 0, `ls -d repositories/app/_tags info/app/_digests blobs/sha256`) // the way there
			d.Reset()
			m.bash(t, 0, c.script)
			got := d.Counts()
			for method, count := range got {
				// The directory's own times, asked for by stat and open.
				slack := map[string]int{"Stat": 4}[method]
				if count > c.most[method]+slack {
					t.Errorf("%d calls of %s, want at most %d", count, method, c.most[method]+slack)
				}
			}
			t.Logf("%s: %v", c.script, got)
		})
	}
}

// TestListingCostRaw asks for one List per directory of raw/, and nothing else.
func TestListingCostRaw(t *testing.T) {
	t.Parallel()
	for _, inner := range []drivers.StorageDriver{inmemory.New(), filesystem.New(filesystem.Parameters{RootDirectory: t.TempDir()})} {
		d := drivertest.NewCounting(inner)
		seedTags(t, d, "app", newImage("one"), 50)
		m := newMount(t, func(c *mountConfig) { c.driver, c.TagTTL = d, 20*time.Second })
		dirs := 0
		if err := d.Walk(t.Context(), "/", func(info drivers.FileInfo) error {
			if info.IsDir() {
				dirs++
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		d.Reset()
		m.bash(t, 0, `ls -lR raw`)
		if got := d.Count("List"); got != dirs+1 {
			t.Errorf("%s: %d calls of List for %d directories and the top", inner.Name(), got, dirs)
		}
		if got := d.Count("Stat") + d.Count("GetContent") + d.Count("Walk"); got > 2 {
			t.Errorf("%s: calls besides List: %v", inner.Name(), d.Counts())
		}
	}
}

// dirent is what getdents64 tells.
type dirent struct {
	name string
	off  int64 // the position after it
	typ  uint8
}

// getdents reads from the directory with a buffer of that size: once, or to its
// end.
func getdents(t *testing.T, fd, size int, all bool) []dirent {
	t.Helper()
	var out []dirent
	buf := make([]byte, size)
	for {
		n, err := unix.Getdents(fd, buf)
		if err != nil {
			t.Fatalf("getdents: %v", err)
		}
		for b := buf[:n]; len(b) > 0; {
			length := binary.NativeEndian.Uint16(b[16:])
			name, _, _ := strings.Cut(string(b[19:length]), "\x00")
			out = append(out, dirent{name, int64(binary.NativeEndian.Uint64(b[8:])), b[18]})
			b = b[length:]
		}
		if n == 0 || !all {
			return out
		}
	}
}

func namesOf(entries []dirent) []string {
	var names []string
	for _, e := range entries {
		if e.name != "." && e.name != ".." {
			names = append(names, e.name)
		}
	}
	return names
}

// TestReadDirPositions reads directories in pieces, from stored positions, and
// again from the start: always the same names, each once.
func TestReadDirPositions(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 2000, 20_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			d := inmemory.New()
			seedTags(t, d, "app", newImage("one"), size)
			m := newMount(t, func(c *mountConfig) { c.driver = d })
			want := make([]string, 0, size)
			for i := range size {
				want = append(want, tagNumber(i))
			}
			fd, err := unix.Open(m.path("repositories/app/_tags"), unix.O_RDONLY|unix.O_DIRECTORY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			pieces := 7
			if size > 10_000 {
				pieces = 2
			}
			seek := func(off int64) {
				t.Helper()
				if got, err := unix.Seek(fd, off, unix.SEEK_SET); err != nil || got != off {
					t.Fatalf("seek to %d = %d, %v", off, got, err)
				}
			}
			for _, buffer := range []int{60, 300, 4096, 32 << 10, 1 << 20} {
				if size/buffer > 10 || size > 10_000 && buffer != 32<<10 {
					continue // it takes too long
				}
				seek(0)
				entries := getdents(t, fd, buffer, true)
				if got := slices.Sorted(slices.Values(namesOf(entries))); !slices.Equal(got, want) {
					t.Fatalf("with a buffer of %d: %d names, want %d", buffer, len(got), len(want))
				}
				if len(entries) != size+2 || entries[0].name != "." || entries[1].name != ".." {
					t.Fatalf("with a buffer of %d: %v and so on, want . and .. first", buffer, entries[:2])
				}
				for i := 0; i < len(entries)-1; i += max(1, len(entries)/pieces) {
					seek(entries[i].off)
					if next := getdents(t, fd, 300, false); len(next) == 0 || next[0] != entries[i+1] {
						t.Fatalf("after seek to %d: %v, want %v", entries[i].off, next, entries[i+1])
					}
				}
				seek(entries[len(entries)-1].off)
				if rest := getdents(t, fd, 4096, true); len(rest) > 0 {
					t.Fatalf("behind the last entry: %v", rest)
				}
			}
			// Rewinding shows what has come since, as a new open does.
			seek(0)
			getdents(t, fd, 300, false)
			if err := d.PutContent(t.Context(), "/"+tagLink("app", tagNumber(size)), []byte(newImage("one").digest())); err != nil {
				t.Fatal(err)
			}
			if !eventually(func() bool {
				seek(0)
				return slices.Contains(namesOf(getdents(t, fd, 4096, true)), tagNumber(size))
			}) {
				t.Error("a tag that came meanwhile is not listed after rewinding")
			}
		})
	}
}

// TestReadDirWhileChanging lists a directory that changes: what was there all
// the time is listed, once.
func TestReadDirWhileChanging(t *testing.T) {
	t.Parallel()
	for _, driver := range []drivers.StorageDriver{inmemory.New(), filesystem.New(filesystem.Parameters{RootDirectory: filepath.Join(t.TempDir(), "store")})} {
		const n = 150
		seedTags(t, driver, "app", newImage("one"), n)
		m := newMount(t, func(c *mountConfig) { c.driver = driver; c.AllowDelete = true })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := 0; ctx.Err() == nil; i++ {
				path := "/" + tagLink("app", fmt.Sprintf("tag-%05d-x", i%n))
				if i%(2*n) < n {
					driver.PutContent(ctx, path, []byte(newImage("one").digest()))
				} else {
					driver.Delete(ctx, filepath.Dir(filepath.Dir(path)))
				}
				time.Sleep(time.Millisecond)
			}
		}()
		for range 3 {
			names := strings.Fields(m.out(t, `ls repositories/app/_tags`))
			count := map[string]int{}
			for _, name := range names {
				count[name]++
			}
			for i := range n {
				if count[tagNumber(i)] != 1 {
					t.Errorf("%s is listed %d times, want once", tagNumber(i), count[tagNumber(i)])
				}
			}
			m.bash(t, 0, `ls -l repositories/app/_tags && find repositories -type f`)
		}
		cancel()
		<-done
		m.bash(t, 0, `rm -r repositories/app && ! ls repositories/app`)
	}
}

// TestNodeBound keeps the number of nodes in bounds, however much is listed.
func TestNodeBound(t *testing.T) {
	t.Parallel()
	const bound = 1000
	d := inmemory.New()
	seedTags(t, d, "app", newImage("one"), 20_000)
	m := newMount(t, func(c *mountConfig) { c.driver, c.MaxNodes = d, bound })
	// Without looking at one: the kernel asks for their attributes anyway.
	if got := m.out(t, `ls -U repositories/app/_tags | wc -l`); got != "20000" {
		t.Errorf("%s lines of ls, want 20000", got)
	}
	nodes := 0
	if !eventually(func() bool {
		stats, err := os.ReadFile(m.path(".registryfs/stats"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(stats)) {
			fmt.Sscanf(line, "nodes %d", &nodes)
		}
		return nodes <= bound
	}) {
		t.Errorf("%d nodes, want at most %d", nodes, bound)
	}
	// What is in use stays, and what was forgotten is found again.
	if got := m.out(t, `cd repositories/app/_tags && exec 3<tag-00007 && ls -U | wc -l && sleep 0.3 && stat -c %s tag-00001 && cat <&3 | cmp - tag-00001 && ls -d . ../_blobs && pwd -P`); !strings.HasPrefix(got, "20000\n") {
		t.Errorf("after the bound: %q", got)
	}
}

// TestTagTTL sees what others change within it, and its own at once.
func TestTagTTL(t *testing.T) {
	t.Parallel()
	m := newMount(t, func(c *mountConfig) { c.TagTTL = 300 * time.Millisecond })
	one, two := newImage("one"), newImage("two")
	m.put(t, "app", one, "v1")
	m.put(t, "app", two)
	m.bash(t, 0, `cat repositories/app/_tags/v1; ls -l repositories/app/_tags info/app/_digests; ! ls repositories/app/_tags/v2; ! ls repositories/other`)
	m.put(t, "app", two, "v1", "v2")
	m.put(t, "other", two, "v1")
	got := m.out(t, `sleep 0.4; sha256sum <repositories/app/_tags/v1; sha256sum <repositories/app/_tags/v2; readlink info/app/_digests/v1 | grep -c $hex; ls repositories/app/_tags repositories/other/_tags`, "hex="+two.hex())
	want := two.hex() + "  -\n" + two.hex() + "  -\n1\nrepositories/app/_tags:\nv1\nv2\n\nrepositories/other/_tags:\nv1"
	if got != want {
		t.Errorf("after the time to live: %q, want %q", got, want)
	}
	// With a long one, what this mount does itself is seen at once.
	slow := newMount(t, over(m.store), withDeletes, func(c *mountConfig) { c.TagTTL = time.Hour })
	for _, script := range []string{
		`cd repositories/app/_tags && ls -l . ../../../info/app/_digests && cp ../_manifests/sha256/$hex v1 && cmp v1 ../_manifests/sha256/$hex && readlink ../../../info/app/_digests/v1 | grep $hex`,
		`cd repositories/app/_tags && ls && ! cat v9 && cp v1 v9 && cmp v1 v9 && ls | grep v9 && sleep 1.1 && ls ../../../info/app/_digests | grep v9 && ls ../../../info/app/_history | grep v9`,
		`cd repositories/app/_tags && rm v9 && ! cat v9 && ! ls | grep v9 && ! readlink ../../../info/app/_digests/v9 && mv v1 v8 && ! cat v1 && cat v8 && ls | grep v8 && ! ls | grep v1`,
		`ls repositories info; ! ls repositories/new; ! ls info/new; mkdir repositories/new && ls repositories | grep new && ls info | grep new && sleep 1.1 && ls -d info/new && cp repositories/app/_tags/v8 repositories/new/_tags/ && ls -R repositories/new info/new | grep $hex`,
		`ls repositories/app/_blobs/sha256 blobs/sha256 && printf x >repositories/app/_blobs/x && ls repositories/app/_blobs/sha256 | grep $x && cat blobs/sha256/*/$x && ls blobs/sha256/* | grep $x`,
		`rm -r repositories/new && ! ls repositories/new && ! ls repositories | grep new && ! ls info/new && ! ls info | grep new`,
		`ls -R raw >/dev/null; rm -r raw/docker/registry/v2/repositories/other && ! ls repositories/other && ! ls repositories | grep other`,
		`ls raw && printf x >raw/file && ls raw | grep file && printf yy >raw/file && test $(stat -c %s raw/file) = 2 && test $(cat raw/file) = yy && touch -d @1 raw/file && test $(stat -c %Y raw/file) = 1 && rm raw/file && ! cat raw/file && ! ls raw | grep file`,
	} {
		slow.bash(t, 0, "set -o pipefail; "+script, "hex="+one.hex(), "x="+hexOf([]byte("x")))
	}
}
