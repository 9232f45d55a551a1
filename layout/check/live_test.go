package check

import (
	"context"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
	"registryfs/layout"
)

// live is a store that others write to: before a file is looked at by itself, or its
// content is asked for, look is called.
type live struct {
	drivers.StorageDriver
	look func(path string)
}

func (l live) GetContent(ctx context.Context, path string) ([]byte, error) {
	content, err := l.StorageDriver.GetContent(ctx, path)
	l.look(path)
	return content, err
}

func (l live) Reader(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	r, err := l.StorageDriver.Reader(ctx, path, offset)
	l.look(path)
	return r, err
}

func (l live) Stat(ctx context.Context, path string) (drivers.FileInfo, error) {
	info, err := l.StorageDriver.Stat(ctx, path)
	l.look(path)
	return info, err
}

func (l live) List(ctx context.Context, path string) ([]string, error) {
	paths, err := l.StorageDriver.List(ctx, path)
	l.look(path)
	return paths, err
}

// TestLive: a registry does in the middle of a check what registries do.
func TestLive(t *testing.T) {
	p := layout.New(nil, layout.Options{}).Repository("app")
	const tags = "/docker/registry/v2/repositories/app/_manifests/tags"
	for _, test := range []struct {
		name   string
		before func(s *store, m, l digest.Digest)
		at     func(m, l digest.Digest) layout.RawPath // when it has been looked at the rest happens
		after  func(s *store, m, l digest.Digest)
		looks  int // before that one
	}{
		{"link written in place", func(s *store, m, l digest.Digest) {
			s.write(p.TagLink("v1"), "")
		}, func(m, l digest.Digest) layout.RawPath { return p.TagLink("v1") }, func(s *store, m, l digest.Digest) {
			s.write(p.TagLink("v1"), string(m))
		}, 0},
		{"manifest written in place", func(s *store, m, l digest.Digest) {
			s.write(layout.RawBlob(m), "")
		}, func(m, l digest.Digest) layout.RawPath { return layout.RawBlob(m) }, func(s *store, m, l digest.Digest) {
			s.restore(m)
		}, 0},
		{"manifest written in place that is read", func(s *store, m, l digest.Digest) {
			s.write(layout.RawBlob(m), "{")
		}, func(m, l digest.Digest) layout.RawPath { return layout.RawBlob(m) }, func(s *store, m, l digest.Digest) {
			s.restore(m)
		}, 1},
		{"layer written in place", func(s *store, m, l digest.Digest) {
			s.write(layout.RawBlob(l), "lay")
		}, func(m, l digest.Digest) layout.RawPath { return layout.RawBlob(m) }, func(s *store, m, l digest.Digest) {
			s.restore(l)
		}, 0},
		{"tag being made", func(s *store, m, l digest.Digest) {
			s.remove(p.TagLink("v1"))
		}, func(m, l digest.Digest) layout.RawPath { return indexLink(p, "v1", m) }, func(s *store, m, l digest.Digest) {
			s.write(p.TagLink("v1"), string(m))
		}, 0},
		{"tag being removed", func(s *store, m, l digest.Digest) {
			s.tag("app", "v2", m)
			s.remove(p.TagLink("v1"))
		}, func(m, l digest.Digest) layout.RawPath { return p.TagLink("v1") }, func(s *store, m, l digest.Digest) {
			s.remove(tags + "/v1")
		}, 0},
		{"manifest being removed", func(s *store, m, l digest.Digest) {
			s.image("app", "v2", "two")
			s.remove(p.RevisionLink(m))
		}, func(m, l digest.Digest) layout.RawPath { return p.RevisionLink(m) }, func(s *store, m, l digest.Digest) {
			s.remove(tags + "/v1")
		}, 0},
		{"link being removed", func(s *store, m, l digest.Digest) {
			s.write(p.LayerLink(absent), string(absent))
		}, func(m, l digest.Digest) layout.RawPath { return layout.RawBlob(absent) }, func(s *store, m, l digest.Digest) {
			s.remove(p.LayerLink(absent))
		}, 0},
		{"layer pushed that was foreign", func(s *store, m, l digest.Digest) {
			s.remove(layout.RawBlob(l))
			s.manifest("zoo", "v1", foreign(s.blob("zoo", "config").Digest, l)) // it is looked at first
		}, func(m, l digest.Digest) layout.RawPath { return layout.RawBlob(l) }, func(s *store, m, l digest.Digest) {
			s.restore(l)
		}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newStore(t)
			m, l := s.image("app", "v1", "one")
			s.kept = map[digest.Digest]string{m: s.content(layout.RawBlob(m)), l: s.content(layout.RawBlob(l))}
			test.before(s, m, l)
			at := string(test.at(m, l))
			var once sync.Once
			var looks atomic.Int64
			happened := false
			reg := layout.New(live{s.driver, func(path string) {
				if path == at && looks.Add(1) > int64(test.looks) {
					once.Do(func() { happened = true; test.after(s, m, l) })
				}
			}}, layout.Options{})
			out := checkIt(t, reg, Options{Repair: true, Parallel: 1})
			if !happened {
				t.Fatalf("nobody has looked at %s", at)
			}
			for _, f := range out.found {
				if kind, _, _ := strings.Cut(f, " "); Kind(kind).Weight() == Fault {
					t.Errorf("found %s", f)
				}
			}
			if len(out.fixes) > 0 {
				t.Errorf("repairs: %q", out.fixes)
			}
		})
	}
}

// TestSettle: what is young is waited for, before it is looked at once more.
func TestSettle(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	m, _ := s.image("app", "v1", "one")
	link := s.reg.Repository("app").TagLink("v1")
	s.write(link, "")
	written := make(chan error, 1)
	var once sync.Once
	reg := layout.New(live{s.driver, func(path string) {
		if path == string(link) {
			once.Do(func() {
				time.AfterFunc(50*time.Millisecond, func() { written <- s.driver.PutContent(t.Context(), string(link), []byte(m)) })
			})
		}
	}}, layout.Options{})
	want(t, "findings", checkIt(t, reg, Options{MinAge: 2 * time.Second, Repair: true}).found)
	if err := <-written; err != nil {
		t.Error(err)
	}
}

// TestYoungManifests: what is pushed before its index, or its tag, is not lost.
func TestYoungManifests(t *testing.T) {
	s := newStore(t)
	s.image("app", "", "child")
	want(t, "findings", s.check(Options{MinAge: time.Hour}).found)
	if out := s.check(Options{}); out.Findings[Untagged] != 1 {
		t.Errorf("findings of any age: %q", out.found)
	}
}

// TestUnlisted: a manifest that is corrupt and was not listed is no other blob.
func TestUnlisted(t *testing.T) {
	s := newStore(t)
	m, l := s.image("app", "v1", "one")
	s.write(layout.RawBlob(m), "{}")
	all := []string{"corrupt " + short(layout.RawBlob(m))}
	for _, d := range []digest.Digest{l, digest.FromString(`{"name":"one"}`)} {
		s.write(layout.RawBlob(d), strings.ToUpper(s.content(layout.RawBlob(d))))
		all = append(all, "corrupt "+short(layout.RawBlob(d)))
	}
	shard := strings.TrimSuffix(string(layout.RawBlob(m)), "/"+m.Encoded()+"/data")
	broken := unlistable{s.driver, func(path string) bool { return path == shard }}
	out := checkIt(t, layout.New(broken, layout.Options{}), Options{Data: true})
	want(t, "findings", out.found, append(all, "unreadable "+short(layout.RawPath(shard)))...)
}

// unlistable fails to list some directories.
type unlistable struct {
	drivers.StorageDriver
	is func(path string) bool
}

func (u unlistable) List(ctx context.Context, path string) ([]string, error) {
	if u.is(path) {
		return nil, errBroken
	}
	return u.StorageDriver.List(ctx, path)
}

func (u unlistable) Walk(ctx context.Context, from string, fn drivers.WalkFn, options ...func(*drivers.WalkOptions)) error {
	return drivers.Walk(ctx, u, from, fn, options...)
}
