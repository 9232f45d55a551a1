package fusefs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// outcome is what a command leaves a tag as.
type outcome int

const (
	isNew outcome = iota
	isOld
	isGone
)

// toolCase is a command that puts the manifest $new under the tag $tag in
// $tags, which is $old before. In $local it may leave what it likes.
type toolCase struct {
	name   string
	script string

	exit int // with deletes on
	tag  outcome

	offExit int // with deletes off
	offTag  outcome
}

// always is a command that does the same with deletes on and off.
func always(name string, exit int, tag outcome, script string) toolCase {
	return toolCase{name, script, exit, tag, exit, tag}
}

// replacements are the commands that write over a tag. Those that unlink first
// can do it only where deletes are on.
var replacements = []toolCase{
	always("cp", 0, isNew, `cp $new $tag`),
	always("cp -p", 0, isNew, `cp -p $new $tag`),
	always("cp -a", 0, isNew, `cp -a $new $tag`),
	always("cp -f", 0, isNew, `cp -f $new $tag`),
	always("cp -n", anyExit, isOld, `cp -n $new $tag`), // exits with 1 in some versions
	always("cp --no-preserve=mode", 0, isNew, `cp --no-preserve=mode $new $tag`),
	always("cp onto itself", 1, isOld, `cp $tag $tag`),
	always("cp of the same content", 0, isOld, `cp $old $tag`),
	always("cp into the directory", 0, isNew, `cp $new $local/${tag##*/} && cp $local/${tag##*/} $tags/`),
	{"cp --remove-destination", `cp --remove-destination $new $tag`, 0, isNew, 1, isOld},
	{"mv", `cp $new $local/m && mv $local/m $tag && test ! -e $local/m`, 0, isNew, 1, isOld},
	{"mv -n", `cp $new $local/m && mv -n $local/m $tag; test -e $local/m`, 0, isOld, 0, isOld},
	{"install", `install -m 644 $new $tag`, 0, isNew, 1, isOld},
	{"tar x", `cp -p $new $local/${tag##*/} && tar cC $local ${tag##*/} | tar xC $tags`, 0, isNew, 2, isOld},
	always("tar x --overwrite", 0, isNew, `cp -p $new $local/${tag##*/} && tar cC $local ${tag##*/} | tar x --overwrite -C $tags`),
	always("rsync", 0, isNew, `rsync $new $tag`),
	always("rsync -a", 0, isNew, `rsync -a $new $tag`),
	always("rsync -a --inplace", 0, isNew, `rsync -a --inplace $new $tag`),
	always("rsync -a --append", anyExit, isOld, `rsync -a --append $new $tag`), // old + the tail of new: no manifest
	always("rsync -a --fsync", 0, isNew, `rsync -a --fsync $new $tag`),
	always("rsync -a --delay-updates", 0, isNew, `rsync -a --delay-updates $new $tag && test ! -e $tags/.~tmp~`),
	{"rsync -a --temp-dir", `rsync -a --temp-dir=$local $new $tag`, 0, isNew, 23, isOld}, // unlinks, then copies
	always("rsync -a --checksum", 0, isNew, `rsync -a -c $new $tag`),
	always("dd", 0, isNew, `dd if=$new of=$tag`),
	always("dd conv=fsync", 0, isNew, `dd if=$new of=$tag conv=fsync`),
	always("dd oflag=direct", 0, isNew, `dd if=$new of=$tag oflag=direct`),
	always("dd conv=notrunc", 0, isNew, `dd if=$new of=$tag conv=notrunc`),
	always("dd in small pieces", 0, isNew, `dd if=$new of=$tag bs=7`),
	always("tee", 0, isNew, `tee $tag <$new`),
	always(">", 0, isNew, `cat $new >$tag`),
	always("> from two children", 0, isNew, `(head -c 100 $new; tail -c +101 $new) >$tag`),
	always(">|", 0, isNew, `set -C; cat $new >|$tag`),
	always("> with noclobber", 1, isOld, `set -C; cat $new >$tag`),
	always("1<>", 0, isNew, `cat $new 1<>$tag`), // no truncation: new is the longer one
	always(": >", 0, isOld, `: >$tag`),
	always("truncate -s 0", 0, isOld, `truncate -s 0 $tag`),
	always("truncate to the size it has", 0, isOld, `truncate -r $tag $tag`),
	always("touch", 0, isOld, `touch $tag`),
	always("touch -d", 0, isOld, `touch -d 2001-02-03T04:05:06Z $tag && test $(stat -c %Y $tag) = 981173106`),
	always("chmod, chown", 0, isOld, `chmod 600 $tag && chown 1:1 $tag`),
	always("sed -i", 0, isNew, `sed -i "s/first/the second image/; s/$(config_of $old)/$(config_of $new)/; s/$(size_in $old)/$(size_in $new)/" $tag`),
	always("mktemp and mv", 0, isNew, `t=$(mktemp -p $tags) && cat $new >$t && mv $t $tag`),
	always("mktemp and mv --no-copy", 0, isNew, `t=$(mktemp -p $tags) && cp $new $t && mv -f $t $tag`),
	always("ln", 1, isOld, `ln $blob $tag`),
	always("ln -s", 1, isOld, `ln -s $new $tag`),
	{"rm", `rm $tag`, 0, isGone, 1, isOld},
	{"rm -f", `rm -f $tag`, 0, isGone, 1, isOld},
	{"unlink and cp", `rm $tag && cp $new $tag`, 0, isNew, 1, isOld},
	{"mv away", `mv $tag $tag.away`, 0, isGone, 1, isOld},
}

// creations are the commands that make a new tag. $tag is absent before.
var creations = []toolCase{
	always("cp", 0, isNew, `cp $new $tag`),
	always("cp -p", 0, isNew, `cp -p $new $tag`),
	always("cp -a", 0, isNew, `cp -a $new $tag`),
	always("cp -n", 0, isNew, `cp -n $new $tag`),
	always("cp --remove-destination", 0, isNew, `cp --remove-destination $new $tag`),
	always("cp within the mount", 0, isNew, `cp $blob $tag`),
	always("cp --sparse", 0, isNew, `cp --sparse=always $new $tag`),
	always("cp, read without a pause", 0, isNew, `cp $new $tag && cmp $new $tag && stat $tag && chmod 644 $tag`),
	always("mv", 0, isNew, `cp $new $local/m && mv $local/m $tag && test ! -e $local/m`),
	always("install", 0, isNew, `install -m 644 $new $tag`),
	always("install -D -p", 0, isNew, `install -D -p -m 600 $new $tag`),
	always("tar x", 0, isNew, `cp -p $new $local/${tag##*/} && tar cC $local ${tag##*/} | tar xpC $tags`),
	always("rsync -a", 0, isNew, `rsync -a $new $tag`),
	always("rsync -a --inplace", 0, isNew, `rsync -a --inplace $new $tag`),
	always("rsync -a --preallocate", 0, isNew, `rsync -a --preallocate $new $tag`),
	always("dd", 0, isNew, `dd if=$new of=$tag`),
	always("dd oflag=direct conv=fsync", 0, isNew, `dd if=$new of=$tag oflag=direct conv=fsync`),
	always("dd oflag=sync", 0, isNew, `dd if=$new of=$tag oflag=sync`),
	always("tee", 0, isNew, `tee $tag <$new`),
	always(">", 0, isNew, `cat $new >$tag`),
	always("> with noclobber", 0, isNew, `set -C; cat $new >$tag`),
	always(">>", 0, isNew, `cat $new >>$tag`),
	always("touch and cp", 0, isNew, `touch $tag && cp $new $tag`),
	always("mktemp and mv", 0, isNew, `t=$(mktemp -p $tags) && cat $new >$t && mv $t $tag`),
	always("mktemp, mv and rm", 1, isGone, `t=$(mktemp -p $tags) && echo no manifest >$t && mv $t $tag || { rm $t; false; }`),
	always("ln", 0, isNew, `ln $blob $tag`),
	always("ln -s", 1, isGone, `ln -s $blob $tag`),
	always("mknod", 1, isGone, `mknod $tag p`),
	always("mkdir", 1, isGone, `mkdir $tag`),
	always("head writes the first half", 1, isGone, `head -c 100 $new | dd of=$tag`),
}

// TestReplaceTag runs the tools over an existing tag.
func TestReplaceTag(t *testing.T) { runTools(t, replacements, true) }

// TestCreateTag runs the tools on a new tag.
func TestCreateTag(t *testing.T) { runTools(t, creations, false) }

func runTools(t *testing.T, cases []toolCase, exists bool) {
	need(t, "rsync", "tar")
	for _, on := range []bool{true, false} {
		t.Run(fmt.Sprintf("deletes=%v", on), func(t *testing.T) {
			t.Parallel()
			m := newMount(t, deletes(on))
			first, second := newImage("first", layer("a", 500)), newImage("the second image", layer("a", 500))
			m.put(t, "app", first)
			m.put(t, "app", second)
			old, next := file(t, "old.json", first.manifest), file(t, "new.json", second.manifest)
			var names []string
			for i, c := range cases {
				tag := fmt.Sprintf("v1.%d", i)
				if exists {
					m.put(t, "app", first, tag)
				}
				wantExit, want := c.exit, c.tag
				if !on {
					wantExit, want = c.offExit, c.offTag
				}
				if want != isGone {
					names = append(names, tag)
				}
				if c.name == "mv away" && on {
					names = append(names, tag+".away")
				}
				t.Run(c.name, func(t *testing.T) {
					m.bash(t, wantExit, sedHelpers+c.script,
						"old="+old, "new="+next, "local="+t.TempDir(),
						"tags="+m.path("repositories/app/_tags"),
						"tag="+m.path("repositories/app/_tags", tag),
						"blob="+m.path("repositories/app/_manifests/sha256", second.hex()))
					m.wantOutcome(t, tag, want, first, second)
				})
			}
			// Nothing else has appeared, and nothing temporary has stayed.
			slices.Sort(names)
			if got := m.out(t, `ls -A $repos/app/_tags | LC_ALL=C sort`); got != strings.Join(names, "\n") {
				t.Errorf("ls -A _tags = %q, want %q", strings.Fields(got), names)
			}
		})
	}
}

// sedHelpers name what differs between two manifests.
const sedHelpers = `
config_of() { grep -o 'sha256:[0-9a-f]*' $1 | head -n 1; }
size_in() { grep -o '"size": [0-9]*' $1 | head -n 1; }
`

// wantOutcome checks a tag in the store, and that the mount shows the same at
// once, by name and in its directory's listing.
func (m *mount) wantOutcome(t *testing.T, tag string, want outcome, first, second image) {
	t.Helper()
	path := m.path("repositories/app/_tags", tag)
	if want == isGone {
		m.wantNoTag(t, "app", tag)
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("stat %s = %v, want none", tag, err)
		}
		return
	}
	i := first
	if want == isNew {
		i = second
	}
	m.wantTag(t, "app", tag, i)
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, i.manifest) {
		t.Errorf("tag %s through the mount = %d bytes, %v; want the %d of %s", tag, len(got), err, len(i.manifest), i.digest())
	}
	if got := m.out(t, `ls -l info/app/_digests/$tag`, "tag="+tag); !strings.HasSuffix(got, filepath.Join("repositories/app/_manifests/sha256", i.hex())) {
		t.Errorf("info/app/_digests: %q, want a link to %s", got, i.hex())
	}
}
