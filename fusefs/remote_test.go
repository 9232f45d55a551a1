package fusefs

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"registryfs/drivers/drivertest"
	"registryfs/drivers/inmemory"
	"registryfs/layout"
)

// newRemote mounts a store that looks like S3, with so many repositories of so
// many tags, and counts the requests to it.
func newRemote(t *testing.T, repositories, tags int, options ...mountOption) (*mount, *drivertest.Counting) {
	t.Helper()
	store := inmemory.New()
	seed := &mount{reg: layout.New(store, layout.Options{SpoolDir: t.TempDir()})}
	for r := range repositories {
		for tag := range tags {
			img := newImage(fmt.Sprint(r, " ", tag/2), layer(fmt.Sprint("of ", r), 100))
			seed.put(t, fmt.Sprintf("app-%02d", r), img, fmt.Sprintf("v%d", tag))
		}
	}
	c := drivertest.NewCounting(drivertest.Remote(store))
	return newMount(t, append(options, func(mc *mountConfig) { mc.driver = c })...), c
}

// TestRemoteListings counts what it takes to list a store over a network.
func TestRemoteListings(t *testing.T) {
	t.Parallel()
	need(t, "rsync")
	const repositories, tags = 30, 20
	for _, test := range []struct {
		script string
		lines  int // at least
		most   int // requests
	}{
		// 2,460 files in 4,700 directories.
		{"ls -lR raw", 8000, 15},
		{"find raw -type f", 2400, 15},
		{"du -a raw", 7000, 15},
		{"ls -lR repositories", 30 * 20 * 2, 15},
		{"find blobs -type f", 600, 10},
		{"ls -l info/*/_digests", 30 * 20, 40},
		{"ls -l repositories/*/_tags", 30 * 20, 45},
		{"echo info/*/_history/*/_digests", 1, 45},
		{"ls info", 30, 3},
		{"ls -l info/app-07/_digests", 20, 4},
		{"ls -l repositories/app-07/_tags", 20, 8},
		{"ls raw/docker/registry/v2", 2, 9},
		{"find raw -maxdepth 2 | head", 3, 3},
		{"find repositories -maxdepth 1", 31, 2},
		// The names alone, 31 requests, and pages of what is below them.
		{"find info -name '_*' -prune", 31, 35},
		{"find info -name '_[!d]*' -prune -o -name _descriptors -prune -o -name _digests -prune -exec ls -l {} +", 30 * 20, 45},
	} {
		t.Run(test.script, func(t *testing.T) {
			m, c := newRemote(t, repositories, tags)
			got := m.out(t, test.script)
			if n := strings.Count(got, "\n") + 1; n < test.lines {
				t.Errorf("%d lines, want at least %d", n, test.lines)
			}
			time.Sleep(20 * time.Millisecond) // for what is still being read ahead
			n := 0
			for _, count := range c.Counts() {
				n += count
			}
			if t.Logf("%v", c.Counts()); n > test.most {
				t.Errorf("%q took %d requests, %v, want at most %d", test.script, n, c.Counts(), test.most)
			}
		})
	}
}

// TestRemoteInfo: each repository's tags are listed several times in info/, for
// _digests, _history and others. What was read ahead longer ago than the TTL serves a directory
// once, so that a walk that takes longer reads each repository again.
func TestRemoteInfo(t *testing.T) {
	t.Parallel()
	const repositories, tags = 30, 20
	for _, test := range []struct {
		ttl  time.Duration
		most int // requests
	}{
		{time.Second, repositories + 10},
		{time.Hour, 15}, // no machine is that slow
	} {
		t.Run(test.ttl.String(), func(t *testing.T) {
			m, c := newRemote(t, repositories, tags, func(mc *mountConfig) { mc.TagTTL = test.ttl })
			m.bash(t, 0, "ls -lR info") // which reads every manifest and config once
			if reads := c.Count("Reader"); reads != repositories*tags {
				t.Errorf("%d manifests and configs were read, want %d", reads, repositories*tags)
			}
			time.Sleep(2500 * time.Millisecond) // the walk is over
			c.Reset()
			got := m.out(t, "ls -lR info")
			if n, least := strings.Count(got, "\n")+1, repositories*tags*2; n < least {
				t.Errorf("%d lines, want at least %d", n, least)
			}
			time.Sleep(20 * time.Millisecond) // for what is still being read ahead
			n := 0
			for _, count := range c.Counts() {
				n += count
			}
			if n > test.most {
				t.Errorf("ls -lR info took %d requests, %v, want at most %d", n, c.Counts(), test.most)
			}
		})
	}
}

// TestRemoteSameListing: what a walk is answered is what is there.
func TestRemoteSameListing(t *testing.T) {
	t.Parallel()
	m, _ := newRemote(t, 12, 10)
	local := newMount(t)
	seed := &mount{reg: local.reg}
	for r := range 12 {
		for tag := range 10 {
			seed.put(t, fmt.Sprintf("app-%02d", r), newImage(fmt.Sprint(r, " ", tag/2), layer(fmt.Sprint("of ", r), 100)), fmt.Sprintf("v%d", tag))
		}
	}
	for _, script := range []string{
		`find raw repositories blobs info/app-03 \( -type f -printf '%p %s %m\n' -o -type l -printf '%p %l\n' -o -printf '%p %y\n' \) | sed 's/[0-9]\{8\}T[0-9]*Z/TIME/' | sort`,
		`find raw -name link -o -name data | sort | xargs sha256sum`,
		`cd repositories && sha256sum */_tags/*`,
	} {
		if got, want := m.out(t, script), local.out(t, script); got != want {
			t.Errorf("%s:\n%.2000s\nwant\n%.2000s", script, got, want)
		}
	}
}

// TestRemoteBackup: rsync of everything, and again.
func TestRemoteBackup(t *testing.T) {
	t.Parallel()
	need(t, "rsync")
	m, c := newRemote(t, 20, 10)
	backup := t.TempDir()
	m.bash(t, 0, `rsync -a raw/ $backup/`, "backup="+backup)
	counts := c.Counts()
	t.Logf("first %v", counts)
	const blobs = 20*5*2 + 20 // manifests, configs and a layer for each repository
	if counts["Reader"] > blobs || counts["GetContent"]+counts["Stat"] > 20 {
		t.Errorf("the first backup took %v: links are to be proven, and of blobs only their bytes be asked for", counts)
	}
	m.bash(t, 0, `diff -r raw $backup`, "backup="+backup)
	time.Sleep(2500 * time.Millisecond) // the walk is over
	c.Reset()
	m.quiet(t, `rsync -a -i raw/ $backup/`, "backup="+backup)
	n := 0
	for _, count := range c.Counts() {
		n += count
	}
	if t.Logf("second %v", c.Counts()); n > 10 {
		t.Errorf("the second backup took %v, want at most 10 requests", c.Counts())
	}
}

// TestRemoteTimes: a time that was set is shown to whoever lists the file, and to
// whoever looks it up, though the store tells the one more of its own than the other.
func TestRemoteTimes(t *testing.T) {
	t.Parallel()
	m, _ := newRemote(t, 3, 5)
	env := "list=" + filepath.Join(t.TempDir(), "list")
	m.bash(t, 0, `find raw -name link >$list && xargs touch -d @1000 <$list`, env)
	if got := m.out(t, `find raw -name link -printf '%T@\n' | sort -u`); got != "1000.0000000000" {
		t.Errorf("find shows %q, want the time that was set", got)
	}
	time.Sleep(2500 * time.Millisecond) // the walk is over
	if got := m.out(t, `xargs stat -c %.1Y <$list | sort -u`, env); got != "1000.0" {
		t.Errorf("stat shows %q, want the time that was set", got)
	}
}

// TestRemoteRestore copies a registry's own tree into an empty store, and brings it
// up to date with rsync. The programs list nothing where they write: they look each
// name up, most of them several times, and make a directory for nearly each file.
func TestRemoteRestore(t *testing.T) {
	t.Parallel()
	need(t, "rsync")
	const repositories, tags = 15, 20
	from, _ := newRemote(t, repositories, tags)
	backup := t.TempDir()
	from.bash(t, 0, `rsync -a raw/ $backup/ && find $backup -exec touch -d '2020-01-01 00:00:00.5' {} +`, "backup="+backup)
	files := len(strings.Fields(from.out(t, `find $backup -type f`, "backup="+backup)))
	for _, test := range []struct {
		script        string
		ttl           time.Duration
		first, second int // requests, beside a PutContent and a Stat for each file
	}{
		{`rsync -a $backup/ raw/`, time.Second, files / 2, 100}, // some pages are read again each second
		{`rsync -a $backup/ raw/`, time.Hour, 40, 30},           // no machine is that slow
		// It sets times by name: what was just written is asked for again, and the
		// link of a tag has to say whose time it is.
		{`rsync -a --inplace $backup/ raw/`, time.Hour, 40 + 3*files + 2*repositories*tags, 30},
		{`cp -a $backup/. raw/`, time.Hour, 40, 30},
	} {
		t.Run(fmt.Sprint(test.script, " ", test.ttl), func(t *testing.T) {
			t.Parallel()
			c := drivertest.NewCounting(drivertest.Remote(inmemory.New()))
			to := newMount(t, func(mc *mountConfig) { mc.driver, mc.TagTTL = c, test.ttl })
			env := []string{"backup=" + backup, "from=" + from.dir}
			to.bash(t, 0, test.script, env...)
			first := c.Counts()
			if t.Logf("%d files: %v", files, first); first["PutContent"] != files {
				t.Errorf("%d files were put, want each of %d once", first["PutContent"], files)
			}
			if n := first["Stat"] - files + first["List"] + first["Walk"] + first["GetContent"] + first["Reader"]; n > test.first {
				t.Errorf("the first copy took %v, want at most a Stat for each file and %d requests", first, test.first)
			}
			c.Reset()
			to.quiet(t, `rsync -ai $backup/ raw/`, env...)
			n := 0
			for _, count := range c.Counts() {
				n += count
			}
			if t.Logf("second %v", c.Counts()); n > test.second {
				t.Errorf("rsync after it took %v, want at most %d requests", c.Counts(), test.second)
			}
			to.bash(t, 0, `diff -r $backup raw && diff -r $from/repositories repositories`, env...)
		})
	}
}

// TestRemoteModes: the mode of a blob is that of all blobs, whatever it is set to,
// so that rsync -a sets that of a registry's own files each time. It sends nothing
// and costs no request.
func TestRemoteModes(t *testing.T) {
	t.Parallel()
	need(t, "rsync")
	from, _ := newRemote(t, 3, 10)
	c := drivertest.NewCounting(drivertest.Remote(inmemory.New()))
	to := newMount(t, func(mc *mountConfig) { mc.driver, mc.TagTTL = c, time.Hour })
	env := []string{"backup=" + t.TempDir(), "from=" + from.path("raw")}
	to.bash(t, 0, `rsync -a --chmod=F644 $from/ $backup/ && rsync -a $backup/ raw/`, env...)
	c.Reset()
	got := to.out(t, `rsync -ai $backup/ raw/`, env...)
	for line := range strings.Lines(got) {
		if !strings.HasPrefix(line, ".f...p..... docker/registry/v2/blobs/") {
			t.Errorf("the second rsync does %q, want modes of blobs to be set and nothing else", line)
		}
	}
	if n := c.Count("Stat") + c.Count("List") + c.Count("Walk"); got == "" || n > 30 {
		t.Errorf("the second rsync does %q and took %v, want modes to be set by few requests", got, c.Counts())
	}
	to.quiet(t, `rsync -ai --no-perms $backup/ raw/`, env...)
}

// TestRemoteOverwrite writes into a file that another has just made longer: what it
// is made of is the file as it is, not as it was when it was listed.
func TestRemoteOverwrite(t *testing.T) {
	t.Parallel()
	const path = "/docker/registry/v2/repositories/app-00/_uploads/1/startedat"
	m, c := newRemote(t, 1, 2, func(mc *mountConfig) { mc.TagTTL = time.Hour })
	put := func(content string) {
		if err := c.PutContent(t.Context(), path, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	put("short")
	m.bash(t, 0, `ls -lR raw && cat raw`+path)
	put("longer than it was")
	m.bash(t, 0, `printf L | dd conv=notrunc of=raw`+path)
	if got := m.out(t, `cat raw`+path); got != "Longer than it was" {
		t.Errorf("the file has %q, want the first byte changed of what it had", got)
	}
}

// TestRemoteTagMoved: a tag that another moves shows within the TTL, also while
// walks go on.
func TestRemoteTagMoved(t *testing.T) {
	t.Parallel()
	m, c := newRemote(t, 10, 10)
	other := &mount{reg: layout.New(c, layout.Options{SpoolDir: t.TempDir()})}
	stop := m.start(t, m.dir, "timeout", "5", "bash", "-c", "while :; do ls -lR raw repositories info >/dev/null; done")
	defer stop()
	for i := range 3 {
		time.Sleep(300 * time.Millisecond)
		img := newImage(fmt.Sprint("moved ", i), layer("moved", 10))
		other.put(t, "app-03", img, "v5")
		time.Sleep(1500 * time.Millisecond) // TagTTL, and what the kernel believes
		got := m.out(t, `sha256sum <repositories/app-03/_tags/v5 | cut -c1-64; basename $(readlink info/app-03/_digests/v5); cat raw/docker/registry/v2/repositories/app-03/_manifests/tags/v5/current/link; echo; sed -n 's/.*"digest": "sha256:\(.*\)",/\1/p' info/app-03/_descriptors/v5; ls -U info/app-03/_history/v5 | tail -n 1 | tail -c 65`)
		if want := img.hex() + "\n" + img.hex() + "\nsha256:" + img.hex() + "\n" + img.hex() + "\n" + img.hex(); got != want {
			t.Errorf("after moving it %d times the tag is %q, want %q", i+1, got, want)
		}
	}
}

// TestLargeRequests: programs that go by st_blksize move a large file in the
// largest requests there are.
func TestLargeRequests(t *testing.T) {
	t.Parallel()
	const mib = directSize >> 20
	c := drivertest.NewCounting(drivertest.Remote(inmemory.New()))
	m := newMount(t, func(mc *mountConfig) { mc.driver = c })
	content := layer("content", mib<<20)
	count := func(name string) (n int64) {
		for _, o := range m.srv.Stats().Operations {
			if o.Name == name {
				n = o.Durations.Count
			}
		}
		return n
	}
	for _, test := range []struct{ script, operation string }{
		{`cp $file repositories/app/_blobs/sha256/$hex`, "write"},
		{`cat repositories/app/_blobs/sha256/$hex | cmp - $file`, "read"},
		{`cp repositories/app/_blobs/sha256/$hex $copy && cmp $copy $file`, "read"},
	} {
		before := count(test.operation)
		m.bash(t, 0, "mkdir -p repositories/app; "+test.script, "file="+file(t, "content", content), "hex="+hexOf(content), "copy="+t.TempDir()+"/copy")
		if n := count(test.operation) - before; n < mib || n > mib+2 {
			t.Errorf("%q took %d requests to %s, want one for each of %d MiB and at most two more", test.script, n, test.operation, mib)
		}
	}
}

// TestRemoteDescriptorMoved: a descriptor that was listed longer ago than the TTL is
// that of the tag as it is when it is opened.
func TestRemoteDescriptorMoved(t *testing.T) {
	t.Parallel()
	m, c := newRemote(t, 1, 3)
	d := &descriptorsDir{s: m.srv.s, repo: m.srv.s.reg.Repository("app-00")}
	f, err := d.lookup(t.Context(), "v1")
	if err != nil {
		t.Fatal(err)
	}
	file := f.obj.(*descriptorFile)
	file.tag.Asked = time.Now().Add(-time.Hour)
	img := newImage("moved", layer("moved", 10))
	(&mount{reg: layout.New(c, layout.Options{SpoolDir: t.TempDir()})}).put(t, "app-00", img, "v1")
	time.Sleep(1100 * time.Millisecond) // TagTTL
	r, _, err := file.open(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(r.(textReader)); !strings.Contains(text, img.hex()) {
		t.Errorf("the descriptor is %s, want that of %s", text, img.hex())
	}
}
