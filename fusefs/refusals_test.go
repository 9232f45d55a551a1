package fusefs

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"registryfs/layout"
)

// TestRefusals puts in what cannot be taken: the program says so, errors says
// why, and the store is as it was.
func TestRefusals(t *testing.T) {
	t.Parallel()
	need(t, "rsync", "tar")
	one := newImage("one", layer("a", 10))
	absent := newImage("absent", layer("not stored", 10))
	children := newIndex(one, absent)
	schema1 := []byte(`{"schemaVersion":1,"name":"app","tag":"v1","architecture":"amd64","fsLayers":[],"history":[],"signatures":[]}`)
	artifact := []byte(`{"mediaType":"application/vnd.oci.artifact.manifest.v1+json","artifactType":"x","blobs":[]}`)
	// $file is the content. Every script writes over the tag v1, which is one,
	// or makes the name $name.
	type refusal struct {
		name    string
		content []byte
		says    string   // by the program
		reason  []string // in errors
		scripts []string
	}
	toTag := []string{`cp $file $tags/v1`, `cp $file $tags/new`, `rsync -a $file $tags/v1`, `rsync -a $file $tags/new`, `tee $tags/new <$file`, `dd if=$file of=$tags/v1`,
		`dd if=$file of=$tags/v1 conv=fsync`, `cat $file | tee $tags/v1`, `cp $file $manifests/x`, `install $file $tags/new`, `tar cC ${file%/*} file | tar xC $tags`,
		`t=$(mktemp -p $tags) && cat $file >$t && mv $t $tags/v1 || { rm $t; exit 1; }`}
	cases := []refusal{
		{"not JSON", []byte("no manifest\n"), "Invalid argument", []string{"not a manifest", "JSON"}, toTag},
		{"JSON of something else", []byte(`{"hello":"world"}`), "Invalid argument", []string{"not a manifest"}, toTag},
		{"half a manifest", one.manifest[:len(one.manifest)/2], "Invalid argument", []string{"not a manifest"}, toTag},
		{"two manifests", append(append([]byte{}, one.manifest...), one.manifest...), "Invalid argument", []string{"not a manifest"}, toTag},
		{"schema 1", schema1, "Invalid argument", []string{"not a manifest", "chema"}, toTag},
		{"artifact manifest", artifact, "Invalid argument", []string{"not a manifest", "artifact"}, toTag},
		{"missing layer", absent.manifest, "Invalid argument", []string{absent.blob(1).String(), "; "}, []string{`cp $file $tags/v1`, `cp $file $tags/new`, `rsync -a $file $tags/v1`, `tee $tags/new <$file`, `dd if=$file of=$tags/v1`}},
		{"missing child", children.manifest, "Invalid argument", []string{absent.digest().String(), "; "}, []string{`cp $file $tags/v1`, `rsync -a $file $tags/new`}},
		{"over-large manifest", bytes.Repeat([]byte(" "), layout.MaxManifestSize+1), "File too large", []string{"4 MiB"},
			[]string{`cp $file $tags/v1`, `cp $file $tags/new`, `rsync -a $file $tags/v1`, `dd if=$file of=$tags/v1 bs=1M`, `cp $file $manifests/sha256/$hex`, `tee $tags/new <$file >/dev/null`, `truncate -s 5M $tags/v1`}},
		// All but the last byte is a manifest, and is written before that one.
		{"manifest with one byte too many", append(one.manifest[:len(one.manifest):len(one.manifest)], bytes.Repeat([]byte(" "), layout.MaxManifestSize+1-len(one.manifest))...), "File too large", []string{"4 MiB"},
			[]string{`cp $file $tags/v1`, `cp $file $tags/new`, `rsync -a $file $tags/new`, `dd if=$file of=$tags/v1 bs=1M`, `cp $file $manifests/x`}},
		{"wrong digest", one.manifest, "Bad message", []string{"digest"}, []string{`cp $file $manifests/sha256/$zeros`, `cp $file $blobs/sha256/$zeros`, `rsync -a $file $blobs/sha256/$zeros`, `tee $blobs/sha256/$zeros <$file`,
			`dd if=$file of=$blobs/sha256/$zeros conv=fsync`, `cp $file raw/docker/registry/v2/blobs/sha256/00/$zeros/data`, `rsync -a --mkpath $file raw/docker/registry/v2/blobs/sha256/00/$zeros/data`, `cp $file $blobs/sha512/$zeros$zeros`}},
		{"other bytes for a blob that is there", []byte("other"), "Bad message", []string{"digest"}, []string{`cp $file $blobs/sha256/$layer`, `dd if=$file of=$blobs/sha256/$layer conv=notrunc`, `dd if=$file of=$blobs/sha256/$layer seek=2 bs=1 conv=notrunc`,
			`rsync -a $file $blobs/sha256/$layer`, `rsync -a --inplace $file $blobs/sha256/$layer`, `tee -a $blobs/sha256/$layer <$file`, `cp $file $manifests/sha256/$hex1`, `cp $file raw/` + blobFile(one.blob(1))}},
		{"no digest for a name", []byte("other"), "Invalid argument", []string{"digest"}, []string{`cp $file $blobs/sha256/layer.tgz`, `tee $manifests/sha256/x <$file`, `cp $file $blobs/sha256/${zeros}0`, `cp $file $blobs/sha256/${zeros/0/A}`}},
		{"sha512 manifest", one.manifest, "Invalid argument", []string{"sha256"}, []string{`mkdir $manifests/sha512`, `mkdir -p $manifests/sha512/x`}},
		{"illegal tag name", one.manifest, "Invalid argument", []string{"not a legal tag"}, []string{`cp $file "$tags/-x"`, `cp $file "$tags/a b"`, `tee $tags/a:b <$file`, `cp $file $tags/` + strings.Repeat("x", 129), `cp $file $tags/ä`, `ln $manifests/sha256/$hex1 $tags/a+b`}},
		{"illegal repository name", one.manifest, "Invalid argument", []string{"not a legal name"}, []string{`mkdir $repos/Upper`, `mkdir $repos/a__b--c..d`, `mkdir $repos/-x`, `mkdir $repos/` + strings.Repeat("x", 254) + `_`}},
		{"a file among the names", one.manifest, "Invalid argument", []string{"_tags"}, []string{`cp $file $repos/app/file`, `tee $repos/file <$file`}},
		{"a name in blobs", one.manifest, "Operation not permitted", []string{"whole store"}, []string{`cp $file blobs/sha256/$zeros`, `cp $file blobs/`, `mkdir blobs/sha256/00`}},
		{"a write into info", one.manifest, "Read-only file system", []string{"derived", "repositories/"}, []string{`cp $file info/app/_digests/x`, `mkdir info/x`, `tee info/app/_history/v1/x <$file`, `mkdir info/app/_uploads/x`}},
		{"a change of a history", one.manifest, "", []string{"info"}, []string{`rm info/app/_history/v1/*`, `mv info/app/_history/v1/* info/app/_history/v1/x`}},
		{"a write at the top", one.manifest, "Operation not permitted", []string{"part of the mount"}, []string{`cp $file README.txt`, `cp $file x`, `mkdir x`, `cp $file .registryfs/errors`}},
		{"a symbolic link", one.manifest, "Operation not permitted", []string{"symbolic link", "; "}, []string{`ln -s x $tags/new`, `ln -s x $repos/x`, `ln -s x raw/x`}},
		{"a link with a newline", []byte(one.digest().String() + "\n"), "Invalid argument", []string{"newline"}, []string{`cp $file raw/` + tagLink("app", "v1"), `mkdir -p raw/` + filepath.Dir(layerLink("x", one.digest())) + ` && cp $file raw/` + layerLink("x", one.digest()),
			`rsync -a $file raw/` + revisionLink("app", one.digest())}},
		{"a link to nothing known", []byte("md5:1234"), "Invalid argument", []string{"link"}, []string{`cp $file raw/` + tagLink("app", "v1")}},
		{"half a link", []byte(one.digest()[:40]), "Invalid argument", []string{"link"}, []string{`cp $file raw/` + tagLink("app", "v1"), `truncate -s 30 raw/` + tagLink("app", "v1")}},
		{"an illegal raw name", []byte("x"), "Invalid argument", []string{"legal name"}, []string{`cp $file "raw/a b"`, `mkdir raw/ä`, `cp $file raw/a:b`}},
	}
	for _, on := range []bool{true, false} {
		t.Run(fmt.Sprintf("deletes=%v", on), func(t *testing.T) {
			t.Parallel()
			m := newMount(t, deletes(on))
			m.put(t, "app", one, "v1")
			for _, c := range cases {
				if len(c.content) > 1<<20 && !on {
					continue // slow, and the same
				}
				t.Run(c.name, func(t *testing.T) {
					env := []string{
						"file=" + file(t, "file", c.content), "hex=" + hexOf(c.content), "hex1=" + one.hex(), "layer=" + hexOf(one.blobs[1]), "zeros=" + strings.Repeat("0", 64),
						"tags=" + m.path("repositories/app/_tags"), "blobs=" + m.path("repositories/app/_blobs"), "manifests=" + m.path("repositories/app/_manifests"),
					}
					if strings.Contains(c.name, "wrong digest") {
						m.bash(t, 0, `mkdir -p raw/docker/registry/v2/blobs/sha256/00/$zeros $blobs/sha512`, env...)
					}
					unchanged := m.unchanged(t)
					for _, script := range c.scripts {
						m.srv.s.refused.clear()
						r := m.bash(t, failure, "set -o pipefail; "+script, env...)
						// mv makes a sentence of its own of rename's EINVAL.
						if !strings.Contains(r.stderr, c.says) && !strings.Contains(r.stderr, "subdirectory of itself") {
							t.Errorf("%s says %q, want %q", script, r.stderr, c.says)
						}
						m.refusedWith(t, script, c.reason)
					}
					unchanged()
					if got, err := os.ReadFile(m.path("repositories/app/_tags/v1")); err != nil || !bytes.Equal(got, one.manifest) {
						t.Errorf("the old tag = %q, %v", got, err)
					}
					if got := m.out(t, `ls -A $repos/app/_tags $repos/app/_blobs/sha256 $repos/app/_manifests/sha256 | wc -l`); got != "9" {
						t.Errorf("after refusals: %s", m.out(t, `ls -lA $repos/app/_tags $repos/app/_blobs/sha256 $repos/app/_manifests/sha256`))
					}
				})
			}
		})
	}
}

// clear forgets the refusals.
func (r *refusals) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.newest, r.next = nil, 0
}

// refusedWith checks that a line of .registryfs/errors has all the words, and
// names a remedy.
func (m *mount) refusedWith(t *testing.T, script string, words []string) {
	t.Helper()
	errs := m.srv.s.refused.text()
lines:
	for line := range strings.SplitSeq(errs, "\n") {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue lines
			}
		}
		if !strings.Contains(line, "; ") {
			t.Errorf("%s: .registryfs/errors names no remedy: %s", script, line)
		}
		return
	}
	t.Errorf("%s: .registryfs/errors does not say %q:\n%s", script, words, errs)
}

// TestRefusedReplacement unlinks a tag before what was to replace it is
// refused: the tag is put back, with its history.
func TestRefusedReplacement(t *testing.T) {
	t.Parallel()
	need(t, "tar")
	one, two := newImage("one", layer("a", 10)), newImage("two", layer("a", 10))
	for _, c := range []struct {
		name, script string
		exit         int
	}{
		{"install", `install $local/v1 $tags/v1`, 1},
		{"mv", `mv $local/v1 $tags/v1`, 1},
		{"mv of many", `cp $local/v1 $local/v2 && mv $local/v1 $local/v2 $tags/`, 1},
		{"tar x", `tar cC $local v1 | tar xC $tags`, 2},
		{"cp --remove-destination", `cp --remove-destination $local/v1 $tags/v1`, 1},
		{"rm and cp", `rm $tags/v1 && cp $local/v1 $tags/v1`, 1},
		{"rm and dd", `rm $tags/v1 && dd if=$local/v1 of=$tags/v1`, 1},
		{"rm and mktemp", `rm $tags/v1 && t=$(mktemp -p $tags) && cp $local/v1 $t && mv $t $tags/v1 || { rm $t; false; }`, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := newMount(t, withDeletes)
			m.put(t, "app", one, "v1", "v2")
			m.put(t, "app", two, "v1", "v2")
			stored := tree
			if onS3 {
				stored = files // what is put back there is new
			}
			before := stored(t, m.store)
			local := t.TempDir()
			if err := os.WriteFile(filepath.Join(local, "v1"), []byte("no manifest"), 0o644); err != nil {
				t.Fatal(err)
			}
			m.bash(t, c.exit, c.script, "local="+local, "tags="+m.path("repositories/app/_tags"))
			sameTree(t, onlyFiles(before), onlyFiles(stored(t, m.store)))
			m.wantTag(t, "app", "v1", two)
			m.wantTag(t, "app", "v2", two)
			if got := m.out(t, `cat $repos/app/_tags/v1 | sha256sum | cut -c -64; ls info/app/_history/v1 | wc -l; cat info/app/_digests/v1 | sha256sum | cut -c -64`); got != two.hex()+"\n2\n"+two.hex() {
				t.Errorf("the tag after all = %q, want %s and 2 entries of history", got, two.hex())
			}
			if strings.HasPrefix(c.name, "mv") {
				if _, err := os.Stat(filepath.Join(local, "v1")); err != nil {
					t.Errorf("mv has lost its source: %v", err)
				}
			}
		})
	}
}

// onlyFiles is a tree without directories, but with their times: a tag
// that is put back is as old as it was.
func onlyFiles(tree map[string]string) map[string]string {
	out := map[string]string{}
	for path, what := range tree {
		if !strings.HasSuffix(path, "/") {
			out[path] = what
		}
	}
	return out
}

// TestFullDisk writes to a store that has no room left.
func TestFullDisk(t *testing.T) {
	localOnly(t, "a bucket has no end")
	needRoot(t)
	need(t, "rsync")
	needFUSE(t)
	store := t.TempDir()
	if err := unix.Mount("tmpfs", store, "tmpfs", 0, "size=4m"); err != nil {
		missing(t, fmt.Sprintf("cannot mount a tmpfs: %v", err))
	}
	t.Cleanup(func() {
		if err := unix.Unmount(store, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	m := newMount(t, over(store))
	one := newImage("one", layer("a", 10))
	m.put(t, "app", one, "v1")
	big := file(t, "big", layer("big", 8<<20))
	two := newImage("two is longer", layer("a", 10)) // rsync goes by size and time
	for _, b := range two.blobs {
		m.putBlob(t, "app", b)
	}
	unchanged := m.unchanged(t)
	for _, script := range []string{
		`cp $big $repos/app/_blobs/sha256/$hex`, `cp $big $repos/app/_blobs/`, `rsync -a $big $repos/app/_blobs/sha256/$hex`, `dd if=$big of=$repos/app/_blobs/sha256/$hex bs=64k conv=fsync`,
		`mkdir -p raw/` + filepath.Dir(blobFile(digest.FromBytes(layer("big", 8<<20)))) + `&& cp $big raw/` + blobFile(digest.FromBytes(layer("big", 8<<20))),
		`cp $big raw/stray`,
	} {
		if r := m.bash(t, failure, script, "big="+big, "hex="+hexOf(layer("big", 8<<20))); !strings.Contains(r.stderr, "No space left") {
			t.Errorf("%s says %q, want no space left", script, r.stderr)
		}
		m.refusedWith(t, script, []string{"no space left"})
	}
	unchanged()

	// Not even room for a manifest.
	filler := filepath.Join(store, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	for piece := make([]byte, 4096); err == nil; {
		_, err = f.Write(piece)
	}
	f.Close()
	unchanged = m.unchanged(t)
	local := file(t, "two.json", two.manifest)
	for _, script := range []string{`cp $local $repos/app/_tags/v1`, `cp $local $repos/app/_tags/v2`, `rsync -a $local $repos/app/_tags/v1`, `dd if=$local of=$repos/app/_tags/v1 conv=fsync`} {
		if r := m.bash(t, failure, script, "local="+local); !strings.Contains(r.stderr, "No space left") {
			t.Errorf("%s says %q, want no space left", script, r.stderr)
		}
	}
	unchanged()
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	m.bash(t, 0, `cp $local $repos/app/_tags/v1`, "local="+local)
	m.wantTag(t, "app", "v1", two)
}

// TestCrossing renames across repositories and kinds, which programs then copy.
func TestCrossing(t *testing.T) {
	t.Parallel()
	m := newMount(t, withDeletes)
	one := newImage("one", layer("a", 10))
	m.put(t, "app", one, "v1")
	m.put(t, "other", newImage("two"), "v2")
	unchanged := m.unchanged(t)
	for _, script := range []string{
		`rename $repos/app/_tags/v1 $repos/other/_tags/v1`,
		`rename $repos/app/_manifests/sha256/$hex $repos/app/_tags/v2`,
		`rename $repos/app/_manifests/sha256/$hex $repos/other/_manifests/sha256/$hex`,
		`rename $repos/app $repos/third`,
		`rename $repos/app/_tags $repos/other/_tags`,
		`rename blobs/sha256/${hex:0:2} blobs/sha256/00`,
		`rename README.txt x`,
		`rename info/app/_digests/v1 info/app/_digests/v2`,
	} {
		r := m.bash(t, failure, `rename() { env `+childEnv+`=rename $self "$@"; }; `+script, "self="+self(t), "hex="+one.hex())
		if !strings.Contains(r.stderr, "cross-device") && !strings.Contains(r.stderr, "permitted") {
			t.Errorf("%s says %q, want cross-device link", script, r.stderr)
		}
	}
	unchanged()
}

// TestEachRefusalHasARemedy, whatever kind of error it comes from.
func TestEachRefusalHasARemedy(t *testing.T) {
	errs := []error{errors.New("the store is away")}
	for _, row := range slices.Concat(errnos, kinds) {
		errs = append(errs, row.err)
	}
	for _, errno := range passed {
		errs = append(errs, errno)
	}
	for _, err := range errs {
		var log bytes.Buffer
		r := refusals{log: slog.New(slog.NewTextHandler(&log, nil))}
		errno := r.note("read", "/raw/x", fmt.Errorf("wrapped: %w", err))
		if quiet(errno) {
			continue
		}
		if text := log.String(); !strings.Contains(text, "op=read path=/raw/x answer=") || strings.Contains(text, `remedy=""`) {
			t.Errorf("%v is logged as %q, want operation, path, answer, reason and remedy", err, text)
		}
		if !strings.Contains(r.text(), "; ") {
			t.Errorf("%v is shown as %q, want a remedy", err, r.text())
		}
	}
}
