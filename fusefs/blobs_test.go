package fusefs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// TestPutBlobs puts layers and manifests under their digests, or any name.
func TestPutBlobs(t *testing.T) {
	t.Parallel()
	need(t, "rsync", "tar")
	m := newMount(t)
	m.bash(t, 0, `mkdir $repos/app`)
	for i, c := range []struct {
		name, script string
	}{
		{"cp", `cp $file $blobs/sha256/$hex`},
		{"cp, any name", `cp $file $blobs/layer.tgz && cp -p $file $blobs/layer.tgz && stat $blobs/layer.tgz && chmod 600 $blobs/layer.tgz && touch $blobs/layer.tgz`},
		{"cp -a", `cp -a $file $blobs/sha256/$hex`},
		{"cp -r", `mkdir $local/sha256 && cp $file $local/sha256/$hex && cp -r $local/sha256 $blobs/`},
		{"install", `install -m 600 $file $blobs/layer.install`},
		{"mv", `cp $file $local/x && mv $local/x $blobs/sha256/$hex`},
		{"tar x", `mkdir -p $local/sha256 && cp -p $file $local/sha256/$hex && tar cC $local sha256 | tar xC $blobs`},
		{"rsync -a", `mkdir -p $local/sha256 && cp -p $file $local/sha256/$hex && rsync -a $local/sha256 $blobs/`},
		{"rsync -a --inplace", `rsync -a --inplace $file $blobs/sha256/$hex`},
		{"dd", `dd if=$file of=$blobs/sha256/$hex bs=4k`},
		{"dd conv=fsync oflag=direct", `dd if=$file of=$blobs/sha256/$hex bs=64k conv=fsync oflag=direct`},
		{"tee", `tee $blobs/sha256/$hex <$file`},
		{"> from two children", `(head -c 1000 $file; tail -c +1001 $file) >$blobs/sha256/$hex`},
		{">, any name, from two children", `(cat $file; printf '') >$blobs/x`},
		{"mktemp and mv", `t=$(mktemp -p $blobs/sha256) && cp $file $t && mv $t $blobs/sha256/$hex`},
		{"twice", `cp $file $blobs/sha256/$hex && cp $file $blobs/sha256/$hex && cp -f $file $blobs/sha256/$hex && rsync -a $file $blobs/sha256/$hex`},
		{"python3 shutil.copy2", `command -v python3 >/dev/null || exec cp $file $blobs/sha256/$hex; python3 -c 'import shutil, sys; shutil.copy2(*sys.argv[1:])' $file $blobs/sha256/$hex`},
		{"python3 shutil.copy2, any name", `command -v python3 >/dev/null || exec cp $file $blobs/sha256/$hex; python3 -c 'import shutil, sys; shutil.copy2(*sys.argv[1:])' $file $blobs/any.name`},
	} {
		for _, size := range []int{100, 1_300_000} {
			t.Run(fmt.Sprintf("%s/%d", c.name, size), func(t *testing.T) {
				content := layer(fmt.Sprint("content ", i, size), size)
				m.bash(t, 0, c.script, "file="+file(t, "content", content), "hex="+hexOf(content), "local="+t.TempDir(), "blobs="+m.path("repositories/app/_blobs"))
				d := digest.FromBytes(content)
				m.wantLink(t, layerLink("app", d), d)
				m.wantBlob(t, content)
				if got := m.out(t, `cat $repos/app/_blobs/sha256/$hex | sha256sum | cut -c -64; ls $repos/app/_blobs`, "hex="+d.Encoded()); got != d.Encoded()+"\nsha256" {
					t.Errorf("_blobs has %q, want the blob under its digest", got)
				}
			})
		}
	}

	i := newImage("manifest")
	m.putBlob(t, "app", i.blobs[0])
	for _, script := range []string{`cp $file $manifests/m.json`, `cp $file $manifests/sha256/$hex`, `rsync -a $file $manifests/sha256/$hex`, `cat $file >$manifests/x`, `install $file $manifests/sha256/$hex`} {
		t.Run(script, func(t *testing.T) {
			i.manifest = append(i.manifest, '\n')
			m.bash(t, 0, script, "file="+file(t, "m", i.manifest), "hex="+i.hex(), "manifests="+m.path("repositories/app/_manifests"))
			m.wantImage(t, "app", i)
		})
	}
	// Only form is checked in _manifests: restore order there is by hash.
	dangling := newImage("dangling", layer("nowhere", 10))
	m.bash(t, 0, `cp $file $repos/app/_manifests/sha256/$hex`, "file="+file(t, "m", dangling.manifest), "hex="+dangling.hex())
	m.wantLink(t, revisionLink("app", dangling.digest()), dangling.digest())
}

// TestEmptyBlob stores the blob without bytes where it is meant.
func TestEmptyBlob(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	empty := digest.FromBytes(nil)
	unchanged := m.unchanged(t)
	m.bash(t, 0, `mkdir $repos/app && touch $repos/app/_blobs/x && rm $repos/app/_blobs/x`)
	unchanged()
	m.bash(t, 0, `touch $repos/app/_blobs/sha256/$hex && cp /dev/null $repos/app/_blobs/sha256/$hex && test ! -s $repos/app/_blobs/sha256/$hex`, "hex="+empty.Encoded())
	m.wantLink(t, layerLink("app", empty), empty)
	if info, err := os.Stat(filepath.Join(m.store, blobFile(empty))); err != nil || info.Size() != 0 {
		t.Errorf("store: the empty blob: %v, %v", info, err)
	}
	m.bash(t, 0, `touch raw/empty && : >raw/empty2 && cp /dev/null raw/empty3 && rsync -a raw/empty raw/empty4 && ls -l raw && sleep 0.1`)
	if !eventually(func() bool {
		return len(tree(t, m.store)) > 4 && tree(t, m.store)["empty4"] != "" && tree(t, m.store)["empty2"] != ""
	}) {
		t.Errorf("store: %v, want four empty files", tree(t, m.store))
	}
}

// TestRepair pushes a blob again that was damaged on disk.
func TestRepair(t *testing.T) {
	t.Parallel()
	need(t, "rsync")
	for _, script := range []string{`cp $file $repos/app/_blobs/sha256/$hex`, `cp $file $repos/app/_blobs/layer`, `rsync -a -c $file $repos/app/_blobs/sha256/$hex`, `dd if=$file of=$repos/app/_blobs/sha256/$hex bs=4k`,
		`cp $file raw/$data`, `rsync -a -c $file raw/$data`} {
		for _, damage := range []string{`truncate -s 1000 $path`, `truncate -s 0 $path`, `printf x | dd of=$path conv=notrunc`, `printf x >>$path`} {
			t.Run(script+"/"+damage, func(t *testing.T) {
				t.Parallel()
				m := newMount(t)
				content := layer("content", 1_200_000)
				d := m.putBlob(t, "app", content)
				env := []string{"file=" + file(t, "f", content), "hex=" + d.Encoded(), "data=" + blobFile(d), "path=" + filepath.Join(m.store, blobFile(d))}
				m.bash(t, 0, damage, env...)
				if onS3 && strings.Contains(damage, "notrunc") {
					if strings.HasPrefix(script, "cp $file raw") {
						t.Skip("the kernel keeps the pages that were read under the other name")
					}
					// Nothing tells it from the right one before it is read.
					m.bash(t, 0, `cat $repos/app/_blobs/sha256/$hex >/dev/null; sleep 0.5`, env...)
				}
				m.bash(t, 0, script, env...)
				m.wantBlob(t, content)
				m.bash(t, 0, `sleep 1.1; cmp $file $repos/app/_blobs/sha256/$hex`, env...)
			})
		}
	}
}

// TestCommitTwice goes on writing after a commit: what the first one linked,
// and nobody had before, goes again.
func TestCommitTwice(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	one := newImage("one", layer("a", 10))
	m.put(t, "app", one, "v1")
	twice := append(append([]byte{}, one.manifest...), '\n')
	// The first child's exit flushes a whole manifest, the second's another.
	m.bash(t, 0, `(cat $file; sleep 0.1; echo) >$repos/app/_tags/new`, "file="+file(t, "m", one.manifest))
	i := one
	i.manifest = twice
	m.wantTag(t, "app", "new", i)
	m.wantTag(t, "app", "v1", one)
	// An untagged manifest, and blobs under a name that is none of theirs.
	half := layer("half", 100)
	m.bash(t, 0, `mkdir $repos/other && (cat $file; sleep 0.1; cat $file) >$repos/other/_blobs/x`, "file="+file(t, "b", half))
	whole := append(append([]byte{}, half...), half...)
	m.wantLink(t, layerLink("other", digest.FromBytes(whole)), digest.FromBytes(whole))
	if got := m.stored(t, layerLink("other", digest.FromBytes(half))); got != nil {
		t.Errorf("the half that was flushed is still linked: %q", got)
	}
	m.bash(t, 0, `(cat $file; sleep 0.1; cat $file) >$repos/app/_blobs/x`, "file="+file(t, "b", one.blobs[1]))
	m.wantLink(t, layerLink("app", one.blob(1)), one.blob(1)) // that link was there before
}

// TestAppend adds to a tag and to a blob.
func TestAppend(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	one := newImage("one", layer("a", 10))
	m.put(t, "app", one, "v1")
	m.bash(t, 0, `printf '\n' >>$repos/app/_tags/v1`)
	longer := one
	longer.manifest = append(append([]byte{}, one.manifest...), '\n')
	m.wantTag(t, "app", "v1", longer)
	m.bash(t, failure, `echo x | tee -a $repos/app/_blobs/sha256/$hex`, "hex="+hexOf(one.blobs[0]))
	m.wantBlob(t, one.blobs[0])
	m.bash(t, 0, `printf 2026-01-01 >raw/startedat && printf T00:00:00Z >>raw/startedat && cat raw/startedat`)
	if got := m.stored(t, "startedat"); string(got) != "2026-01-01T00:00:00Z" {
		t.Errorf("an appended raw file = %q", got)
	}
}

// TestRaw writes into the store's own tree, which every view sees at once.
func TestRaw(t *testing.T) {
	t.Parallel()
	m := newMount(t, withDeletes)
	one, two := newImage("one", layer("a", 10)), newImage("two", layer("b", 10))
	m.put(t, "app", one, "v1")
	m.put(t, "app", two, "v2")
	env := []string{"link=raw/" + tagLink("app", "v1"), "two=" + two.digest().String(), "hex=" + two.hex(), "new=raw/" + filepath.Dir(tagLink("new", "v9")), "rev=raw/" + filepath.Dir(revisionLink("new", two.digest()))}
	m.bash(t, 0, `cat $repos/app/_tags/v1 && printf $two >$link && cmp $repos/app/_tags/v1 $repos/app/_tags/v2 && readlink info/app/_digests/v1 | grep $hex`, env...)
	m.wantLink(t, tagLink("app", "v1"), two.digest())
	m.bash(t, 0, `ls $repos $repos/new info/new; sleep 1.1; mkdir -p $new $rev && printf $two >$rev/link && printf $two >$new/link && cmp $repos/new/_tags/v9 $repos/app/_tags/v2 && ls $repos/new/_manifests/sha256/$hex info/new/_digests/v9 && ls $repos | grep new`, env...)
	m.bash(t, 0, `cat $repos/new/_tags/v9 >/dev/null && rm $new/link && ! cat $repos/new/_tags/v9`, env...)
	// Rename a file of one directory, and move one to another place.
	m.bash(t, 0, `printf x >raw/a && mv raw/a raw/b && cat raw/b && mkdir raw/d && mv raw/b raw/d/c && cat raw/d/c && test ! -e raw/b`)
	if got := m.stored(t, "d/c"); string(got) != "x" {
		t.Errorf("a moved raw file = %q", got)
	}
	m.bash(t, 0, `dd if=/dev/urandom of=$local bs=100k count=30 && cp $local raw/big && cmp $local raw/big && dd if=$local of=raw/big conv=notrunc bs=1000 count=5 && cmp $local raw/big && truncate -s 1000 raw/big && cmp -n 1000 $local raw/big && test $(stat -c %s raw/big) = 1000`,
		"local="+filepath.Join(t.TempDir(), "big"))
	if got := strings.TrimSpace(m.out(t, `ls -A raw raw/d`)); got != "raw:\nbig\nd\ndocker\n\nraw/d:\nc" {
		t.Errorf("ls raw = %q", got)
	}
}
