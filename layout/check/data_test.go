package check

import (
	"context"
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
