package fusefs

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"registryfs/drivers/drivertest"
	"registryfs/drivers/filesystem"
	"registryfs/layout"
)

// newArtifact makes an artifact that has subject as its subject.
func newArtifact(name string, subject image) image {
	i := newImage(name)
	var m v1.Manifest
	if err := json.Unmarshal(i.manifest, &m); err != nil {
		panic(err)
	}
	desc := subject.descriptor()
	m.ArtifactType, m.Subject = "application/x-"+name, &desc
	m.Config.MediaType = v1.MediaTypeEmptyJSON
	i.manifest = marshal(m)
	return i
}

// TestDescriptors shows each tag as a JSON file.
func TestDescriptors(t *testing.T) {
	t.Parallel()
	need(t, "jq")
	m := newMount(t)
	i, other := newImage("one <&>", layer("a", 1000)), newImage("two", layer("b", 10))
	index := newIndex(newImage("amd64", layer("a", 1000)), newImage("arm64", layer("a", 1000)))
	m.put(t, "team/app", i, "v1")
	m.put(t, "team/app", index, "multi")
	m.put(t, "team/app", newArtifact("sbom", i), "sbom")
	m.put(t, "team/app", i, "_history") // a legal name of a tag
	dir := "info/team/app/_descriptors"
	total := len(index.manifest) + 1000
	for _, c := range index.children {
		total += len(c.manifest) + len(c.blobs[0])
	}
	for _, c := range []struct{ tag, query, want string }{
		{"v1", `keys_unsorted | join(" ")`, "tag digest mediaType platforms tagged size totalSize annotations"},
		{"v1", `.tag, .digest`, "v1\n" + string(i.digest())},
		{"v1", `.mediaType, .platforms[]`, v1.MediaTypeImageManifest + "\nlinux/amd64"},
		{"v1", `.size, .totalSize`, fmt.Sprintf("%d\n%d", len(i.manifest), len(i.manifest)+len(i.blobs[0])+1000)},
		{"v1", `.annotations["` + v1.AnnotationTitle + `"]`, "one <&>"},
		{"v1", `now - (.tagged | fromdate) | . >= 0 and . < 600`, "true"},
		{"multi", `.platforms | join(" ")`, "linux/amd64 linux/arm64"},
		{"multi", `.totalSize, .annotations`, fmt.Sprintf("%d\n{}", total)},
		{"sbom", `.artifactType, .subject, .platforms`, "application/x-sbom\n" + string(i.digest()) + "\n[]"},
	} {
		if got := m.out(t, `jq -rc "$query" $file`, "query="+c.query, "file="+dir+"/"+c.tag); got != c.want {
			t.Errorf("jq %q of %s = %q, want %q", c.query, c.tag, got, c.want)
		}
	}
	if got := m.out(t, `jq -r .tag $dir/*`, "dir="+dir); got != "multi\nsbom\nv1" {
		t.Errorf("the tags are %q", got)
	}
	m.bash(t, 0, `for f in $dir/*; do test $(stat -c %s $f) = $(wc -c <$f) && test "$(tail -c 1 $f | od -An -tx1)" = ' 0a' || exit; done`, "dir="+dir)
	m.bash(t, failure, `echo >$dir/v1`, "dir="+dir)
	m.errorsSay(t, "derived")
	m.bash(t, failure, `rm $dir/v1 || cat $dir/none || cat $dir/_history || ls info/team/app/_digests/_history || ls info/team/app/_history/_history`, "dir="+dir)
	m.bash(t, 0, `cat repositories/team/app/_tags/_history && ! ls info/team/app/_digests $dir | grep _history`, "dir="+dir)

	// A change made here is seen at once.
	m.put(t, "team/app", other)
	m.bash(t, 0, `ls -l $dir/v1 && ! cat $dir/v9 && cp repositories/team/app/_manifests/sha256/$hex repositories/team/app/_tags/v1 && cp repositories/team/app/_tags/v1 repositories/team/app/_tags/v9 && grep -q $hex $dir/v1 && test $(stat -c %s $dir/v1) = $(wc -c <$dir/v1)`,
		"dir="+dir, "hex="+other.hex())
	m.bash(t, 0, `ls $dir | grep v9 && grep -q $hex $dir/v9`, "dir="+dir, "hex="+other.hex())
}

// TestDescriptorOfDamage: what is known of a manifest is not shown while the store
// has another, and is again when that is repaired.
func TestDescriptorOfDamage(t *testing.T) {
	t.Parallel()
	if onS3 {
		t.Skip("what was read by its digest is not asked of a store over a network again")
	}
	m := newMount(t)
	i := newImage("one", layer("a", 10))
	m.put(t, "app", i, "v1")
	file := filepath.Join(m.store, blobFile(i.digest()))
	read := func() string { return m.out(t, `cat info/app/_descriptors/v1 2>&1 || true`) }
	sound := read()
	for _, c := range []struct{ name, content, want string }{
		{"cut short", string(i.manifest[:50]), "Input/output error"},
		{"repaired", string(i.manifest), sound},
		{"empty", "", "Input/output error"},
		{"repaired again", string(i.manifest), sound},
	} {
		if err := os.WriteFile(file, []byte(c.content), 0o644); err != nil {
			t.Fatal(err)
		}
		if !eventually(func() bool { return strings.Contains(read(), c.want) }) {
			t.Errorf("%s: the descriptor is %q, want %q", c.name, read(), c.want)
		}
		m.bash(t, 0, `test $(stat -c %s info/app/_descriptors/v1) = $(cat info/app/_descriptors/v1 2>/dev/null | wc -c)`)
	}
}

// TestReferrers shows what refers to a manifest, by all the ways there are.
func TestReferrers(t *testing.T) {
	t.Parallel()
	m := newMount(t, withDeletes)
	i, other := newImage("one", layer("a", 10)), newImage("other", layer("b", 10))
	sbom, sig, late := newArtifact("sbom", i), newImage("sig"), newArtifact("late", i)
	m.put(t, "team/app", i, "v1")
	m.put(t, "team/app", other, "v2")
	m.put(t, "team/app", newIndex(sbom), "sha256-"+i.hex()) // puts the child as well
	m.put(t, "team/app", sig, "sha256-"+other.hex()+".sig")
	m.put(t, "plain", i, "v1")
	dir := "info/team/app/_referrers"
	env := []string{"dir=" + dir, "hex=" + i.hex(), "other=" + other.hex(), "sbom=" + sbom.hex(), "sig=" + sig.hex(), "late=" + late.hex()}
	for _, c := range []struct{ name, script, want string }{
		{"listing", `ls $dir; ls $dir/sha256/$hex; ls $dir/sha256/$other`, "sha256\n" + sbom.hex() + "\n" + sig.hex()},
		{"subjects", `ls $dir/sha256 | sort | tr '\n' ' '`, strings.Join([]string{min(i.hex(), other.hex()), max(i.hex(), other.hex())}, " ") + " "},
		{"link", `readlink $dir/sha256/$hex/$sbom`, "../../../../../../repositories/team/app/_manifests/sha256/" + sbom.hex()},
		{"content", `sha256sum <$dir/sha256/$hex/$sbom | cut -c -64; sha256sum <$dir/sha256/$other/$sig | cut -c -64`, sbom.hex() + "\n" + sig.hex()},
		{"sizes", `find $dir -type l -printf '%s\n' | sort -u`, fmt.Sprint(len("../../../../../../repositories/team/app/_manifests/sha256/") + 64)},
		{"dangling", `find -L $dir -type l`, ""},
		{"none", `ls info/plain/_referrers/sha256; ! ls $dir/sha256/$sbom $dir/sha256/x $dir/sha512 $dir/sha256/$hex/$sig`, ""},
	} {
		if got := m.out(t, c.script, env...); got != strings.TrimSpace(c.want) && got != c.want {
			t.Errorf("%s: %s = %q, want %q", c.name, c.script, got, c.want)
		}
	}
	m.bash(t, failure, `rm $dir/sha256/$hex/$sbom || mkdir $dir/x || ln -s x $dir/sha256/$hex/x`, env...)

	// What is written here is seen at once, by its name too.
	local := "local=" + file(t, "late.json", late.manifest)
	m.putBlob(t, "team/app", late.blobs[0])
	m.bash(t, 0, `! readlink $dir/sha256/$hex/$late && cp $local repositories/team/app/_manifests/sha256/$late && readlink $dir/sha256/$hex/$late && ls $dir/sha256/$hex | grep $late`, append(env, local)...)
	m.bash(t, 0, `rm repositories/team/app/_manifests/sha256/$late && ! readlink $dir/sha256/$hex/$late && ! ls $dir/sha256/$hex | grep $late`, env...)
	m.bash(t, 0, `! ls $dir/sha256/$sbom && cp $local repositories/team/app/_tags/sha256-$sbom.att && ls $dir/sha256/$sbom | grep $late && rm repositories/team/app/_tags/sha256-$sbom.att && ! ls $dir/sha256/$sbom`, append(env, local)...)
	m.putBlob(t, "plain", late.blobs[0])
	m.bash(t, 0, `cp $local repositories/plain/_tags/late && ls info/plain/_referrers/sha256/$hex | grep $late`, append(env, local)...)

	// What others write and remove is seen in time.
	of := newArtifact("other", other)
	m.put(t, "team/app", of)
	if !eventually(func() bool {
		return m.out(t, `ls $dir/sha256/$other | wc -l`, env...) == "2"
	}) {
		t.Error("a referrer that others have put is not seen")
	}
	if err := m.reg.Repository("team/app").Manifests().Unlink(t.Context(), of.digest()); err != nil {
		t.Fatal(err)
	}
	if !eventually(func() bool {
		return m.out(t, `ls $dir/sha256/$other`, env...) == sig.hex()
	}) {
		t.Error("a referrer that others have removed is still seen")
	}
}

// TestViewsCost counts what the views of info/ ask of the driver: names are for
// nothing, and a manifest is read once.
func TestViewsCost(t *testing.T) {
	t.Parallel()
	const n = 40
	m, c := newRemote(t, 2, n)
	walked := time.Now() // the last script began that took a listing
	for _, test := range []struct {
		script string
		most   int
		pause  time.Duration // before it: what was read is too old for names then, and the walk goes on
	}{
		{"echo info/*/*/_digests; ls info/*/*/_history || true", 6, 0},
		{"ls info/app-01/_descriptors; echo info/app-01/_descriptors/*", 3, 0},
		{"ls info/app-01/_referrers", 0, 0},
		{"ls info/app-01/_referrers/sha256", n/2 + 4, 0},
		{"ls info/app-01/_referrers/sha256", 2, 1100 * time.Millisecond},
		{"ls -l info/app-01/_referrers/sha256", 2, 1100 * time.Millisecond},
		{"cat info/app-01/_descriptors/* >/dev/null", 2*n + 10, 0},                            // links and configs; the manifests were read
		{"ls -l info/app-01/_descriptors >/dev/null; jq . info/app-01/_descriptors/*", 10, 0}, // the links
	} {
		time.Sleep(test.pause)
		c.Reset()
		began := time.Now()
		m.bash(t, 0, test.script)
		if test.pause > 0 && time.Since(walked) > 2*time.Second {
			test.most++ // the machine was so slow that the walk has ended: the repository is looked up
		}
		if c.Count("List")+c.Count("Walk") > 0 {
			walked = began
		}
		time.Sleep(20 * time.Millisecond) // for what is still being read ahead
		calls := 0
		for _, count := range c.Counts() {
			calls += count
		}
		t.Logf("%s: %v", test.script, c.Counts())
		if calls > test.most {
			t.Errorf("%s took %d requests, %v, want at most %d", test.script, calls, c.Counts(), test.most)
		}
	}
}

// TestReferrersCostLocal: a listing of a repository without any referrers reads
// each of its manifests once.
func TestReferrersCostLocal(t *testing.T) {
	t.Parallel()
	const n = 30
	d := drivertest.NewCounting(filesystem.New(filesystem.Parameters{RootDirectory: t.TempDir()}))
	seed := &mount{reg: layout.New(d, layout.Options{SpoolDir: t.TempDir()})}
	for i := range n {
		seed.put(t, "app", newImage(fmt.Sprint(i)), fmt.Sprint("v", i))
	}
	m := newMount(t, func(c *mountConfig) { c.driver = d })
	d.Reset()
	m.bash(t, 0, `ls info/app/_referrers/sha256`)
	if got := d.Count("GetContent"); got != n {
		t.Errorf("the first listing took %v, want %d manifests read", d.Counts(), n)
	}
	d.Reset()
	m.bash(t, 0, `sleep 1.1; ls info/app/_referrers/sha256`)
	if d.Count("GetContent") > 0 || d.Count("List") != 2 {
		t.Errorf("the second listing took %v, want two listings", d.Counts())
	}
}
