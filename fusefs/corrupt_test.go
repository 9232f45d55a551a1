package fusefs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// corrupt plants what crashes, other programs and old releases leave behind.
func (m *mount) corrupt(t *testing.T, good image) {
	t.Helper()
	m.put(t, "app", good, "good")
	absent := digest.FromString("not stored")
	empty, large := digest.FromString("an empty blob"), digest.FromString("a large manifest")
	schema1 := []byte(`{"schemaVersion":1,"name":"app","tag":"v1","fsLayers":[],"history":[],"signatures":[]}`)
	sparse := newIndex(good, newImage("absent child")).manifest
	plant := func(path string, content []byte) { m.plant(t, path, content) }
	for name, link := range map[string]string{
		"empty-link":   "",
		"newline-link": good.digest().String() + "\n",
		"other-link":   good.digest().String(),
		"short-link":   good.digest().String()[:40],
		"absent-link":  absent.String(),
		"binary-link":  "\x00\xff\x00",
		"long-link":    strings.Repeat("x", 100_000),
		"sha512-link":  digest.SHA512.FromString("x").String(),
		"md5-link":     "md5:d41d8cd98f00b204e9800998ecf8427e",
	} {
		plant(tagLink("app", name), []byte(link))
		plant(tagIndexLink("app", name, absent), []byte(link))
		plant(revisionLink("app/"+name, absent), []byte(link))
		plant(layerLink("app/"+name, absent), []byte(link))
	}
	for name, m := range map[string]struct {
		digest  digest.Digest
		content []byte
	}{
		"empty-blob": {empty, nil},
		"large":      {large, make([]byte, layout.MaxManifestSize+1)},
		"schema1":    {digest.FromBytes(schema1), schema1},
		"sparse":     {digest.FromBytes(sparse), sparse},
	} {
		plant(blobFile(m.digest), m.content)
		plant(tagLink("app", name), []byte(m.digest))
		plant(revisionLink("app", m.digest), []byte(m.digest))
	}
	plant(repoDir("app")+"/_manifests/tags/stray", []byte("a file among the tags"))
	plant(repoDir("app")+"/_manifests/tags/no-current/index/sha256/"+absent.Encoded()+"/link", []byte(absent))
	plant(repoDir("app")+"/_manifests/tags/-illegal name/current/link", []byte(absent))
	plant(repoDir("app")+"/_manifests/revisions/sha256/nothex/link", []byte(absent))
	plant(repoDir("app")+"/_manifests/revisions/md5/d41d8cd98f00b204e9800998ecf8427e/link", []byte(absent))
	plant(repoDir("app")+"/_manifests/tags/good/current/link.0197f7d2-3c1b-7a54-9c9f-2d6f0a3b1c5e.tmp", []byte("half"))
	plant(repoDir("app")+"/_uploads/no-startedat/data", []byte("data"))
	plant(repoDir("app")+"/_uploads/no-data/startedat", []byte("not a time"))
	plant(repoDir("app")+"/_uploads/file", nil)
	plant(repoDir("app")+"/_unknown/x", []byte("kept"))
	plant(repoDir("app")+"/stray", []byte("a file in a repository"))
	plant(repoDir("Upper/case")+"/_manifests/tags/x/current/link", []byte(good.digest()))
	plant(repoDir("no-manifests")+"/_layers/sha256/"+absent.Encoded()+"/link", []byte(absent))
	plant(repoDir("only-uploads")+"/_uploads/x/startedat", []byte("2026-01-01T00:00:00Z"))
	plant(v2+"/blobs/md5/d4/d41d8cd98f00b204e9800998ecf8427e/data", nil)
	plant(v2+"/blobs/sha256/zz/stray", []byte("x"))
	plant(v2+"/blobs/sha256/00/"+absent.Encoded()+"/data", []byte("in the wrong shard"))
	plant(v2+"/blobs/sha256/stray", []byte("x"))
	plant("a name no store has: ä\n", []byte("x"))
	plant("repositories", []byte("a file"))
	if onS3 {
		return // which has neither symlinks nor empty directories
	}
	if err := os.Symlink("/nonexistent", filepath.Join(m.store, v2, "dangling")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(m.store, repoDir("empty/directory")), 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestCorruptStore walks a store full of damage: every listing succeeds, what is
// sound can be read, and what is not says why.
func TestCorruptStore(t *testing.T) {
	t.Parallel()
	need(t, "rsync")
	m := newMount(t, withDeletes)
	good := newImage("good", layer("a", 10))
	m.corrupt(t, good)
	for _, script := range []string{`ls -lR .`, `find . -ls`, `find . -printf '%p %s %i\n'`, `du -a .`, `ls -lRU repositories info blobs`} {
		if r := m.bash(t, 0, script); r.stderr != "" {
			t.Errorf("%s says %s", script, r.stderr)
		}
	}
	tags := strings.Fields(m.out(t, `ls repositories/app/_tags`))
	want := strings.Fields("absent-link binary-link empty-blob empty-link good large long-link md5-link newline-link other-link schema1 sha512-link short-link sparse")
	if strings.Join(tags, " ") != strings.Join(want, " ") {
		t.Errorf("_tags = %q, want %q", tags, want)
	}
	if got := m.out(t, `cd repositories/app && for t in good other-link schema1 sparse large empty-blob; do cat _tags/$t || exit; done | wc -c; cmp _tags/good _tags/other-link`); got == "" {
		t.Error("the sound tags cannot be read")
	}
	for _, tag := range []string{"absent-link", "binary-link", "empty-link", "long-link", "md5-link", "newline-link", "short-link", "sha512-link"} {
		r := m.bash(t, 1, `stat -c %s repositories/app/_tags/$tag && cat repositories/app/_tags/$tag`, "tag="+tag)
		if r.stdout != "0\n" || !strings.Contains(r.stderr, "Input/output error") {
			t.Errorf("cat of %s says %q, size %q, want size 0 and an I/O error", tag, r.stderr, r.stdout)
		}
		m.refused(t, "_tags/"+tag, "damaged")
		// It is browsable: as a symlink, as history, and by rm.
		m.bash(t, 0, `ls -l info/app/_digests/$tag info/app/_history/$tag`, "tag="+tag)
	}
	// An upload of which nothing has come yet is an empty file.
	if got := m.out(t, `wc -c <info/app/_uploads/no-data; wc -c <info/app/_uploads/no-startedat`); got != "0\n4" {
		t.Errorf("the uploads have %q bytes", got)
	}
	// The raw tree is all there and can be backed up.
	backup := t.TempDir()
	second := `rsync -ai raw/ $backup/ | wc -l | grep -x 0`
	if onS3 {
		// The cache finds a blob that is not what it is named after, and it is not
		// served on. All else is there.
		m.bash(t, 23, `rsync -a raw/ $backup/`, "backup="+backup)
		damaged := blobFile(digest.FromString("a large manifest"))
		m.refused(t, damaged, "damaged")
		second = `rsync -ai raw/ $backup/ 2>&1 | grep -v ` + filepath.Base(filepath.Dir(damaged)) + ` | grep -c '^>' | grep -x 0`
	} else {
		m.bash(t, 0, `rsync -a raw/ $backup/`, "backup="+backup)
	}
	m.bash(t, 0, second+` && test -e $backup/docker/registry/v2/repositories/app/_unknown/x && test -e $backup/docker/registry/v2/blobs/md5/d4/d41d8cd98f00b204e9800998ecf8427e/data`, "backup="+backup)
	// What is damaged can be replaced, and removed.
	m.bash(t, 0, `cd repositories/app/_tags && cp good newline-link && cp good absent-link && rm empty-link long-link && ls`)
	m.wantTag(t, "app", "newline-link", good)
	m.wantTag(t, "app", "absent-link", good)
	m.wantNoTag(t, "app", "empty-link")
	if onS3 {
		return
	}
	// Reading a blob whose bytes are others gives them, as the registry does.
	m.bash(t, 0, `cat repositories/app/_tags/large | wc -c | grep -x `+"4194305")
}
