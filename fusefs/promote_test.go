package fusefs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"registryfs/layout"
)

// blobFiles are the blobs of the store, by path, with what would change if one
// were written anew.
func (m *mount) blobFiles(t *testing.T) map[string]string {
	t.Helper()
	all := tree(t, filepath.Join(m.store, v2, "blobs"))
	for path := range all {
		if info, err := os.Stat(filepath.Join(m.store, v2, "blobs", path)); err == nil {
			all[path] += fmt.Sprint(" ", info.Sys().(*syscall.Stat_t).Ino, info.ModTime()) // not when it was read
		}
	}
	return all
}

// TestPromote puts a tag of one repository into another: what it needs is
// linked there, and no blob is written.
func TestPromote(t *testing.T) {
	t.Parallel()
	need(t, "rsync")
	m := newMount(t, withDeletes)
	shared := layer("shared", 300_000)
	for _, i := range []struct {
		name string
		image
	}{
		{"image", newImage("promoted", shared, layer("b", 100))},
		{"docker", newDockerImage("promoted", shared, layer("b", 100))},
		{"index", newIndex(newImage("amd64", shared), newImage("arm64", layer("arm64", 2000)))},
		{"list", newDockerList(newDockerImage("amd64", shared), newDockerImage("arm64"))},
		{"nested", newIndex(newIndex(newImage("deep", layer("deep", 10))), newImage("flat"))},
	} {
		for _, c := range []struct{ name, script string }{
			{"cp", `cp $a/_tags/v1 $b/_tags/v2`},
			{"cp -a", `cp -a $a/_tags/v1 $b/_tags/v2`},
			{"cat", `cat $a/_tags/v1 >$b/_tags/v2`},
			{"by way of a local file", `cp $a/_tags/v1 $local && cp $local $b/_tags/v2`},
			{"rsync", `rsync -a $a/_tags/v1 $b/_tags/v2`},
			{"mv", `cp $a/_tags/v1 $a/_tags/tmp && mv $a/_tags/tmp $b/_tags/v2 && test ! -e $a/_tags/tmp`},
			{"ln", `ln $a/_tags/v1 $b/_tags/v2`},
			{"ln of the manifest", `ln $a/_manifests/sha256/$hex $b/_tags/v2`},
			{"cp of the manifest", `cp $a/_manifests/sha256/$hex $b/_tags/v2`},
			{"cp from the history", `cp $mnt/info/team/$src/_history/v1/*-$hex $b/_tags/v2`},
			{"dd", `dd if=$a/_tags/v1 of=$b/_tags/v2 bs=100`},
			{"to a new tag of the same", `cp $a/_tags/v1 $a/_tags/v2 && mkdir -p $b && ln $a/_tags/v2 $b/_tags/v2`},
		} {
			if i.name != "image" && i.name != "index" && !strings.HasPrefix(c.name, "cp") {
				continue // how it is written has been seen
			}
			t.Run(i.name+"/"+c.name, func(t *testing.T) {
				from := "src" + i.name
				to := "dst" + i.name + "-" + strings.ReplaceAll(strings.ToLower(c.name), " ", "-")
				to = strings.ReplaceAll(to, "--", "-")
				if m.stored(t, tagLink("team/"+from, "v1")) == nil {
					m.put(t, "team/"+from, i.image, "v1")
				}
				before := m.blobFiles(t)
				m.bash(t, 0, `mkdir $b && `+c.script, "src="+from, "mnt="+m.dir, "hex="+i.hex(),
					"a="+m.path("repositories/team", from), "b="+m.path("repositories/team", to), "local="+filepath.Join(t.TempDir(), "m.json"))
				m.wantTag(t, "team/"+to, "v2", i.image)
				m.wantTag(t, "team/"+from, "v1", i.image)
				sameTree(t, before, m.blobFiles(t))
				if got := m.out(t, `cat $repos/team/$b/_tags/v2 | sha256sum | cut -c -64`, "b="+to); got != i.hex() {
					t.Errorf("the tag has digest %s, want %s", got, i.hex())
				}
			})
		}
	}
}

// TestPromoteMovesNoBytes copies within the mount by reference.
func TestPromoteMovesNoBytes(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	big := layer("big", 3<<20)
	i := newImage("one", big)
	m.put(t, "app", i, "v1")
	wrote := m.srv.s.stats.in.Load()
	m.bash(t, 0, `mkdir repositories/other &&
		cp repositories/app/_tags/v1 repositories/other/_tags/ &&
		cp blobs/sha256/*/$hex repositories/other/_blobs/sha256/$hex 2>&1 | grep -q 'are the same file'`, "hex="+hexOf(big))
	m.bash(t, 0, `mkdir repositories/third &&
		cp repositories/app/_blobs/sha256/$hex repositories/third/_blobs/layer.tgz`, "hex="+hexOf(big))
	m.wantTag(t, "other", "v1", i)
	m.wantLink(t, layerLink("third", i.blob(1)), i.blob(1))
	if got := m.srv.s.stats.in.Load() - wrote; got != 0 {
		t.Errorf("%d bytes were written for copies within the mount, want 0", got)
	}
}

// TestPromoteUnread refuses what this mount has never shown: a manifest that
// merely names a private layer must not make it pullable.
func TestPromoteUnread(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		layout.Options
		exit int
	}{
		{"source", layout.Options{}, failure},
		{"store", layout.Options{References: layout.ReferencesStore}, 0},
		{"strict", layout.Options{References: layout.ReferencesStrict}, failure},
		{"none", layout.Options{References: layout.ReferencesNone}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMount(t, func(o *mountConfig) { o.layout = c.Options })
			i := newImage("private", layer("secret", 1000))
			m.put(t, "private", i, "v1")
			unchanged := m.unchanged(t)
			m.bash(t, c.exit, `mkdir repositories/public && cp $local repositories/public/_tags/v1`, "local="+file(t, "m.json", i.manifest))
			if c.exit == 0 {
				m.wantLink(t, tagLink("public", "v1"), i.digest())
				if c.References == layout.ReferencesStore {
					m.wantTag(t, "public", "v1", i)
				}
				return
			}
			unchanged()
			m.refused(t, "public/_tags/v1", i.blob(0).String(), "; ")
			if c.References == layout.ReferencesStrict {
				// Not even by way of the mount.
				m.bash(t, failure, `cp repositories/private/_tags/v1 repositories/public/_tags/v1`)
				unchanged()
				return
			}
			m.bash(t, 0, `cp repositories/private/_tags/v1 repositories/public/_tags/v1`)
			m.wantTag(t, "public", "v1", i)
		})
	}
}

// TestRollBack takes a tag back to what it was.
func TestRollBack(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	one, two := newImage("one", layer("a", 10)), newImage("two", layer("b", 10))
	m.put(t, "app", one, "latest")
	m.put(t, "app", two)
	m.bash(t, 0, `sleep 1.1; cp $two repositories/app/_tags/latest`, "two="+file(t, "two.json", two.manifest))
	got := m.out(t, `ls info/app/_history/latest | sed 's/.*-//'`)
	if got != one.hex()+"\n"+two.hex() {
		t.Errorf("_history/latest = %q, want %s, then %s", got, one.hex(), two.hex())
	}
	m.bash(t, 0, `cp info/app/_history/latest/*-$hex repositories/app/_tags/latest`, "hex="+one.hex())
	m.wantTag(t, "app", "latest", one)
	m.wantLink(t, tagIndexLink("app", "latest", two.digest()), two.digest())
	// What it points to now is always last.
	if got := m.out(t, `ls -U info/app/_history/latest | sed 's/.*-//' | tail -n 1`); got != one.hex() {
		t.Errorf("the last of _history/latest = %s, want %s", got, one.hex())
	}
}

// TestLinkNames makes links with ln: a name in another repository, and a tag.
func TestLinkNames(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	l := layer("layer", 5000)
	i := newImage("one", l)
	m.put(t, "app", i, "v1")
	before := m.blobFiles(t)
	env := []string{"blob=_blobs/sha256/" + hexOf(l), "config=_blobs/sha256/" + hexOf(i.blobs[0]), "manifest=_manifests/sha256/" + i.hex()}
	m.bash(t, 0, `cd $repos && mkdir other third &&
		ln app/$blob other/$blob && ln app/$config other/$config &&
		ln app/$manifest other/$manifest && ln app/$manifest other/_tags/v1 &&
		ln other/$blob third/_blobs/any-name && test other/$blob -ef app/$blob`, env...)
	m.wantTag(t, "other", "v1", i)
	m.wantLink(t, layerLink("third", i.blob(1)), i.blob(1))
	for _, script := range []string{
		`ln $repos/app/$blob $repos/other/$blob`,                        // exists
		`ln $repos/app/_tags/v1 $repos/other/_tags/v1`,                  // exists
		`ln $repos/app/$blob $repos/third/_tags/v1`,                     // no manifest
		`ln $repos/app/$blob $repos/third/$config`,                      // another digest's name
		`ln $repos/app/$blob $repos/third/_manifests/sha256/` + i.hex(), // the same
		`ln $repos/app/$blob $repos/x`,
		`ln $repos/app/$blob blobs/sha256/x`,
		`ln README.txt $repos/third/_blobs/readme`,
	} {
		unchanged := m.unchanged(t)
		m.bash(t, 1, script, env...)
		unchanged()
	}
	sameTree(t, before, m.blobFiles(t))
	names := strings.Fields(m.out(t, `cd $repos && ls other/_blobs/sha256 third/_blobs third/_blobs/sha256 other/_tags third/_tags`))
	if !slices.Contains(names, hexOf(l)) || slices.Contains(names, "any-name") {
		t.Errorf("names after ln: %q", names)
	}
	// A file of this mount that is waiting for its name.
	m.bash(t, 0, `ln $repos/app/$blob $repos/third/_blobs/sha256/.b.123 && mv $repos/third/_blobs/sha256/.b.123 $repos/third/$blob`, env...)
}

// TestCopyTimes keeps the time of a tag and of what is named by digest.
func TestCopyTimes(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	i := newImage("one", layer("a", 10))
	for _, b := range i.blobs {
		m.putBlob(t, "app", b)
	}
	when := time.Date(2001, 2, 3, 4, 5, 6, 700_000_000, time.UTC)
	local := file(t, "m.json", i.manifest)
	if err := os.Chtimes(local, when, when); err != nil {
		t.Fatal(err)
	}
	m.bash(t, 0, `cp -p $local $repos/app/_manifests/ && cp -p $local $repos/app/_tags/v1`, "local="+local)
	m.wantTag(t, "app", "v1", i)
	for _, path := range []string{tagLink("app", "v1"), blobFile(i.digest())} {
		if onS3 {
			break // which has no times to set: the mount remembers them
		}
		if info, err := os.Stat(filepath.Join(m.store, path)); err != nil || !info.ModTime().Equal(when) {
			t.Errorf("store: %s: %v, %v, want the time %s", path, info, err, when)
		}
	}
	got := m.out(t, `cd $repos/app && stat -c %.3Y _tags/v1 _manifests/sha256/*`)
	if want := "981173106.700\n981173106.700"; got != want {
		t.Errorf("times = %q, want %q", got, want)
	}
	m.bash(t, 0, `touch -d 2002-02-03T04:05:06Z $repos/app/_tags/v1 $repos/app/_manifests/sha256/*`)
	got = m.out(t, `cd $repos/app && stat -c %Y _tags/v1 _manifests/sha256/* $mnt/blobs/sha256/*/$hex`, "hex="+i.hex(), "mnt="+m.dir)
	if want := "1012709106\n1012709106\n1012709106"; got != want {
		t.Errorf("times after touch = %q, want %q", got, want)
	}
}
