package fusefs

import (
	"os"
	"testing"
	"time"

	"registryfs/layout"
	"registryfs/layout/check"
)

// TestLost shows what a check has found, and removes what is still so.
func TestLost(t *testing.T) {
	t.Parallel()
	m := newMount(t, withDeletes)
	tagged, old, kept := newImage("tagged", layer("a", 10)), newImage("old", layer("b", 10)), newImage("kept", layer("c", 10))
	m.put(t, "team/app", tagged, "v1")
	m.put(t, "team/app", old)
	m.put(t, "team/app", kept)
	m.put(t, "team/app", newImage("gone"), "gone")
	p := m.reg.Repository("team/app")
	remove := func(path layout.RawPath) {
		t.Helper()
		if err := m.driver.Delete(t.Context(), string(path)); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.reg.Blobs().Delete(t.Context(), newImage("gone").digest()); err != nil {
		t.Fatal(err)
	}
	free, again, bad := layer("free", 10), layer("again", 10), tagged.blob(1)
	for _, b := range [][]byte{free, again} {
		remove(p.LayerLink(m.putBlob(t, "team/app", b)))
	}
	if err := m.driver.PutContent(t.Context(), string(layout.RawBlob(bad)), []byte("bad")); err != nil {
		t.Fatal(err)
	}
	m.bash(t, 0, `test "$(ls lost | tr '\n' ' ')" = "corrupt dangling unreferenced untagged " && test -z "$(ls lost/*/* 2>/dev/null)" && grep lost/ README.txt`)
	run := func() {
		t.Helper()
		if _, err := check.Run(t.Context(), m.reg, check.Options{Data: true}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1100 * time.Millisecond) // Options.TagTTL
	}
	blob := func(hex string) string { return "sha256+" + hex[:2] + "+" + hex }
	env := []string{
		"old=team+app+_manifests+sha256+" + old.hex(), "kept=team+app+_manifests+sha256+" + kept.hex(), "hex=" + kept.hex(),
		"gone=team+app+_tags+gone", "free=" + blob(hexOf(free)), "again=" + blob(hexOf(again)), "bad=" + blob(bad.Encoded()),
		"data=" + file(t, "again", again), "sound=" + file(t, "sound", tagged.blobs[1]), "sum=" + bad.Encoded(),
	}

	// The manifest that is gone makes it unknown what its tag leads to.
	run()
	m.bash(t, 0, `ls lost/dangling/$gone && test -z "$(ls lost/untagged)" && test $(cat lost/dangling/$gone) = sha256:$want`, append(env, "want="+newImage("gone").hex())...)
	m.bash(t, 0, `rm lost/dangling/* && test -z "$(ls lost/dangling)" && test ! -e repositories/team/app/_tags/gone && test -z "$(ls -l repositories/team/app/_manifests/sha256 | grep $want)"`, append(env, "want="+newImage("gone").hex())...)

	run()
	m.bash(t, 0, `test "$(ls lost/untagged | wc -l)" = 2 && ls -l lost/*/ && cmp lost/untagged/$old repositories/$(echo $old | tr + /) && cmp lost/unreferenced/$free blobs/$(echo $free | tr + /)`, env...)
	m.bash(t, 0, `test "$(cat lost/corrupt/$bad)" = bad && test $(stat -c %s lost/corrupt/$bad) = 3`, env...)
	m.bash(t, failure, `touch lost/corrupt/x || mkdir lost/x || mkdir lost/corrupt/x || echo x >lost/corrupt/$bad`, env...)
	m.errorsSay(t, "takes no new names")

	// What has changed since is kept.
	m.bash(t, 0, `ls -l lost/untagged/$kept && cp lost/untagged/$kept repositories/team/app/_tags/kept`, env...)
	m.bash(t, failure, `rm -f lost/untagged/$kept`, env...)
	m.errorsSay(t, "a tag leads to it")
	m.putBlob(t, "other", again)
	m.bash(t, failure, `rm -f lost/unreferenced/$again`, env...)
	m.errorsSay(t, "repository other has it")
	m.bash(t, 0, `sleep 0.1; test ! -e lost/untagged/$kept && test ! -e lost/unreferenced/$again && ls repositories/team/app/_manifests/sha256/$hex && cmp $data blobs/$(echo $again | tr + /)`, env...)

	m.bash(t, 0, `rm lost/untagged/* lost/unreferenced/$free lost/corrupt/* && test -z "$(ls lost/untagged lost/corrupt | grep +)"`, env...)
	m.bash(t, 0, `! cat repositories/$(echo $old | tr + /) && ! cat blobs/$(echo $free | tr + /) && cp $sound repositories/team/app/_blobs/sha256/$sum && cmp $sound repositories/team/app/_blobs/sha256/$sum`, env...)
	m.wantImage(t, "team/app", tagged)
}

// TestLostRefused: without deletes nothing of it goes.
func TestLostRefused(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	m.put(t, "app", newImage("old"))
	if _, err := check.Run(t.Context(), m.reg, check.Options{}); err != nil {
		t.Fatal(err)
	}
	m.bash(t, failure, `rm -f lost/untagged/*`)
	m.errorsSay(t, "deletes are off")
	if _, err := os.Stat(m.path("repositories/app/_manifests/sha256/" + newImage("old").hex())); err != nil {
		t.Error(err)
	}
}

// TestLostCost: a listing is one of the record, however many entries there are.
func TestLostCost(t *testing.T) {
	t.Parallel()
	m, c := newRemote(t, 1, 1)
	for i := range 30 {
		m.put(t, "app-00", newImage(string(rune('a'+i))))
	}
	if _, err := check.Run(t.Context(), m.reg, check.Options{}); err != nil {
		t.Fatal(err)
	}
	c.Reset()
	if got := m.out(t, `ls lost/untagged | wc -l`); got != "30" {
		t.Fatalf("lost/untagged has %s entries, want 30", got)
	}
	calls := 0
	for _, n := range c.Counts() {
		calls += n
	}
	if calls > 2 {
		t.Errorf("the listing took %v, want one listing and one read", c.Counts())
	}
}
