package fusefs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// loop starts a program that reads the file over and over and takes only those
// contents. The function returned ends it.
func (m *mount) loop(t *testing.T, path string, allowed ...[]byte) (stop func()) {
	t.Helper()
	args := []string{path}
	for _, a := range allowed {
		args = append(args, hexOf(a))
	}
	cmd := childCommand(t, "loop", args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	wait := m.startCommand(t, cmd)
	return func() {
		t.Helper()
		in.Close()
		r := wait()
		if r.exit != 0 {
			t.Errorf("the reader says: %s", r.stderr)
		}
		var n int
		if fmt.Sscan(r.stdout, &n); n < 5 {
			t.Errorf("the reader has read %d times, want it to read all the while", n)
		}
	}
}

// TestReplaceWhileRead replaces a tag a thousand times under readers. They see
// one of the manifests or the other, whole, and never nothing.
func TestReplaceWhileRead(t *testing.T) {
	need(t, "rsync")
	for _, c := range []struct {
		name  string
		times int
		one   string // replaces $tag with $file
	}{
		{"cp", 1000, `cp $file $tag`},
		{"mv", 50, `t=$(mktemp -p ${tag%/*}) && cp $file $t && mv $t $tag`},
		{"rsync", 10, `rsync -a $file $tag`},
		{"rsync --inplace", 10, `rsync -a --inplace $file $tag`},
		{"sh", 50, `cat $file >$tag`},
		{"raw", 1000, `printf %s $digest >$raw`}, // no program is begun: 50 take as many milliseconds
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := newMount(t, inMemory)
			m.patience = 3 * patience
			// The second is longer than a page: a mixture would show.
			one, two := newImage("one", layer("a", 10)), newImage(strings.Repeat("two ", 1200), layer("a", 10))
			m.put(t, "app", one, "v1")
			m.put(t, "app", two)
			tag := m.path("repositories/app/_tags/v1")
			var stops []func()
			for _, path := range []string{tag, m.path("info/app/_digests/v1")} {
				stops = append(stops, m.loop(t, path, one.manifest, two.manifest))
			}
			m.bash(t, 0, `for i in $(seq $n); do
				file=$one digest=$d1; [ $((i % 2)) = 0 ] || file=$two digest=$d2
				`+c.one+` || exit
			done`, fmt.Sprint("n=", c.times), "tag="+tag, "raw="+m.path("raw", tagLink("app", "v1")), "d1="+one.digest().String(), "d2="+two.digest().String(),
				"one="+file(t, "one", one.manifest), "two="+file(t, "two", two.manifest))
			for _, stop := range stops {
				stop()
			}
			if got, err := os.ReadFile(tag); err != nil || hexOf(got) != one.hex() {
				t.Errorf("the tag at the end: %d bytes, %v, want the last one", len(got), err)
			}
			if errs := m.srv.s.refused.text(); errs != "" {
				t.Errorf(".registryfs/errors: %s", errs)
			}
		})
	}
}

// TestTwoWriters lets programs write one tag at a time: each succeeds, and one
// of them has the tag, whole.
func TestTwoWriters(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	var images []image
	var manifests [][]byte
	for i := range 3 {
		images = append(images, newImage(strings.Repeat(fmt.Sprint("image ", i), 1+i*1000), layer("a", 10)))
		m.put(t, "app", images[i])
		manifests = append(manifests, images[i].manifest)
	}
	m.put(t, "app", images[0], "v1")
	tag := m.path("repositories/app/_tags/v1")
	stop := m.loop(t, tag, manifests...)
	var writers sync.WaitGroup
	for i := range images {
		writers.Go(func() {
			m.bash(t, 0, `for i in $(seq 40); do cp $file $tag || exit; cat $file >$tag.$n || exit; done`, "file="+file(t, "m", manifests[i]), "tag="+tag, fmt.Sprint("n=", i))
		})
	}
	writers.Wait()
	stop()
	got, err := os.ReadFile(tag)
	for i := range images {
		m.wantTag(t, "app", fmt.Sprint("v1.", i), images[i])
		if string(got) == string(manifests[i]) {
			m.wantTag(t, "app", "v1", images[i])
			return
		}
	}
	t.Errorf("the tag has %d bytes of nobody, %v", len(got), err)
}

// TestWriteShows writes a tag that others list all the while. Whoever has written
// it reads what they wrote, and not what a listing had found before.
func TestWriteShows(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	var images []image
	for i := range 2 {
		images = append(images, newImage(strings.Repeat(fmt.Sprint("image ", i), 1+i*1000), layer("a", 10)))
		for tag := range 200 {
			m.put(t, "app", images[i], fmt.Sprintf("v%03d", tag))
		}
	}
	stop := m.start(t, m.dir, "bash", "-c", "until [ -e $0 ]; do ls -l repositories/app/_tags >/dev/null; done", m.store+".stop")
	m.bash(t, 0, `
		for i in $(seq 10); do
			for tag in v010 v190; do
				cp $one $repos/app/_tags/$tag && cmp $one $repos/app/_tags/$tag &&
				cp $two $repos/app/_tags/$tag && cmp $two $repos/app/_tags/$tag || exit
			done
		done`, "one="+file(t, "one", images[0].manifest), "two="+file(t, "two", images[1].manifest))
	if err := os.WriteFile(m.store+".stop", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	stop()
}

// TestExclusive lets many create one name: one of them does.
func TestExclusive(t *testing.T) {
	t.Parallel()
	for _, options := range [][]mountOption{nil, {inMemory}} {
		m := newMount(t, options...)
		i := newImage("one", layer("a", 10))
		m.put(t, "app", i)
		for n := range 5 {
			var waits []func() result
			for range 3 {
				for _, script := range []string{`dd if=$manifest of=$tag conv=excl`, `ln $manifest $tag`} {
					waits = append(waits, m.start(t, m.dir, "env", "manifest="+m.path("repositories/app/_manifests/sha256", i.hex()),
						"tag="+m.path("repositories/app/_tags", fmt.Sprint("v", n)), "sh", "-c", script))
				}
			}
			created := 0
			for _, wait := range waits {
				r := wait()
				if r.exit == 0 {
					created++
				} else if !strings.Contains(r.stderr, "File exists") {
					t.Errorf("exit %d: %s%s", r.exit, r.stdout, r.stderr)
				}
			}
			if created != 1 {
				t.Errorf("%d of %d have created v%d, want 1", created, len(waits), n)
			}
		}
	}
}

// TestWriteWhileRead writes to one name of a blob while another is open: what
// is stored stays as it is, and whoever reads gets it.
func TestWriteWhileRead(t *testing.T) {
	t.Parallel()
	for _, options := range [][]mountOption{{withDeletes}, {withDeletes, inMemory}} {
		m := newMount(t, options...)
		big := layer("big blob", 1_300_000)
		hex := hexOf(big)
		d := m.putBlob(t, "app", big)
		m.putBlob(t, "other", big)
		wrong := append([]byte("wrong"), big[5:]...)
		env := []string{"file=" + file(t, "big", big), "wrong=" + file(t, "wrong", wrong), "a=" + m.path("repositories/app/_blobs/sha256", hex),
			"b=" + m.path("repositories/other/_blobs/sha256", hex), "raw=" + m.path("raw", blobFile(d)), "hex=" + hex}
		for _, c := range []struct {
			exit   int
			script string
		}{
			{failure, `dd if=$wrong of=$b conv=notrunc bs=1000 count=1`},
			{failure, `dd if=$wrong of=$b bs=1M`},
			{failure, `cp $wrong $b`},
			{failure, `cp $wrong $a`},
			{failure, `cp $wrong $raw`},
			{failure, `printf x | dd of=$a bs=1 seek=1200000 conv=notrunc`},
			{failure, `printf x | tee -a $b`},
			{failure, `truncate -s 10 $b`},
			{anyExit, `: >$a; : >$raw`},
			{failure, `rsync -I --inplace $wrong $b`},
			{failure, `cp $wrong $b.x`},
			{anyExit, `cp $file $b`}, // the right bytes: may be refused, must not harm
			{anyExit, `rsync -a --inplace -I $file $b`},
			{anyExit, `dd if=$file of=$b bs=64k conv=fsync`},
		} {
			t.Run(c.script, func(t *testing.T) {
				// The reader has read a part when the writer comes, and reads
				// the rest afterwards; others read the whole in between.
				exit := filepath.Join(t.TempDir(), "exit")
				got := m.out(t, `{
					dd bs=64k count=1 status=none
					(`+c.script+`) </dev/null >/dev/null; echo $? >$exit
					cmp $file $b >&2 && cmp $file $raw >&2 && cat
				} <$a | sha256sum | cut -c -64; cmp $file $a && stat -c %s $b`, append(env, "exit="+exit)...)
				if want := fmt.Sprintf("%s\n%d", hex, len(big)); got != want {
					t.Errorf("the readers got %q, want %q", got, want)
				}
				status, err := os.ReadFile(exit)
				if err != nil || c.exit == failure && string(status) == "0\n" {
					t.Errorf("exit %s, %v, want it to fail", status, err)
				}
				if m.store != "" {
					m.wantBlob(t, big)
				}
			})
		}
	}
}

// TestRemoveWhileRead removes a tag, and all of a repository, under a reader.
func TestRemoveWhileRead(t *testing.T) {
	t.Parallel()
	m := newMount(t, withDeletes)
	i := newImage(strings.Repeat("long ", 100_000/5), layer("a", 3<<20))
	m.put(t, "app", i, "v1")
	m.bash(t, 0, `exec 3<$repos/app/_tags/v1 4<$repos/app/_blobs/sha256/$layer 5<$repos/app/_tags &&
		rm -r $repos/app && ! ls $repos/app 2>/dev/null &&
		sha256sum <&3 | grep $hex && sha256sum <&4 | grep $layer && ls /proc/self/fd/5/ >/dev/null; stat -L /proc/self/fd/3 | grep Size`, "hex="+i.hex(), "layer="+hexOf(i.blobs[1]))
}

// TestOpenKeepsContent replaces, renames and removes a tag that is open: its
// reader has what it opened, size and bytes.
func TestOpenKeepsContent(t *testing.T) {
	t.Parallel()
	for _, ttl := range []time.Duration{0, time.Millisecond, time.Hour} {
		m := newMount(t, withDeletes, func(c *mountConfig) { c.TagTTL = ttl })
		one, two := newImage("one", layer("a", 10)), newImage(strings.Repeat("two ", 2000), layer("a", 10))
		m.put(t, "app", one, "v1")
		m.put(t, "app", two)
		env := []string{"one=" + one.hex(), "two=" + two.hex(), fmt.Sprint("size=", len(one.manifest)), "tags=" + m.path("repositories/app/_tags")}
		for _, script := range []string{
			`cp $tags/../_manifests/sha256/$two $tags/v1`,
			`cp $tags/../_manifests/sha256/$two $tags/x && mv $tags/x $tags/v1`,
			`mv $tags/v1 $tags/v2`,
			`rm $tags/v1`,
			`printf sha256:$two >raw/` + tagLink("app", "v1"),
			`rm -r raw/` + filepath.Dir(filepath.Dir(tagLink("app", "v1"))),
			`touch $tags/v1 && chmod 600 $tags/v1`,
		} {
			m.bash(t, 0, `cp repositories/app/_manifests/sha256/$one $tags/v1 && stat $tags/v1 && exec 3<$tags/v1 && stat -L /proc/self/fd/3 && `+script+` &&
				[ $(stat -L -c %s /proc/self/fd/3) = $size ] && [ "$(sha256sum <&3)" = "$one  -" ] && sleep 0.01 && [ $(stat -L -c %s /proc/self/fd/3) = $size ]`, env...)
			m.bash(t, 0, `ls -l $tags && cat $tags/* >/dev/null; rm -rf $tags/*`, env...)
		}
	}
}

// TestManyAtOnce has many programs do many things, to be run under the race
// detector.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	need(t, "rsync")
	m := newMount(t, withDeletes, func(c *mountConfig) { c.TagTTL, c.MaxNodes = 50*time.Millisecond, 100 })
	images := m.seedTwo(t)
	local := file(t, "m", images["app:v1"].manifest)
	var all sync.WaitGroup
	for n, script := range []string{
		`ls -lR . >/dev/null`,
		`find . -type f -exec cat {} + >/dev/null`,
		`cp $file $repos/app/_tags/x$i && rm $repos/app/_tags/x$i`,
		`mkdir -p $repos/new$i/deep && cp $repos/app/_tags/v1 $repos/new$i/deep/_tags/ && rm -r $repos/new$i`,
		`rsync -a raw/ $local/raw-$n/ && rsync -a --delete repositories/app/ $local/app-$n/`,
		`du -s . >/dev/null; cat .registryfs/stats .registryfs/errors >/dev/null`,
		`ln -f $repos/app/_tags/v2 $repos/team/x/y/_tags/l$i; cp $repos/app/_tags/v2 $repos/team/x/y/_tags/l; mv $repos/team/x/y/_tags/l $repos/team/x/y/_tags/m`,
	} {
		all.Go(func() {
			// What one removes another may have listed.
			m.bash(t, anyExit, `for i in 1 2; do `+script+`; done`, "file="+local, "local="+t.TempDir(), fmt.Sprint("n=", n))
		})
	}
	all.Wait()
	for name, i := range images {
		repo, tag, _ := strings.Cut(name, ":")
		m.wantTag(t, repo, tag, i)
	}
	if s := m.srv.s; s.stats.errnos[5] > 0 {
		t.Errorf("%d requests were answered with EIO", s.stats.errnos[5])
	}
}
