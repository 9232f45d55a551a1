package gc

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
	"registryfs/layout"
)

var live = Options{MinAge: day}

// TestLater notes what is unreferenced, waits, and sweeps it.
func TestLater(t *testing.T) {
	s := newScene(t)
	kept := s.push("app", "latest", "kept")
	lone := s.layer("app", "alone")
	other := s.blob("without a link")

	if r := s.run(live); r.Noted.Files != 0 || r.Unreferenced.Files != 2 || !s.has(linkPath("app", "_layers", lone)) {
		t.Errorf("what is young was noted: %s", describe(r))
	}
	s.later(2 * day)
	before := len(s.files(root))
	if r := s.run(Options{MinAge: day, DryRun: true}); r.Noted.Files != 2 || r.Swept.Files != 0 || len(s.files("/")) != before {
		t.Errorf("dry run: %s", describe(r))
	}
	r := s.run(live)
	s.wantClean(r)
	if r.Noted.Files != 2 || r.Swept.Files != 0 || r.Links != 1 {
		t.Errorf("first run: %s", describe(r))
	}
	if s.has(linkPath("app", "_layers", lone)) {
		t.Error("the link of what was noted is still there")
	}
	s.later(time.Hour)
	if r = s.run(live); r.Waiting.Files != 2 || r.Noted.Files != 0 || r.Swept.Files != 0 {
		t.Errorf("too early: %s", describe(r))
	}
	s.wantBlobs(kept.all(), []digest.Digest{lone, other})
	s.later(day)
	if r = s.run(Options{MinAge: day, DryRun: true}); r.Swept.Files != 2 {
		t.Errorf("dry run before the sweep: %s", describe(r))
	}
	for _, dry := range []bool{true, false} {
		if r = s.run(Options{MinAge: day, OnlyNote: errors.New("the cache"), DryRun: dry}); r.Swept.Files != 0 || len(r.Held) != 1 {
			t.Errorf("with a cache, dry run %v: %s", dry, describe(r))
		}
	}
	r = s.run(live)
	s.wantClean(r)
	if r.Swept.Files != 2 || r.Swept.Bytes != int64(len("alone")+len("without a link")) {
		t.Errorf("second run: %s", describe(r))
	}
	s.wantBlobs(kept.all())
	s.wantPulled("app", kept)
	if left := s.files("/registryfs"); len(left) > 0 {
		t.Errorf("notes are left: %v", left)
	}
}

// TestPushedAgain: what was noted is pushed again, in all the ways in which a
// registry lets a client.
func TestPushedAgain(t *testing.T) {
	both := Options{MinAge: day, Untagged: true}
	for _, test := range []struct {
		name string
		push func(s scene, old image)
	}{
		{"whole", func(s scene, _ image) { s.push("app", "latest", "old") }},
		{"to another repository", func(s scene, _ image) { s.push("b", "latest", "old") }},
		{"layers only", func(s scene, old image) {
			for _, d := range old.blobs {
				s.put(linkPath("app", "_layers", d), string(d))
			}
			s.put(linkPath("app", "_manifests/revisions", old.manifest), string(old.manifest))
		}},
		{"a manifest that was on its way", func(s scene, old image) {
			s.manifest("app", old.content)
			s.tag("app", "latest", old.manifest)
		}},
		{"a tag that was on its way", func(s scene, old image) { s.tag("app", "latest", old.manifest) }},
		{"an index that was on its way", func(s scene, old image) { s.index("app", "latest", old.manifest) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScene(t)
			s.push("app", "other", "other")
			old := s.push("app", "", "old")
			s.later(2 * day)
			if r := s.run(both); r.Noted.Files != 3 || s.missing("app", old) == "" {
				t.Fatalf("first run: %s", describe(r))
			}
			s.later(2 * day)
			test.push(s, old)
			s.wantClean(s.run(both))
			repo := "app"
			if s.has(linkPath("b", "_manifests/revisions", old.manifest)) {
				repo = "b"
			}
			s.wantPulled(repo, old)
			s.wantClean(s.run(both))
			s.wantPulled(repo, old)

			// What is not tagged in the end goes all the same.
			tagged := len(s.files(root+"/repositories/"+repo+"/_manifests/tags/latest")) > 0
			for range 3 {
				s.later(2 * day)
				s.wantClean(s.run(both))
			}
			if s.has(blobPath(old.manifest)) != tagged {
				t.Errorf("after three more days the manifest is there: %v, want %v", !tagged, tagged)
			}
		})
	}
}

// TestLately: what a tag has pointed to within MinAge may still be pulled.
func TestLately(t *testing.T) {
	both := Options{MinAge: day, Untagged: true}
	s := newScene(t)
	first := s.push("app", "latest", "first")
	s.later(5 * day)
	second := s.push("app", "latest", "second")
	s.later(5 * day)
	third := s.push("app", "latest", "third")
	s.later(time.Hour)
	s.wantClean(s.run(both))
	s.wantPulled("app", second)
	s.wantPulled("app", third)
	if s.missing("app", first) == "" {
		t.Error("what was replaced five days ago is still linked")
	}
	s.later(2 * day)
	s.wantClean(s.run(both))
	if s.missing("app", second) == "" {
		t.Error("what was replaced two days ago is still linked")
	}
	s.later(2 * day)
	s.wantClean(s.run(both))
	s.wantBlobs(third.all())
}

// TestSubjectTagsLater: what is tagged for a manifest goes when that does, however
// much younger it is, and comes back with it.
func TestSubjectTagsLater(t *testing.T) {
	both := Options{MinAge: day, Untagged: true}
	for _, older := range []time.Duration{0, 36 * time.Hour} {
		s := newScene(t)
		live, dead := s.push("app", "latest", "live"), s.push("app", "", "dead")
		s.later(older)
		signature := s.push("app", signatureOf(dead), "signature")
		s.push("app", signatureOf(signature), "of the signature")
		for range 8 {
			s.later(30 * time.Hour)
			s.wantClean(s.run(both))
			if !s.has(blobPath(dead.manifest)) && s.has(blobPath(signature.manifest)) {
				t.Errorf("%v older: a manifest has gone before its signature", older)
			}
		}
		s.wantBlobs(live.all())
		if s.has(root + "/repositories/app/_manifests/tags/" + signatureOf(dead)) {
			t.Errorf("%v older: a tag is left", older)
		}
	}

	s := newScene(t)
	s.push("app", "latest", "live")
	dead := s.push("app", "", "dead")
	signature, referrer := s.push("app", signatureOf(dead), "signature"), s.pushFor("app", "", "referrer", dead.manifest)
	s.later(2 * day)
	s.wantClean(s.run(both))
	if s.missing("app", signature) == "" || s.missing("app", referrer) == "" {
		t.Fatal("the signature of what is noted is still linked, or a referrer")
	}
	s.later(2 * day)
	s.push("app", "again", "dead")
	s.wantClean(s.run(both))
	s.wantPulled("app", signature)
	s.wantPulled("app", referrer)
}

// TestOtherOptions: a run without Untagged sweeps nothing that is only untagged, and
// puts back what one with it has unlinked.
func TestOtherOptions(t *testing.T) {
	for _, second := range []Options{live, now} {
		s := newScene(t)
		old, lone := s.push("app", "", "old"), image{manifest: s.index("alone", "")}
		s.push("app", "latest", "tagged")
		s.later(2 * day)
		s.wantClean(s.run(Options{MinAge: day, Untagged: true}))
		if s.missing("app", old) == "" || s.missing("alone", lone) == "" {
			t.Fatal("what is noted is still linked")
		}
		s.later(2 * day)
		if left := s.files(root + "/repositories/alone"); len(left) > 0 {
			t.Fatalf("there is left %v", left)
		}
		dry := second
		dry.DryRun = true
		if r := s.run(dry); r.Unreferenced.Files > 0 || r.Swept.Files > 0 {
			t.Errorf("dry run: %s", describe(r))
		}
		s.wantClean(s.run(second))
		s.wantPulled("app", old)
		s.wantPulled("alone", lone)
		if left := s.files("/registryfs"); len(left) > 0 {
			t.Errorf("notes are left: %v", left)
		}
	}
}

// hooked does something just before some call.
type hooked struct {
	drivers.StorageDriver
	once   sync.Once
	before func(op, path string) bool
	do     func()
	after  bool // do it just after instead
}

func (h *hooked) Delete(ctx context.Context, path string) error {
	hit := h.before("delete", path)
	if hit && !h.after {
		h.once.Do(h.do)
	}
	err := h.StorageDriver.Delete(ctx, path)
	if hit && h.after {
		h.once.Do(h.do)
	}
	return err
}

// TestPushedMeanwhile pushes at the worst moments. What is only unlinked is put
// back; what is deleted under a push is named.
func TestPushedMeanwhile(t *testing.T) {
	s := newScene(t)
	s.push("app", "other", "other")
	old := s.push("app", "", "old")
	s.later(2 * day)
	h := &hooked{StorageDriver: s.d}
	hook := func(what string, do func()) {
		h.once, h.do = sync.Once{}, do
		h.before = func(_, path string) bool { return strings.Contains(path, what) }
	}
	both := Options{MinAge: day, Untagged: true, Parallel: 1}
	quiet := scene{t, s.d}
	s.d = h

	hook("/_layers/", func() { quiet.tag("app", "latest", old.manifest) })
	r := s.run(both)
	s.wantClean(r)
	if r.Restored == 0 {
		t.Errorf("nothing was put back: %s", describe(r))
	}
	s.wantPulled("app", old)

	if err := quiet.d.Delete(t.Context(), root+"/repositories/app/_manifests/tags/latest"); err != nil {
		t.Fatal(err)
	}
	quiet.later(2 * day)
	hook("nothing", nil)
	s.wantClean(s.run(both))
	quiet.later(2 * day)
	lost := old.blobs[1]
	hook("/blobs/sha256/"+lost.Encoded()[:2]+"/"+lost.Encoded(), func() {
		quiet.put(linkPath("b", "_layers", lost), string(lost)) // it has just been seen to exist
	})
	r = s.run(both)
	if want := []string{"b@" + string(lost)}; !slices.Equal(r.Lost, want) {
		t.Errorf("lost: %q, want %q", r.Lost, want)
	}
}

// TestComesBack: what was swept and is then uploaded again is not lost.
func TestComesBack(t *testing.T) {
	s := newScene(t)
	s.push("app", "other", "other")
	swept := s.blob("swept")
	s.later(2 * day)
	s.run(live)
	s.later(2 * day)
	h := &hooked{StorageDriver: s.d, before: func(_, path string) bool { return path == blobPath(swept) }, after: true}
	h.do = func() { s.layer("b", "swept") }
	r := scene{t, h}.run(live)
	s.wantClean(r)
	if r.Swept.Files != 1 || !s.has(blobPath(swept)) {
		t.Errorf("it is there: %v; %s", s.has(blobPath(swept)), describe(r))
	}
}

// TestTagMoves: a dead tag that is moved before it is removed stays.
func TestTagMoves(t *testing.T) {
	for _, o := range []Options{untagged, {MinAge: day, Untagged: true}} {
		s := newScene(t)
		s.push("app", "latest", "live")
		dead := s.push("app", "", "dead")
		old := s.push("app", signatureOf(dead), "signature")
		s.later(2 * day)
		if !o.Now {
			s.run(o)
			s.later(2 * day)
		}
		var moved image
		var once sync.Once
		o.Progress = func(p layout.Progress) {
			if p.Step == "remove tags" || p.Step == "look again at all links" {
				once.Do(func() { moved = s.push("app", signatureOf(dead), "another signature") })
			}
		}
		r := s.run(o)
		s.wantClean(r)
		s.wantPulled("app", moved)
		if !s.has(root+"/repositories/app/_manifests/tags/"+signatureOf(dead)+"/current/link") || !s.has(blobPath(old.manifest)) {
			t.Errorf("now %v: what has moved is gone: %s", o.Now, describe(r))
		}
	}
}

// TestSpares: a link that comes between the look at the store and the sweep.
func TestSpares(t *testing.T) {
	s := newScene(t)
	s.push("app", "other", "other")
	first, second := s.blob("first"), s.blob("second")
	if first.Encoded() > second.Encoded() {
		first, second = second, first
	}
	s.later(2 * day)
	s.run(live)
	s.later(2 * day)
	h := &hooked{StorageDriver: s.d, before: func(_, path string) bool { return path == blobPath(first) }}
	h.do = func() { s.put(linkPath("b", "_layers", second), string(second)) }
	reg := scene{t, h}.registry()
	r := newCollector(reg, Options{MinAge: day, Parallel: 1})
	defer r.close()
	r.start(time.Now())
	r.window = 0 // look before each
	if _, err := r.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.has(blobPath(first)) || !s.has(blobPath(second)) || len(r.report.Lost) > 0 {
		t.Errorf("first is there: %v, second: %v; %s", s.has(blobPath(first)), s.has(blobPath(second)), describe(r.report))
	}
}

func TestLock(t *testing.T) {
	s := newScene(t)
	s.push("app", "latest", "image")
	state := s.registry().State()
	l, err := lock(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	var locked LockedError
	if _, err := Run(t.Context(), s.registry(), now); !errors.As(err, &locked) || locked.Owner != l.Owner {
		t.Errorf("Run while another one runs = %v, want a LockedError", err)
	}
	if _, err := Run(t.Context(), s.registry(), Options{DryRun: true}); err != nil {
		t.Errorf("a dry run while another one runs = %v", err)
	}

	// One that has died.
	s.put("/registryfs/gc/lock.json", `{"id":"x","owner":"nobody","expires":"2024-01-01T00:00:00Z"}`)
	if _, err := Run(t.Context(), s.registry(), now); err != nil {
		t.Errorf("Run after another one has died = %v", err)
	}
	if left := s.files("/registryfs"); len(left) > 0 {
		t.Errorf("left: %s", left[0].Path())
	}

	// One whose lock was taken.
	if l, err = lock(t.Context(), state); err != nil {
		t.Fatal(err)
	}
	if err := l.renew(t.Context()); err != nil {
		t.Errorf("renew = %v", err)
	}
	s.put("/registryfs/gc/lock.json", `{"id":"x","owner":"nobody","expires":"2034-01-01T00:00:00Z"}`)
	if err := l.renew(t.Context()); !errors.Is(err, errLockLost) {
		t.Errorf("renew of a lock that was taken = %v, want %v", err, errLockLost)
	}
	if err := l.release(t.Context()); err != nil || !s.has("/registryfs/gc/lock.json") {
		t.Errorf("release of a lock that was taken = %v, and it is there: %v", err, s.has("/registryfs/gc/lock.json"))
	}
}

// TestLockTaken: a run that has lost the lock, or taken it along with another one,
// changes nothing.
func TestLockTaken(t *testing.T) {
	for _, o := range []Options{now, {MinAge: day}} {
		s := newScene(t)
		s.push("app", "latest", "image")
		s.layer("app", "unreferenced")
		s.later(2 * day)
		before := len(s.files("/"))
		var once sync.Once
		o.Progress = func(p layout.Progress) {
			if p.Step == "read links and manifests" || p.Step == "look again at all links" {
				once.Do(func() {
					s.put("/registryfs/gc/lock.json", `{"id":"x","owner":"another one","expires":"2034-01-01T00:00:00Z"}`)
				})
			}
		}
		if _, err := Run(t.Context(), s.registry(), o); !errors.Is(err, errLockLost) {
			t.Errorf("now %v: Run = %v, want %v", o.Now, err, errLockLost)
		}
		if after := len(s.files("/")); after != before+1 {
			t.Errorf("now %v: %d files, want %d and the lock", o.Now, after, before)
		}
	}
}

// TestBadNotes: notes that cannot be read are no licence to forget what was unlinked.
func TestBadNotes(t *testing.T) {
	for _, content := range []string{"", "[{", `[{"sha256":"../../x"}]`, `[null]`,
		`[{"sha256":"` + digest.FromString("x").Encoded() + `","links":[{"repository":"app","name":"x"}]}]`,
		`[{"sha256":"` + digest.FromString("x").Encoded() + `","links":[{"repository":"../.."}]}]`} {
		s := newScene(t)
		s.blob("unreferenced")
		s.push("app", "latest", "image")
		s.put("/registryfs/gc/notes/3.json", content)
		for _, o := range []Options{now, live} {
			report, err := Run(t.Context(), s.registry(), o)
			if report != nil || err == nil || !strings.Contains(err.Error(), "notes/3.json") {
				t.Errorf("Run with notes %q = %v, %v, want no report and an error that names them", content, report, err)
			}
		}
	}
}
