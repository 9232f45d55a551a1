package check

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
	"registryfs/drivers/drivertest"
	"registryfs/layout"
)

// TestResume: what a run has verified that was interrupted, the next one passes over,
// and the one after that reads everything again.
func TestResume(t *testing.T) {
	s := newStore(t)
	for i := range 20 {
		s.image("app", layout.TagName(fmt.Sprint("v", i)), fmt.Sprint(i))
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first, err := Run(ctx, s.reg, Options{Data: true, Parallel: 1, Progress: func(p layout.Progress) {
		if p.Step == "read blobs" && p.Done == 25 {
			cancel()
		}
	}})
	if err == nil || first.Verified != 25 {
		t.Fatalf("the first run has verified %d blobs and ends with %v, want 25 and an error", first.Verified, err)
	}
	second := s.check(Options{Data: true})
	if second.Passed != 25 || second.Verified != 35 {
		t.Errorf("the second run passed over %d and read %d blobs, want 25 and 35", second.Passed, second.Verified)
	}
	if third := s.check(Options{Data: true}); third.Passed != 0 || third.Verified != 60 {
		t.Errorf("the third run passed over %d and read %d blobs, want none and 60", third.Passed, third.Verified)
	}
	// The record says when, and a blob that has changed since is read.
	m := digest.Digest(s.content(s.reg.Repository("app").TagLink("v0")))
	l := digest.FromString("layer of 0")
	record := s.content(layout.RawPath(fmt.Sprintf("/registryfs/check/verified/sha256/%s", m.Encoded()[:2])))
	if today := time.Now().UTC().Format("2006-01-02T"); !strings.Contains(record, m.Encoded()) || !strings.Contains(record, today) {
		t.Errorf("record: %s", record)
	}
	s.write(layout.RawBlob(l), "LAYER OF 0!")
	within := s.check(Options{Data: true, Within: time.Hour})
	if within.Verified != 1 || within.Findings[Corrupt] != 1 {
		t.Errorf("a run for what was not verified within an hour: %+v", within.Summary)
	}
	if again := s.check(Options{Data: true, Within: time.Hour}); again.Findings[Corrupt] != 1 {
		t.Errorf("a blob that was found corrupt is passed over: %+v", again.Summary)
	}
}

// TestShards: every blob and repository is in one part, and a part knows the blobs
// of all.
func TestShards(t *testing.T) {
	s := newStore(t)
	for i := range 30 {
		s.image(layout.RepositoryName(fmt.Sprint("app", i)), "v1", fmt.Sprint(i))
	}
	_, l := s.image("broken", "v1", "broken")
	s.remove(layout.RawBlob(l))
	var sum Summary
	for shard := 1; shard <= 3; shard++ {
		out := s.check(Options{Data: true, Shard: shard, Shards: 3})
		if out.Verified == 0 || out.Repositories == 0 {
			t.Errorf("shard %d has nothing to do: %+v", shard, out.Summary)
		}
		sum.Verified += out.Verified
		sum.Repositories += out.Repositories
		sum.Faults += out.Faults
	}
	if sum.Verified != 92 || sum.Repositories != 31 || sum.Faults != 2 {
		t.Errorf("all parts together: %+v", sum)
	}
	last, err := LastRecord(t.Context(), s.reg)
	if err != nil || len(last.Findings) != 2 {
		t.Errorf("the record of all parts: %+v, %v", last, err)
	}
	s.check(Options{})
	if last, err = LastRecord(t.Context(), s.reg); err != nil || len(last.Findings) != 2 {
		t.Errorf("the record after a check of the whole: %+v, %v", last, err)
	}
}

// TestPastCaches: bytes are read from the store, also when they were read before.
func TestPastCaches(t *testing.T) {
	s := newStore(t)
	_, l := s.image("app", "v1", "one")
	reg := layout.New(drivertest.Remote(s.driver), layout.Options{})
	if out := checkIt(t, reg, Options{Data: true}); out.Faults > 0 {
		t.Errorf("found: %q", out.found)
	}
	s.write(layout.RawBlob(l), strings.ToUpper("layer of one"))
	if out := checkIt(t, reg, Options{Data: true}); out.Findings[Corrupt] != 1 {
		t.Errorf("found: %q", out.found)
	}
}

// TestPacer: so many bytes take so long, however many ask.
func TestPacer(t *testing.T) {
	p := &pacer{rate: 1 << 30}
	for range 100 {
		if err := p.wait(t.Context(), 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	if ahead := time.Until(p.next); ahead > 2*time.Millisecond {
		t.Errorf("it has given out %s more than it may", ahead)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p.next = time.Now().Add(time.Hour)
	if err := p.wait(ctx, 1); err == nil {
		t.Error("a wait goes on after its context has ended")
	}
}

// TestPace: a small blob counts for no more than its size.
func TestPace(t *testing.T) {
	s := newStore(t)
	_, l := s.image("app", "v1", "one")
	c := &checker{reg: s.reg, rate: &pacer{rate: 1}}
	if is, err := c.verify(t.Context(), l, 12); is != isSame {
		t.Fatal(is, err)
	}
	if latest := time.Now().Add(12 * time.Second); c.rate.next.After(latest) {
		t.Errorf("12 bytes, one a second, have taken %s more", c.rate.next.Sub(latest))
	}
}

// TestForget: the record of what was verified is no longer than the store.
func TestForget(t *testing.T) {
	s := newStore(t)
	_, l := s.image("app", "v1", "one")
	s.write(layout.RawBlob(digest.Digest("sha256:"+l.Encoded()[:2]+absent.Encoded()[2:])), "another of its shard")
	record := layout.RawPath("/registryfs/check/verified/sha256/" + l.Encoded()[:2])
	s.check(Options{Data: true})
	if !strings.Contains(s.content(record), l.Encoded()) {
		t.Fatalf("record: %s", s.content(record))
	}
	s.remove(layout.RawBlob(l))
	s.check(Options{Data: true})
	if strings.Contains(s.content(record), l.Encoded()) {
		t.Errorf("record of what is gone: %s", s.content(record))
	}
}

// TestOtherAlgorithm: blobs by other digests are read as well.
func TestOtherAlgorithm(t *testing.T) {
	s := newStore(t)
	s.image("app", "v1", "one")
	for _, content := range []string{"sound", "spoilt", "cut"} {
		s.write(layout.RawBlob(digest.SHA512.FromString(content)), content)
	}
	spoilt, cut := layout.RawBlob(digest.SHA512.FromString("spoilt")), layout.RawBlob(digest.SHA512.FromString("cut"))
	s.write(spoilt, "SPOILT")
	s.write(cut, "")
	want(t, "findings", s.check(Options{}).found, "corrupt "+short(cut))
	out := s.check(Options{Data: true, Repair: true})
	want(t, "findings of all data", out.found, "corrupt "+short(spoilt), "corrupt "+short(cut))
	if out.Verified != 6 || out.Blobs != 6 {
		t.Errorf("%d of %d blobs were verified, want 6 of 6", out.Verified, out.Blobs)
	}
}

// readOnly takes nothing.
type readOnly struct{ drivers.StorageDriver }

func (r readOnly) PutContent(context.Context, string, []byte) error {
	return drivers.ErrUnsupportedMethod{DriverName: r.Name()}
}

// TestReadOnly: where nothing can be kept all data is read all the same.
func TestReadOnly(t *testing.T) {
	s := newStore(t)
	_, l := s.image("app", "v1", "one")
	s.write(layout.RawBlob(l), "LAYER OF ONE")
	for name, driver := range map[string]drivers.StorageDriver{
		"read-only":  readOnly{s.driver},
		"unreadable": unreadable{s.driver, func(path string) bool { return strings.HasPrefix(path, "/registryfs/check/") }},
	} {
		sum, err := Run(t.Context(), layout.New(driver, layout.Options{}), Options{Data: true})
		if !errors.Is(err, ErrNotRecorded) || sum.Verified != 3 || sum.Findings[Corrupt] != 1 {
			t.Errorf("%s: %+v, %v, want %v", name, sum, err, ErrNotRecorded)
		}
		s.check(Options{Data: true}) // leaves a record
	}
}

// TestRecord: a check leaves what it found, less what it repaired.
func TestRecord(t *testing.T) {
	s := newStore(t)
	m, l := s.image("app", "v1", "one")
	s.image("app", "", "untagged")
	s.write(s.reg.Repository("app").LayerLink(l), "")
	before, err := LastRecord(t.Context(), s.reg)
	if err != nil || !before.Checked.IsZero() {
		t.Errorf("before a check: %+v, %v", before, err)
	}
	s.check(Options{})
	found, err := LastRecord(t.Context(), s.reg)
	if err != nil || len(found.Findings) != 2 || found.Checked.IsZero() {
		t.Errorf("after a check: %+v, %v", found, err)
	}
	s.check(Options{Repair: true})
	left, err := LastRecord(t.Context(), s.reg)
	if err != nil || len(left.Findings) != 1 || left.Findings[0].Kind != Untagged {
		t.Errorf("after a repair: %+v, %v", left, err)
	}
	s.write(s.reg.Repository("app").TagLink("v1"), string(m)) // as before
	want(t, "findings", s.check(Options{}).found, "untagged "+short(left.Findings[0].Path))
}

// TestNotRecorded: findings are told also where they cannot be kept.
func TestNotRecorded(t *testing.T) {
	s := newStore(t)
	s.image("app", "v1", "one")
	faulty := drivertest.NewFaulty(s.driver).OnlyWrites()
	faulty.CrashAt(1, drivers.ErrUnsupportedMethod{DriverName: "readonly"})
	_, err := Run(t.Context(), layout.New(faulty, layout.Options{}), Options{})
	if err == nil || !strings.Contains(err.Error(), ErrNotRecorded.Error()) {
		t.Errorf("Run: %v, want %v", err, ErrNotRecorded)
	}
}
