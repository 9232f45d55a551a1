package fusefs

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestBrowse looks at a mount with the programs people look at files with.
func TestBrowse(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	images := m.seedTwo(t)
	one := images["app:v1"]
	shared := hexOf(layer("shared", 200_000))
	for _, c := range []struct{ name, script, want string }{
		{"ls", `ls`, "README.txt\nblobs\ninfo\nlost\nraw\nrepositories"},
		{"ls hidden", `ls -A | grep registryfs; ls .registryfs`, "config\nerrors\nstats\nuploads"},
		{"ls -U keeps the order of rm -r", `ls -U repositories/app`, "nested\n_tags\n_manifests\n_blobs"},
		{"ls of a name", `ls repositories/team`, "x"},
		{"ls of a nested name", `ls -A repositories/team/x; ls repositories/team/x/y`, "y\n_blobs\n_manifests\n_tags"},
		{"ls of info", `ls info/app; ls info/team/x`, "_descriptors\n_digests\n_history\n_referrers\n_uploads\nnested\ny"},
		{"tags", `ls repositories/app/_tags`, "latest\nmulti\nv1\nv2"},
		{"modes", `stat -c '%A %h' repositories repositories/app/_tags/v1 repositories/app/_manifests/sha256/$hex README.txt info/app/_digests/v1`,
			"drwxr-xr-x 2\n-rw-r--r-- 1\n-r--r--r-- 2\n-r--r--r-- 1\nlrwxrwxrwx 1"},
		{"owner", `find . -not -user $(id -u) -o -not -group $(id -g)`, ""},
		{"find by type", `find repositories -type f | wc -l; find . -not -type f -not -type d -not -type l`, "34"},
		{"find -samefile", `find . -path ./raw -prune -o -samefile blobs/sha256/${shared:0:2}/$shared -print | wc -l`, "4"},
		{"find -samefile in raw", `find raw -samefile blobs/sha256/${shared:0:2}/$shared`, "raw/" + blobFile(one.blob(1))},
		{"find -inum", `find repositories/app/_blobs -inum $(stat -c %i repositories/team/x/y/_blobs/sha256/$shared) | wc -l`, "1"},
		{"find -newer", `find . -newermt '1 hour'`, ""},
		{"readlink", `readlink info/app/_digests/v1`, "../../../repositories/app/_manifests/sha256/" + one.hex()},
		{"readlink of a nested one", `readlink info/team/x/y/_digests/v1`, "../../../../../repositories/team/x/y/_manifests/sha256/" + one.hex()},
		{"readlink -e", `cd info && readlink -e team/x/y/_digests/v1`, m.path("repositories/team/x/y/_manifests/sha256", one.hex())},
		{"cat through the link", `cat info/team/x/y/_digests/v1 | sha256sum | cut -c -64`, one.hex()},
		{"sha256sum -c", `cd repositories/app && for d in _manifests _blobs; do (cd $d/sha256; for f in *; do echo "$f  $f"; done | sha256sum -c --quiet); done`, ""},
		{"sha256sum of blobs", `cd blobs/sha256 && for f in */*; do echo "${f#*/}  $f"; done | sha256sum -c --quiet`, ""},
		{"diff -r", `diff -r repositories/app $local/app`, ""},
		{"diff -r of raw", `diff -r raw $store`, ""},
		{"cmp", `cmp repositories/app/_tags/v1 repositories/team/x/y/_tags/v1`, ""},
		{"tail and head", `tail -c 10 repositories/app/_blobs/sha256/$shared | head -c 6; head -c 7 repositories/app/_blobs/sha256/$shared`, "sharedshared\n"},
		{"dd skip", `dd if=repositories/app/_blobs/sha256/$shared bs=4096 skip=48 iflag=direct status=none | wc -c`, "3392"},
		{"grep -r", `grep -rl '"arm64"' repositories/app/_tags`, "repositories/app/_tags/multi"},
		{"test -x", `test -w repositories/app/_tags/v1 && test -d raw && ! test -e repositories/none`, ""},
		{"stat of nothing", `! stat repositories/app/_tags/none repositories/none repositories/app/_tags/_x repositories/app/_manifests/sha256/x repositories/Upper repositories/app/_layers 2>/dev/null`, ""},
		{"df", `test $(df --output=size . | tail -n 1) -gt 0 && test $(stat -f -c %a .) -gt 0`, ""},
		{"errors", `! cat repositories/app/_blobs/sha256/$shared >repositories/app/_tags/v1; tail -n 1 .registryfs/errors | cut -d ' ' -f 2-4`, "close /repositories/app/_tags/v1: invalid"},
		{"uploads", `exec 3>raw/upload && cat .registryfs/uploads && exec 3>&- && until [ -z "$(cat .registryfs/uploads)" ]; do :; done`, "/raw/upload"},
		{"config", `cat .registryfs/config`, ""},
		{"stats", `grep -c '^op_lookup [1-9]' .registryfs/stats`, "1"},
		{"pwd", `cd -P repositories/app/_tags/.. && pwd -P`, m.path("repositories/app")},
	} {
		t.Run(c.name, func(t *testing.T) {
			local := filepath.Join(t.TempDir())
			if strings.Contains(c.script, "$local") {
				m.bash(t, 0, `cp -r repositories/app $local/`, "local="+local)
			}
			got := m.out(t, c.script, "hex="+one.hex(), "shared="+shared, "local="+local, "store="+m.store)
			if got != strings.TrimSuffix(c.want, "\n") {
				t.Errorf("%s = %q, want %q", c.script, got, c.want)
			}
		})
	}
}

// TestDiskUsage counts what repositories share once.
func TestDiskUsage(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	images := m.seedTwo(t)
	sizes := map[string]int{}
	add := func(content []byte) { sizes[hexOf(content)] = len(content) }
	untagged := newImage("untagged", layer("d", 50))
	var of func(image)
	of = func(i image) {
		add(i.manifest)
		for _, b := range i.blobs {
			add(b)
		}
		for _, c := range i.children {
			of(c)
		}
	}
	of(untagged)
	total := len(images["app:v1"].manifest) // the tag latest
	for _, i := range images {
		of(i)
		total += len(i.manifest) // a tag is a file of its own
	}
	for _, size := range sizes {
		total += size
	}
	if got := m.out(t, `du -sb $repos | cut -f 1`); got != fmt.Sprint(total) {
		t.Errorf("du -sb repositories = %s, want %d", got, total)
	}
	if got := m.out(t, `tar cf - -C $repos . | wc -c`); len(got) > len("400000") || got > "400000" {
		t.Errorf("tar of repositories has %s bytes: it does not know hard links", got)
	}
	if got := m.out(t, `mkdir $local/a && cp -a $repos/. $local/a && du -s --apparent-size -B1 $local/a | cut -f 1`, "local="+t.TempDir()); len(got) > 6 {
		t.Errorf("a copy with cp -a has %s bytes: it does not know hard links", got)
	}
}

// TestXAttrs shows what a manifest says about itself.
func TestXAttrs(t *testing.T) {
	t.Parallel()
	need(t, "getfattr", "setfattr")
	m := newMount(t, withXAttrs)
	i := newImage("one", layer("a", 10))
	index := newIndex(newImage("amd64"), newImage("arm64"))
	m.put(t, "app", i, "v1", "v2")
	m.put(t, "app", index, "multi")
	get := func(name, path string) string {
		t.Helper()
		return m.out(t, `getfattr --only-values -n user.oci.$name $path`, "name="+name, "path="+path)
	}
	tag := "repositories/app/_tags/v1"
	manifest := "repositories/app/_manifests/sha256/" + i.hex()
	for _, c := range []struct{ name, path, want string }{
		{"digest", tag, i.digest().String()},
		{"digest", manifest, i.digest().String()},
		{"digest", "repositories/app/_blobs/sha256/" + hexOf(i.blobs[0]), i.blob(0).String()},
		{"size", tag, fmt.Sprint(len(i.manifest))},
		{"mediatype", tag, v1.MediaTypeImageManifest},
		{"mediatype", "repositories/app/_tags/multi", v1.MediaTypeImageIndex},
		{"annotation." + v1.AnnotationTitle, tag, "one"},
		{"platform", tag, "linux/amd64"},
		{"tags", manifest, "app:v1\napp:v2"},
	} {
		if got := get(c.name, c.path); got != c.want {
			t.Errorf("user.oci.%s of %s = %q, want %q", c.name, c.path, got, c.want)
		}
	}
	if got := get("platform", "repositories/app/_tags/multi"); !strings.Contains(got, "linux/amd64") || !strings.Contains(got, "linux/arm64") {
		t.Errorf("user.oci.platform of an index = %q, want both", got)
	}
	listed := m.out(t, `getfattr -d $path 2>&1`, "path="+manifest)
	if !strings.Contains(listed, `user.oci.digest="`+i.digest().String()) || strings.Contains(listed, "user.oci.tags") {
		t.Errorf("getfattr -d of a manifest = %s, want the cheap ones", listed)
	}
	m.bash(t, failure, `getfattr -n user.oci.none $path`, "path="+tag)
	m.bash(t, failure, `setfattr -n user.oci.digest -v x $path`, "path="+tag)
	m.bash(t, failure, `setfattr -x user.oci.digest $path`, "path="+tag)
	m.bash(t, 0, `getfattr -d repositories info blobs/sha256 README.txt && ls -l $path && cp -a $path $local/ && cp -a $local/v1 repositories/app/_tags/v3`,
		"path="+tag, "local="+t.TempDir())
	m.wantTag(t, "app", "v3", i)
}

// TestXAttrsOfOneFile: one digest is one file in all repositories, so its tags are
// those of all in which it was seen, by whichever name it is asked.
func TestXAttrsOfOneFile(t *testing.T) {
	t.Parallel()
	need(t, "getfattr")
	m := newMount(t, withXAttrs)
	i := newImage("one", layer("a", 10))
	m.put(t, "a", i, "one")
	m.put(t, "b", i, "two")
	tags := `getfattr --only-values -n user.oci.tags repositories/$repo/_manifests/sha256/$hex`
	for _, c := range []struct{ repo, want string }{
		{"a", "a:one"}, {"b", "a:one\nb:two"}, {"a", "a:one\nb:two"},
	} {
		if got := m.out(t, tags, "repo="+c.repo, "hex="+i.hex()); got != c.want {
			t.Errorf("the tags in %s are %q, want %q", c.repo, got, c.want)
		}
	}
	m.bash(t, 0, `cp $file repositories/a/_manifests/alias && sleep 1.1 && stat repositories/a/_manifests/alias`, "file="+file(t, "m.json", i.manifest))
	if got := m.out(t, `cat blobs/sha256/$xx/$hex >/dev/null; `+tags, "xx="+i.hex()[:2], "repo=a", "hex="+i.hex()); got != "a:one\nb:two" {
		t.Errorf("after a look at it as an alias and in blobs/ the tags are %q", got)
	}
}

// TestXAttrsOfLayers: the attributes of a repository's blobs take no reading.
func TestXAttrsOfLayers(t *testing.T) {
	t.Parallel()
	need(t, "getfattr")
	m, c := newRemote(t, 1, 5, withXAttrs)
	m.bash(t, 0, `ls -l repositories/app-00/_blobs/sha256`)
	c.Reset()
	const blobs = `repositories/app-00/_blobs/sha256/*`
	if got := m.out(t, `getfattr -d `+blobs+` | grep -c user.oci.size`); got == "0" || c.Count("Reader") > 0 {
		t.Errorf("%s blobs have a size, and it took %v, want none read", got, c.Counts())
	}
}

// TestXAttrsBounds: the kernel passes on no name of more than 255 bytes and no list
// or value of more than 64 KiB. What does not fit is left out, and does not keep
// getfattr from the rest.
func TestXAttrsBounds(t *testing.T) {
	t.Parallel()
	need(t, "getfattr")
	m := newMount(t, withXAttrs)
	many := map[string]string{}
	for i := range 1600 {
		many[fmt.Sprintf("key-with-a-rather-long-name-%04d", i)] = "v"
	}
	for _, c := range []struct {
		tag         string
		annotations map[string]string
		want        string // a line of what is listed
	}{
		{"value", map[string]string{"a": strings.Repeat("x", 64<<10+1), "ok": "1"}, `user.oci.annotation.ok="1"`},
		{"name", map[string]string{strings.Repeat("k", 300): "v", "ok": "1"}, `user.oci.annotation.ok="1"`},
		{"nul", map[string]string{"a\x00b": "v", "ok": "1"}, `user.oci.annotation.ok="1"`},
		{"empty", map[string]string{"a": ""}, `user.oci.annotation.a=""`},
		{"many", many, `user.oci.annotation.key-with-a-rather-long-name-0000="v"`},
	} {
		i := newImage(c.tag)
		var manifest v1.Manifest
		if err := json.Unmarshal(i.manifest, &manifest); err != nil {
			t.Fatal(err)
		}
		manifest.Annotations = c.annotations
		i.manifest = marshal(manifest)
		m.put(t, "app", i, c.tag)
		listed := strings.Split(m.out(t, `getfattr -d repositories/app/_tags/$tag 2>&1`, "tag="+c.tag), "\n")
		for _, want := range []string{c.want, `user.oci.digest="` + string(i.digest()) + `"`, `user.oci.platform="linux/amd64"`} {
			if !slices.Contains(listed, want) {
				t.Errorf("%s: getfattr -d does not list %s but %.2000q", c.tag, want, listed)
			}
		}
		for _, line := range listed {
			if line != "" && !strings.HasPrefix(line, "user.oci.") && !strings.HasPrefix(line, "# file: ") {
				t.Errorf("%s: getfattr says %.300q", c.tag, line)
			}
		}
	}
}

// TestNoXAttrs answers once, and no more, that there are none.
func TestNoXAttrs(t *testing.T) {
	t.Parallel()
	need(t, "getfattr")
	m := newMount(t)
	m.seedTwo(t)
	m.bash(t, 0, `ls -lR . >/dev/null; ! getfattr -d repositories/app/_tags/v1`)
	if got := m.srv.s.stats.ops[opXattr].Durations().Count; got > 2 {
		t.Errorf("%d requests for extended attributes, want them answered by the kernel", got)
	}
}

// TestIdentity gives one digest one inode, under all names and in every mount,
// and a tag another as soon as it points elsewhere.
func TestIdentity(t *testing.T) {
	t.Parallel()
	state, store := t.TempDir(), newStore(t)
	withState := func(c *mountConfig) { c.StateDir = state }
	m := newMount(t, over(store), withState)
	one, two := newImage("one", layer("a", 100)), newImage("two", layer("b", 100))
	m.put(t, "app", one, "v1")
	m.put(t, "app", two, "v2")
	m.put(t, "team/other", one, "v1")
	hex := one.hex()
	env := []string{"hex=" + hex, "xx=" + hex[:2], "raw=raw/" + blobFile(one.digest())}
	inodes := func(m *mount) []string {
		return strings.Fields(m.out(t, `stat -c %i repositories/app/_manifests/sha256/$hex repositories/team/other/_manifests/sha256/$hex blobs/sha256/$xx/$hex $raw \
			repositories/app/_tags/v1 repositories/app/_tags/v2 repositories/team/other/_tags/v1 repositories/app repositories repositories/app/_tags raw README.txt info/app`, env...))
	}
	got := inodes(m)
	for _, i := range got[:4] {
		if i != got[0] {
			t.Errorf("inodes of one digest: %v, want all the same", got[:4])
		}
	}
	seen := map[string]bool{}
	for _, i := range got[3:] {
		if seen[i] {
			t.Errorf("inodes of different files: %v, want all different", got[3:])
		}
		seen[i] = true
	}
	if again := inodes(newMount(t, over(store), withState)); strings.Join(again, " ") != strings.Join(got, " ") {
		t.Errorf("inodes in another mount = %v, want %v", again, got)
	}
	if other := inodes(newMount(t, over(store))); other[0] == got[0] {
		t.Error("the inode of a digest can be known without the secret")
	}
	m.bash(t, 0, `cp repositories/app/_tags/v2 repositories/app/_tags/v1`)
	if after := inodes(m); after[4] == got[4] {
		t.Error("the tag that moved has the inode it had")
	}
	m.bash(t, 0, `cp $raw repositories/app/_tags/v1`, env...)
	if back := inodes(m); back[4] != got[4] {
		t.Errorf("the tag that moved back has inode %s, want %s", back[4], got[4])
	}
}

// TestUmask takes its bits off every mode.
func TestUmask(t *testing.T) {
	t.Parallel()
	m := newMount(t, func(c *mountConfig) { c.Umask, c.UID, c.GID = 0o027, 12345, 54321 })
	i := newImage("one")
	m.put(t, "app", i, "v1")
	got := m.out(t, `stat -c '%a %u %g' . repositories/app/_tags repositories/app/_tags/v1 repositories/app/_manifests/sha256/*`)
	if want := "750 12345 54321\n750 12345 54321\n640 12345 54321\n440 12345 54321"; got != want {
		t.Errorf("modes and owners = %q, want %q", got, want)
	}
}

// TestReadOnly refuses every change and serves everything.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	rw := newMount(t, over(store))
	images := rw.seedTwo(t)
	m := newMount(t, over(store), readOnly, withDeletes)
	unchanged := m.unchanged(t)
	local := file(t, "m.json", images["app:v1"].manifest)
	for _, script := range []string{
		`cp $local $repos/app/_tags/v9`, `cp $local $repos/app/_tags/v1`, `cp -f $local $repos/app/_tags/v1`, `mv $local $repos/app/_tags/v1`,
		`install $local $repos/app/_tags/v1`, `rsync -a $local $repos/app/_tags/v1`, `rsync -a --inplace $local $repos/app/_tags/v1`,
		`cat $local >$repos/app/_tags/v1`, `cat $local >>$repos/app/_tags/v1`, `touch $repos/app/_tags/v1`, `truncate -s 0 $repos/app/_tags/v1`,
		`sed -i s/a/b/ $repos/app/_tags/v1`, `rm $repos/app/_tags/v1`, `rm -r $repos/app`, `mkdir $repos/new`, `rmdir $repos/app`, `mkdir raw/new`,
		`mv $repos/app/_tags/v1 $repos/app/_tags/v9`, `ln $repos/app/_tags/v1 $repos/app/_tags/v9`, `chmod 600 $repos/app/_tags/v1`, `cp $local raw/x`,
	} {
		if r := m.bash(t, failure, script, "local="+local); !strings.Contains(r.stderr, "Read-only file system") {
			t.Errorf("%s says %q, want read-only", script, r.stderr)
		}
	}
	unchanged()
	m.bash(t, 0, `diff -r $repos $other && diff -r raw $store`, "other="+rw.path("repositories"), "store="+store)
	if got := m.out(t, `find . -perm /222 -not -type l`); got != "" {
		t.Errorf("writable on a read-only mount: %q", got)
	}
	if _, err := os.Stat(local); err != nil {
		t.Errorf("mv has lost its source: %v", err)
	}
}
