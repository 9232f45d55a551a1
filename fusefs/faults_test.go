package fusefs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"registryfs/drivers"
	"registryfs/drivers/drivertest"
	"registryfs/drivers/inmemory"
)

// hooked is a driver whose reading calls go through a function first. It has no
// optional abilities.
type hooked struct {
	drivers.StorageDriver

	mu   sync.Mutex // guards the following
	hook func(ctx context.Context, method, path string) error
}

func (d *hooked) set(hook func(ctx context.Context, method, path string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hook = hook
}

func (d *hooked) call(ctx context.Context, method, path string) error {
	d.mu.Lock()
	hook := d.hook
	d.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(ctx, method, path)
}

func (d *hooked) GetContent(ctx context.Context, path string) ([]byte, error) {
	if err := d.call(ctx, "GetContent", path); err != nil {
		return nil, err
	}
	return d.StorageDriver.GetContent(ctx, path)
}

func (d *hooked) Stat(ctx context.Context, path string) (drivers.FileInfo, error) {
	if err := d.call(ctx, "Stat", path); err != nil {
		return nil, err
	}
	return d.StorageDriver.Stat(ctx, path)
}

func (d *hooked) Reader(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	if err := d.call(ctx, "Reader", path); err != nil {
		return nil, err
	}
	return d.StorageDriver.Reader(ctx, path, offset)
}

func (d *hooked) ListInfo(ctx context.Context, dir string) iter.Seq2[drivers.FileInfo, error] {
	return func(yield func(drivers.FileInfo, error) bool) {
		n := 0
		for info, err := range drivers.ListInfo(ctx, d.StorageDriver, dir) {
			if n++; err == nil {
				err = d.call(ctx, "List", fmt.Sprint(dir, " ", n))
			}
			if !yield(info, err) || err != nil {
				return
			}
		}
	}
}

// TestKilledReader kills programs that wait for a store which does not answer.
func TestKilledReader(t *testing.T) {
	t.Parallel()
	d := &hooked{StorageDriver: inmemory.New()}
	m := newMount(t, func(c *mountConfig) { c.driver = d })
	m.put(t, "app", newImage("one", layer("a", 10)), "v1")
	answer := make(chan struct{})
	d.set(func(ctx context.Context, method, path string) error {
		if !strings.Contains(path, "slow") && method != "Reader" {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-answer: // a read into the page cache goes on without its reader
			return errors.New("no answer")
		}
	})
	for _, script := range []string{`stat repositories/slow`, `cat repositories/app/_tags/v1`, `ls -l repositories/app/_tags/slow`, `cat repositories/app/_blobs/sha256/*`} {
		for _, signal := range []string{"KILL", "TERM"} {
			start := time.Now()
			m.bash(t, anyExit, `timeout -s $signal 0.2 `+script, "signal="+signal)
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("%s by %s takes %v, want it to end at once", script, signal, took)
			}
		}
	}
	d.set(nil)
	close(answer)
	m.bash(t, 0, `cat repositories/app/_tags/v1 && ls -lR .`)
}

// TestStoreFails answers with an I/O error where the store does not answer. A
// listing must not leave out what it could not see: rsync --delete would
// delete it on the other side.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	d := &hooked{StorageDriver: inmemory.New()}
	seedTags(t, d, "app", newImage("one"), 700)
	m := newMount(t, func(c *mountConfig) { c.driver = d; c.TagTTL = time.Millisecond })
	broken := errors.New("connection reset")
	for _, c := range []struct {
		name, script string
		exit         int
		fails        func(method, path string) bool
	}{
		{"listing, at its beginning", `ls repositories/app/_tags`, 2, func(method, path string) bool { return method == "List" && strings.HasSuffix(path, "tags 1") }},
		{"listing, in the middle", `ls repositories/app/_tags`, 2, func(method, path string) bool { return method == "List" && strings.HasSuffix(path, "tags 650") }},
		{"find", `find repositories -type f`, 1, func(method, path string) bool { return method == "List" && strings.HasSuffix(path, "tags 300") }},
		{"raw", `find raw`, 1, func(method, path string) bool { return method == "List" && strings.HasSuffix(path, "tags 300") }},
		{"attributes", `ls -l repositories/app/_tags`, 1, func(method, path string) bool { return strings.Contains(path, "tag-00300") }},
		{"look-up", `stat repositories/app/_tags/tag-00300`, 1, func(method, path string) bool { return strings.Contains(path, "tag-00300") }},
		{"read", `cat repositories/app/_tags/tag-00300`, 1, func(method, _ string) bool { return method == "Reader" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			time.Sleep(20 * time.Millisecond) // what the kernel knows is older than the time to live
			d.set(func(_ context.Context, method, path string) error {
				if c.fails(method, path) {
					return broken
				}
				return nil
			})
			r := m.bash(t, c.exit, c.script)
			if !strings.Contains(r.stderr, "Input/output error") {
				t.Errorf("%s says %q, want an I/O error", c.script, r.stderr)
			}
			m.errorsSay(t, "connection reset")
			m.srv.s.refused.clear()
			d.set(nil)
		})
	}
	m.bash(t, 0, `test $(ls repositories/app/_tags | wc -l) = 700 && ls -l repositories/app/_tags && cat repositories/app/_tags/tag-00300`)
}

// TestFailedLookup looks names up that are there and that are not, while the store
// answers nothing: not to know is not to know that there is none.
func TestFailedLookup(t *testing.T) {
	t.Parallel()
	d := &hooked{StorageDriver: inmemory.New()}
	seedTags(t, d, "team/app", newImage("one"), 1)
	m := newMount(t, func(c *mountConfig) { c.driver = d; c.TagTTL = time.Millisecond })
	shard := strings.TrimSpace(m.out(t, "ls blobs/sha256 | head -n 1"))
	names := []string{
		"repositories/team", "repositories/team/app", "repositories/none", "repositories/team/none",
		"info/team", "info/team/app", "info/none", "info/team/none", "info/team/app/_history/none",
		"raw/docker", "raw/none", "blobs/sha256/" + shard, "blobs/sha256/00/" + strings.Repeat("0", 64),
	}
	for _, dir := range []string{"_tags", "_manifests", "_blobs"} {
		names = append(names, "repositories/team/app/"+dir)
	}
	for _, inner := range []string{"", "repositories/team/app", "info/team/app"} {
		// What the kernel knows of the way down is younger than the time to live.
		m.bash(t, 0, "stat ./"+inner)
		d.set(func(context.Context, string, string) error { return syscall.EIO })
		for _, name := range names {
			var st syscall.Stat_t
			if err := syscall.Lstat(m.path(name), &st); err == syscall.ENOENT {
				t.Errorf("stat %s says that it is not there", name)
			}
		}
		d.set(nil)
		time.Sleep(20 * time.Millisecond)
	}
}

// errorsSay checks that errors has the words somewhere.
func (m *mount) errorsSay(t *testing.T, words string) {
	t.Helper()
	if errs := m.srv.s.refused.text(); !strings.Contains(errs, words) {
		t.Errorf(".registryfs/errors does not say %q: %q", words, errs)
	}
}

// TestPanic survives a bug of ours.
func TestPanic(t *testing.T) {
	t.Parallel()
	d := &hooked{StorageDriver: inmemory.New()}
	m := newMount(t, func(c *mountConfig) { c.driver, c.Logger = d, nil })
	m.put(t, "app", newImage("one", layer("a", 10)), "v1", "v2")
	d.set(func(_ context.Context, method, path string) error {
		if strings.Contains(path, "tags/v1") {
			panic("a bug")
		}
		return nil
	})
	if r := m.bash(t, 1, `cat repositories/app/_tags/v1`); !strings.Contains(r.stderr, "Input/output error") {
		t.Errorf("cat says %q, want an I/O error", r.stderr)
	}
	if got := m.srv.Stats().Errors[syscall.EIO]; got == 0 {
		t.Error("the error is not counted")
	}
	m.bash(t, 0, `cat repositories/app/_tags/v2 && ls repositories/app`)
	d.set(nil)
	m.bash(t, 0, `cat repositories/app/_tags/v1 && ls -l repositories/app/_tags`)
}

// TestFaultAtEachWrite fails each call to the driver that a cp makes: the
// program fails, and the old tag or the new one is there, whole.
func TestFaultAtEachWrite(t *testing.T) {
	t.Parallel()
	one, two := newImage("one", layer("a", 10)), newImage("two", layer("a", 10))
	file1, file2 := file(t, "one", one.manifest), file(t, "two", two.manifest)
	d := drivertest.NewFaulty(inmemory.New()).OnlyWrites()
	m := newMount(t, func(c *mountConfig) { c.driver = d })
	m.put(t, "app", one, "v1")
	m.putBlob(t, "app", two.blobs[0])
	for n := 1; ; n++ {
		d.FailAt(0, nil)
		m.bash(t, 0, `cp $file repositories/app/_tags/v1`, "file="+file1)
		d.FailAt(n, fmt.Errorf("write: %w", syscall.ENOSPC))
		r := m.bash(t, anyExit, `cp $file repositories/app/_tags/v1`, "file="+file2)
		calls := d.Calls()
		d.FailAt(0, nil)
		got := m.out(t, `cat repositories/app/_tags/v1 | sha256sum | cut -c -64`)
		if r.exit == 0 && got != two.hex() || r.exit != 0 && (got != one.hex() && got != two.hex() || !strings.Contains(r.stderr, "No space")) {
			t.Errorf("failing call %d: exit %d, %q, the tag is %s", n, r.exit, r.stderr, got)
		}
		if calls < n {
			if n < 3 {
				t.Errorf("cp made %d calls that write", calls)
			}
			return
		}
	}
}

// TestPassthrough reads large local blobs past the server, and beside those
// that are open another way.
func TestPassthrough(t *testing.T) {
	localOnly(t, "a blob is a local file only when it has been read; TestSecondRead has that")
	needRoot(t)
	m := newMount(t)
	big := layer("big", 1_300_000)
	hex := hexOf(big)
	m.putBlob(t, "app", big)
	m.putBlob(t, "other", big)
	p := &m.srv.s.passthrough
	env := []string{"a=" + m.path("repositories/app/_blobs/sha256", hex), "b=" + m.path("repositories/other/_blobs/sha256", hex), "file=" + file(t, "big", big)}
	m.bash(t, 0, `cmp $a $file`, env...)
	if reads := m.srv.s.stats.ops[opRead].Durations().Count; reads > 0 {
		if p.enabled.Load() {
			t.Errorf("%d reads came to the server, although passthrough is on", reads)
		} else {
			t.Log("no passthrough in this kernel, or over this file system")
		}
	}
	// A file open in the page cache, then one that could go past; and the other
	// way round. The kernel answers EIO where the two are mixed.
	on := p.enabled.Load()
	for _, first := range []bool{false, on} {
		p.enabled.Store(first)
		wait := m.start(t, m.dir, append([]string{"env"}, append(env, "bash", "-c", `exec 3<$a && head -c 100000 <&3 >/dev/null && sleep 0.5 && cmp $b $file && cmp <(tail -c +100001 $file) - <&3`)...)...)
		time.Sleep(200 * time.Millisecond)
		p.enabled.Store(!first && on)
		m.bash(t, 0, `cmp $a $file && cmp $b $file`, env...)
		if r := wait(); r.exit != 0 {
			t.Errorf("the first reader, passthrough %v: %s", first, r.stderr)
		}
		p.enabled.Store(on)
		m.bash(t, 0, `cmp $a $file && cmp $b $file`, env...)
	}
}

// TestKilledPrograms kills programs in the midst of what they do. The mount
// lives, and the store is whole.
func TestKilledPrograms(t *testing.T) {
	t.Parallel()
	need(t, "rsync")
	m := newMount(t, withDeletes)
	images := m.seedTwo(t)
	env := []string{"file=" + file(t, "m", images["app:v1"].manifest), "big=" + file(t, "big", layer("big", 3_000_000)), "local=" + t.TempDir()}
	m.bash(t, 0, `for i in $(seq 12); do for script in \
			'for i in 1 2 3 4 5; do cp $file $repos/app/_tags/v1; done' 'cp $big $repos/app/_blobs/' 'ls -lR .' 'rsync -a raw/ $local/' 'cat $repos/app/_blobs/sha256/*' \
			'for i in 1 2 3 4 5; do mv $repos/app/_tags/latest $repos/app/_tags/x; mv $repos/app/_tags/x $repos/app/_tags/latest; done' 'sed -i s/none/x/ $repos/app/_tags/v2'; do
		timeout -s KILL 0.0$((i % 9 + 1)) bash -c "$script" >/dev/null 2>&1 &
	done; wait; done; true`, env...)
	m.bash(t, 0, `ls -lR . && cp $file $repos/app/_tags/v9`, env...)
	for name, i := range images {
		repo, tag, _ := strings.Cut(name, ":")
		m.wantTag(t, repo, tag, i)
	}
}
