package fusefs

import (
	"context"
	"encoding/hex"
	"errors"
	"math"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"registryfs/layout"
)

// keptTimes are the modification times that users gave to files and directories
// of a store that keeps none, such as S3: without them each rsync -a would find
// everything changed. They are kept by identity, so that a blob has one time
// under all its names and a tag that is moved loses its own.
type keptTimes struct {
	boundedMap[key, keptTime]
	some atomic.Bool // there has been one: most mounts never have any
	log  *timeLog    // nil if they end with the mount
}

// keptTime holds as long as the store's own time of the file is what it was when
// the time was set: else somebody has written the file again.
type keptTime struct {
	store int64 // Unix seconds, since some stores tell no more; or anyTime
	sec   int64
	nsec  uint32
}

// anyTime stands for the time of a directory, which a store without times has
// not either.
const anyTime = math.MinInt64

// maxKeptTimes bounds them; the oldest go first.
const maxKeptTimes = 100_000

// openKeptTimes reads what earlier mounts of the store have kept in stateDir.
func openKeptTimes(t *keptTimes, stateDir, storeID string, secret *secret) error {
	if stateDir == "" || storeID == "" {
		return nil
	}
	name := secret.of("times", storeID) // identities are made with the secret
	t.log = &timeLog{name: filepath.Join(stateDir, "times", hex.EncodeToString(name[:])), most: maxKeptTimes}
	records, err := t.log.load()
	for _, r := range records {
		t.remember(r)
	}
	return err
}

func (t *keptTimes) remember(r timeRecord) {
	t.remove(r.key) // what is set again is new again
	t.put(r.key, r.kept, maxKeptTimes)
	t.some.Store(true)
}

// keep notes that the file with these attributes, in which the time is the
// store's own, is to be shown with another. The error is that of writing it
// down: until the mount ends it holds in any case.
func (t *keptTimes) keep(k key, a *attr, mtime time.Time) error {
	kept := keptTime{store: storeTime(a), sec: mtime.Unix(), nsec: uint32(mtime.Nanosecond())}
	if old, ok := t.get(k); ok && old == kept {
		return nil
	}
	r := timeRecord{k, kept}
	t.remember(r)
	if t.log == nil {
		return nil
	}
	return t.log.append(r)
}

// shown is the time that the file is to be shown with.
func (t *keptTimes) shown(k key, a *attr) time.Time {
	if !t.some.Load() {
		return a.mtime
	}
	kept, ok := t.get(k)
	if !ok || kept.store != storeTime(a) {
		return a.mtime
	}
	return time.Unix(kept.sec, int64(kept.nsec))
}

func storeTime(a *attr) int64 {
	if a.mode&syscall.S_IFMT == syscall.S_IFDIR {
		return anyTime
	}
	return a.mtime.Unix()
}

// setTime gives a file or directory a time, in the store or, where that has no
// place for it, in this mount. The attributes are the store's own.
func (s *fsys) setTime(ctx context.Context, f *found, mtime time.Time) error {
	ts, ok := f.obj.(timeSetter)
	if !ok {
		return nil
	}
	err := ts.setModTime(ctx, mtime)
	if errors.Is(err, errors.ErrUnsupported) {
		s.keep(ctx, f.key, f.obj, &f.attr, mtime)
		return nil
	}
	return err
}

// keepTag keeps the time of the tag whose link has these attributes.
func (s *fsys) keepTag(ctx context.Context, link *rawFile, n layout.Names, a *attr, mtime time.Time) error {
	if link.link == "" {
		tag, err := (&tagsDir{s, s.reg.Repository(n.Repository)}).lookup(ctx, string(n.Tag))
		if err != nil {
			return nil // it is not whole yet, and shown with the store's time
		}
		return s.kept.keep(tag.key, &tag.attr, mtime)
	}
	return s.kept.keep(s.tagKey(n.Repository, n.Tag, link.link), a, mtime)
}

// keep keeps the time of a file or directory and, of a tag's link in raw/, that
// of the tag: a store that has times has one for both.
func (s *fsys) keep(ctx context.Context, k key, obj object, a *attr, mtime time.Time) {
	err := s.kept.keep(k, a, mtime)
	if r, ok := obj.(*rawFile); ok && strings.HasSuffix(string(r.path), "/current/link") {
		if n := s.reg.Raw().Names(r.path); n.Tag != "" {
			err = errors.Join(err, s.keepTag(ctx, r, n, a, mtime))
		}
	}
	if err != nil {
		s.log.Warn("a time is not kept beyond this mount", "error", err)
	}
}
