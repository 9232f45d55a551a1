package fusefs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRemove removes names one by one.
func TestRemove(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{true, false} {
		t.Run(fmt.Sprintf("deletes=%v", on), func(t *testing.T) {
			m := newMount(t, deletes(on))
			free := layer("free", 100)
			one, two := newImage("one", layer("a", 10)), newImage("two", layer("b", 10))
			index := newIndex(newImage("child"), newImage("other child"))
			m.put(t, "app", one, "v1", "v2")
			m.put(t, "app", two)
			m.put(t, "app", index, "multi")
			m.putBlob(t, "app", free)
			for _, c := range []struct {
				name, path string
				gone       string // what goes from the store, with deletes on
				reason     string // what errors says with deletes on, if it stays
			}{
				{"a tag", "repositories/app/_tags/v1", tagLink("app", "v1"), ""},
				{"a tagged manifest", "repositories/app/_manifests/sha256/" + one.hex(), "", "is tagged v2"},
				{"an untagged manifest", "repositories/app/_manifests/sha256/" + two.hex(), revisionLink("app", two.digest()), ""},
				{"a child of an index", "repositories/app/_manifests/sha256/" + index.children[0].hex(), revisionLink("app", index.children[0].digest()), ""},
				{"a blob in use", "repositories/app/_blobs/sha256/" + hexOf(one.blobs[1]), "", "is used by manifest"},
				{"a blob not in use", "repositories/app/_blobs/sha256/" + hexOf(free), filepath.Join(repoDir("app"), "_layers/sha256", hexOf(free), "link"), ""},
				{"a blob of the store", "blobs/sha256/" + hexOf(free)[:2] + "/" + hexOf(free), "", "garbage collection"},
				{"a tag of info", "info/app/_digests/v2", "", "repositories/"},
				{"a fixed file", "README.txt", "", "part of the mount"},
				{"a raw file", "raw/" + tagLink("app", "v2"), tagLink("app", "v2"), ""},
			} {
				t.Run(c.name, func(t *testing.T) {
					if on && c.gone != "" {
						m.bash(t, 0, `rm $path && test ! -e $path`, "path="+c.path)
						if got := m.stored(t, c.gone); got != nil {
							t.Errorf("store: %s = %q after rm, want it gone", c.gone, got)
						}
						return
					}
					unchanged := m.unchanged(t)
					if r := m.bash(t, 1, `rm $path`, "path="+c.path); on && strings.Contains(c.reason, "is ") && !strings.Contains(r.stderr, "busy") {
						t.Errorf("rm says %q, want busy", r.stderr)
					}
					unchanged()
					reason := c.reason
					if !on && c.gone != "" {
						reason = "--allow-delete"
					} else if !on {
						return // which of two reasons it gives does not matter
					}
					m.refused(t, "/"+c.path, reason)
				})
			}
			if on {
				m.wantBlob(t, one.manifest) // nothing but links goes
				m.wantBlob(t, free)
			}
		})
	}
}

// TestRemoveRepository removes all of a repository, and one without those
// nested in it.
func TestRemoveRepository(t *testing.T) {
	t.Parallel()
	m := newMount(t, withDeletes)
	images := m.seedTwo(t)
	var tags []string // more than one answer to readdir
	for i := range 250 {
		tags = append(tags, fmt.Sprintf("tag-%03d", i))
	}
	m.put(t, "team/many", newImage("many"), tags...)

	m.bash(t, 0, `cd $repos && rm -r app/_tags app/_manifests app/_blobs && ls app/nested/_tags/v1`)
	m.wantTag(t, "app/nested", "v1", images["app/nested:v1"])
	if got := files(t, filepath.Join(m.store, repoDir("app"), "_manifests")); len(got) > 0 {
		t.Errorf("store: %v is left of the repository", got)
	}
	if got := files(t, filepath.Join(m.store, repoDir("app"), "_layers")); len(got) > 0 {
		t.Errorf("store: %v is left of the repository", got)
	}

	m.bash(t, 0, `rm -r $repos/app && test ! -e $repos/app && test ! -e info/app`)
	m.bash(t, 0, `rm -r $repos/team/many && ! ls $repos/team/many`)
	for _, dir := range []string{"app", "team/many"} {
		if _, err := os.Stat(filepath.Join(m.store, repoDir(dir))); !os.IsNotExist(err) {
			t.Errorf("store: the directory of %s: %v, want none", dir, err)
		}
	}
	m.wantTag(t, "team/x/y", "v1", images["team/x/y:v1"])

	// A new one of that name has nothing of the old.
	m.bash(t, 0, `mkdir $repos/app && cp $repos/team/x/y/_tags/v1 $repos/app/_tags/ && ls -R $repos/app`)
	m.wantTag(t, "app", "v1", images["team/x/y:v1"])
	if got := m.out(t, `ls $repos/app/_tags`); got != "v1" {
		t.Errorf("tags of the new repository = %q, want v1", got)
	}
	m.bash(t, 0, `rm -rf $repos/* && ls -A $repos`)
	if got := files(t, filepath.Join(m.store, v2, "repositories")); len(got) > 0 {
		t.Errorf("store: %v is left after rm -rf", got)
	}
}

// TestRemoveKeepsUploads leaves what is being pushed.
func TestRemoveKeepsUploads(t *testing.T) {
	t.Parallel()
	m := newMount(t, withDeletes)
	m.put(t, "app", newImage("one"), "v1")
	upload := repoDir("app") + "/_uploads/0197f7d2-3c1b/data"
	m.plant(t, upload, []byte("so far"))
	if got := m.out(t, `cat info/app/_uploads/0197f7d2-3c1b`); got != "so far" {
		t.Errorf("the upload = %q, want %q", got, "so far")
	}
	m.bash(t, 1, `rm -r $repos/app`)
	if _, err := os.Stat(filepath.Join(m.store, upload)); err != nil {
		t.Errorf("the upload after rm -r: %v", err)
	}
}

// TestRemoveRefused changes nothing where deletes are off.
func TestRemoveRefused(t *testing.T) {
	t.Parallel()
	for _, script := range []string{`rm -r $repos/app`, `rm -rf $repos/app/nested`, `rm -r raw/docker`, `rm -r blobs`, `rmdir raw/docker/registry/v2/blobs`} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			m := newMount(t)
			m.seedTwo(t)
			unchanged := m.unchanged(t)
			m.bash(t, 1, script)
			unchanged()
		})
	}
}

// TestRemoveRaw removes the store's own files and directories.
func TestRemoveRaw(t *testing.T) {
	t.Parallel()
	m := newMount(t, withDeletes)
	m.seedTwo(t)
	m.odd(t)
	m.bash(t, 0, `ls $repos/app/_tags && rm -r raw/`+repoDir("app")+` && test ! -e $repos/app`)
	m.bash(t, 0, `rm -r raw/docker && ls -A raw blobs/sha256 $repos`)
	if got := tree(t, m.store); len(got) != 2 { // the root and odd's file in it
		t.Errorf("store: %v is left", got)
	}
}

// TestDirectories makes directories and removes them again.
func TestDirectories(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{true, false} {
		m := newMount(t, deletes(on))
		unchanged := m.unchanged(t)
		m.bash(t, 0, `cd $repos && mkdir one && mkdir -p team/new/deep && mkdir -m 700 private && mkdir with-dash with.dot with__two 0
			ls -d one team/new/deep/_tags team/new/deep/_manifests/sha256 team/new/deep/_blobs/sha256 && ls -A one team team/new`)
		m.bash(t, 0, `cd $repos && find . -name _tags | wc -l && ls -lR . ../info`)
		for _, name := range []string{"one", "Upper", "a..b", "-a", "a_", "_x", "x y", "one/_x", "one/_tags", "one/_tags/x", "one/_blobs/sha1", "one/_manifests/sha512", "ä", ".hidden", "../info/x", "../blobs/x", "../x", "../blobs/sha256/ab"} {
			m.bash(t, 1, `cd $repos && mkdir "$name"`, "name="+name)
		}
		unchanged()
		m.bash(t, 1, `cd $repos && rmdir team`)
		m.bash(t, 0, `cd $repos && rmdir one private team/new/deep team/new team && ls -A .`)
		m.bash(t, 1, `rmdir $repos/none`)
		m.bash(t, 1, `rmdir info blobs raw repositories`)
		m.bash(t, 0, `mkdir -p raw/a/b raw/a/c && ls raw/a && rmdir raw/a/b raw/a/c raw/a && ls -A raw`)
		m.bash(t, 0, `cd $repos && mkdir other && touch other/_tags/v1 && ! rmdir other/_tags && rm other/_tags/v1 && rmdir other`)
		unchanged()
	}
}

// TestEmptyFiles shows what was begun and never written in this mount only.
func TestEmptyFiles(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	i := newImage("one", layer("a", 10))
	m.put(t, "app", i, "v1")
	unchanged := m.unchanged(t)
	m.bash(t, 0, `cd $repos/app && touch _tags/new _blobs/new _manifests/sha256/`+hexOf([]byte("x"))+` && : >_tags/other`)
	if got := m.out(t, `ls $repos/app/_tags && stat -c %s $repos/app/_tags/new`); got != "new\nother\nv1\n0" {
		t.Errorf("_tags = %q, want new, other, v1, and size 0", got)
	}
	unchanged()
	if !eventually(func() bool { return strings.Count(m.srv.s.refused.text(), "nothing was written") == 4 }) {
		t.Errorf(".registryfs/errors does not tell of 4 empty files:\n%s", m.srv.s.refused.text())
	}
	m.bash(t, 0, `cd $repos/app && rm _tags/new _tags/other _blobs/new _manifests/sha256/`+hexOf([]byte("x"))+` && ls _tags`)
	unchanged()
	// And what becomes of one that is written later.
	m.bash(t, 0, `cd $repos/app && touch _tags/new && touch -d 2001-02-03T04:05:06Z _tags/new && cp _tags/v1 _tags/new`)
	m.wantTag(t, "app", "new", i)
	m.bash(t, 0, `cd $repos/app && touch _tags/later && mv _tags/later _tags/latest && cat _tags/v1 >>_tags/latest && ! ls _tags/later`)
	m.wantTag(t, "app", "latest", i)
}
