package check

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
	"registryfs/drivers/drivertest"
	"registryfs/layout"
)

const leftoverOf = ".0197f7d2-3c1b-7a54-9c9f-2d6f0a3b1c5e.tmp"

// unreadable fails to read some files.
type unreadable struct {
	drivers.StorageDriver
	is func(path string) bool
}

var errBroken = errors.New("the disk is broken")

func (u unreadable) GetContent(ctx context.Context, path string) ([]byte, error) {
	if u.is(path) {
		return nil, errBroken
	}
	return u.StorageDriver.GetContent(ctx, path)
}

func (u unreadable) Reader(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	if u.is(path) {
		return nil, errBroken
	}
	return u.StorageDriver.Reader(ctx, path, offset)
}

// TestRepairKnowsAll: a tag's history of which a part cannot be read does not say
// what the tag pointed to.
func TestRepairKnowsAll(t *testing.T) {
	for _, current := range []string{"", "absent"} {
		s := newStore(t)
		m, _ := s.image("app", "v1", "one")
		other, _ := s.image("app", "v2", "two")
		p := s.reg.Repository("app")
		s.write(indexLink(p, "v1", other), string(other))
		if s.write(p.TagLink("v1"), ""); current == "absent" {
			s.remove(p.TagLink("v1"))
		}
		for _, d := range []digest.Digest{m, other} {
			broken := unreadable{s.driver, func(path string) bool { return path == string(indexLink(p, "v1", d)) }}
			out := checkIt(t, layout.New(broken, layout.Options{}), Options{Repair: true})
			if len(out.fixes) > 0 || s.content(p.TagLink("v1")) != current || out.Findings[Unreadable] != 1 {
				t.Errorf("with one of two digests unreadable the tag is %q, repairs %q, findings %q", s.content(p.TagLink("v1")), out.fixes, out.found)
			}
		}
	}
}

// TestRepairLooksAgain: what has changed since it was found is left as it is.
func TestRepairLooksAgain(t *testing.T) {
	const upload = "/docker/registry/v2/repositories/app/_uploads/u/"
	for _, test := range []struct {
		name      string
		spoil     func(s *store, p layout.Repository, m digest.Digest) (path layout.RawPath)
		meanwhile func(s *store, p layout.Repository, m digest.Digest)
		content   string // "" for the manifest's digest
		failed    int64
	}{
		{"tag removed", func(s *store, p layout.Repository, m digest.Digest) layout.RawPath {
			s.remove(p.TagLink("v1"))
			return p.TagLink("v1")
		}, func(s *store, p layout.Repository, m digest.Digest) {
			s.remove(layout.RawPath(strings.TrimSuffix(string(p.TagLink("v1")), "/current/link")))
		}, "absent", 0},
		{"tag being moved", func(s *store, p layout.Repository, m digest.Digest) layout.RawPath {
			s.write(p.TagLink("v1"), "")
			return p.TagLink("v1")
		}, func(s *store, p layout.Repository, m digest.Digest) {
			s.write(indexLink(p, "v1", absent), string(absent))
		}, "", 1},
		{"upload that goes on", func(s *store, p layout.Repository, m digest.Digest) layout.RawPath {
			s.write(upload+"data", "half")
			return upload + "data"
		}, func(s *store, p layout.Repository, m digest.Digest) {
			s.write(upload+"data", "more")
		}, "more", 0},
		{"upload that says when it began", func(s *store, p layout.Repository, m digest.Digest) layout.RawPath {
			s.write(upload+"data", "half")
			return upload + "data"
		}, func(s *store, p layout.Repository, m digest.Digest) {
			s.write(upload+"startedat", "2024-01-01T00:00:00Z")
		}, "half", 0},
		{"leftover that is written", func(s *store, p layout.Repository, m digest.Digest) layout.RawPath {
			s.write(p.TagLink("v1")+leftoverOf, "half")
			return p.TagLink("v1") + leftoverOf
		}, func(s *store, p layout.Repository, m digest.Digest) {
			s.write(p.TagLink("v1")+leftoverOf, "more")
		}, "more", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStore(t)
			m, _ := s.image("app", "v1", "one")
			p := s.reg.Repository("app")
			path := test.spoil(s, p, m)
			want := s.content(path)
			if test.content != "" {
				want = test.content
			}
			time.Sleep(time.Millisecond)
			found := 0
			sum, err := Run(t.Context(), s.reg, Options{Repair: true, Found: func(f Finding) {
				if f.Path == path || strings.HasPrefix(string(path), string(f.Path)+"/") {
					found++
					test.meanwhile(s, p, m)
				}
			}})
			if err != nil || found != 1 || sum.Failed != test.failed {
				t.Errorf("Run found it %d times, %d repairs failed, %v", found, sum.Failed, err)
			}
			if got := s.content(path); got != want {
				t.Errorf("%s is %q after the repair, want %q", path, got, want)
			}
		})
	}
}

// TestRepairKeepsSource: content that could not be put back is not removed, whatever
// call fails.
func TestRepairKeepsSource(t *testing.T) {
	for n := 1; ; n++ {
		s := newStore(t)
		_, l := s.image("app", "v1", "one")
		_, lost := s.image("app", "v2", "two")
		s.write(layout.RawBlob(l), "cut")
		s.remove(layout.RawBlob(lost))
		source := layout.RawBlob(l) + leftoverOf
		s.write(source, "layer of one")
		s.write("/docker/registry/v2/repositories/app/_uploads/u/data", "layer of two")
		time.Sleep(time.Millisecond)
		faulty := drivertest.NewFaulty(s.driver)
		faulty.FailAt(n, errBroken)
		out, err := Run(t.Context(), layout.New(faulty, layout.Options{SpoolDir: t.TempDir()}), Options{Data: true, Repair: true, Parallel: 1})
		if s.content(layout.RawBlob(l)) != "layer of one" && s.content(source) != "layer of one" {
			t.Errorf("call %d failed, and the layer is lost: %+v, %v", n, out, err)
		}
		if s.content(layout.RawBlob(lost)) != "layer of two" && s.content("/docker/registry/v2/repositories/app/_uploads/u/data") != "layer of two" {
			t.Errorf("call %d failed, and the upload is lost: %+v, %v", n, out, err)
		}
		if faulty.Calls() < n {
			break
		}
	}
}

// TestRepairUnseen: what is removed may be the copy of a blob of which this check did
// not see that it is damaged, or missing.
func TestRepairUnseen(t *testing.T) {
	s := newStore(t)
	_, l := s.image("other", "v1", "one")
	s.write(layout.RawBlob(l), "LAYER OF ONE")
	s.write(layout.RawBlob(l)+leftoverOf, "layer of one")
	time.Sleep(time.Millisecond)
	if out := s.check(Options{Repair: true}); out.Faults != 0 || s.content(layout.RawBlob(l)) != "layer of one" {
		t.Errorf("without reading all blobs: %q, repairs %q", out.found, out.fixes)
	}
	want(t, "findings after the repair", s.check(Options{Data: true}).found)

	s.remove(layout.RawBlob(l))
	s.write(layout.RawBlob(l)+leftoverOf, "layer of one")
	time.Sleep(time.Millisecond)
	for shard := 1; shard <= 4; shard++ { // the repository is of the second, leftovers are of the first
		if out := s.check(Options{Repair: true, Shard: shard, Shards: 4}); out.Failed > 0 {
			t.Errorf("part %d: %q", shard, out.fixes)
		}
	}
	want(t, "findings after repairs of all parts", s.check(Options{Data: true, DryRun: true}).found, "leftover "+short(layout.RawBlob(l)+leftoverOf))
	s.check(Options{Repair: true})
	want(t, "findings after a repair of the whole", s.check(Options{Data: true}).found)
}
