package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"registryfs/layout"
)

// verified is the record of which blobs of a shard had the right bytes, and when.
// It is not safe for parallel use.
type verified struct {
	state layout.State
	shard byte

	blobs   map[layout.Key]verification
	changed bool
	closed  bool // it could not be read, and is left alone
	saved   time.Time
}

// verification is what a blob was when its bytes were right.
type verification struct {
	size, mtime int64
	at          time.Time
}

func (v *verified) name() string { return fmt.Sprintf("check/verified/sha256/%02x", v.shard) }

// load reads the record. Lines that make no sense count for nothing.
func (v *verified) load(ctx context.Context) error {
	v.blobs, v.saved = map[layout.Key]verification{}, time.Now()
	content, err := v.state.Get(ctx, v.name())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(content)) {
		var hex, mtime, at string
		var size int64
		if _, err := fmt.Sscan(line, &hex, &size, &mtime, &at); err != nil {
			continue
		}
		d, err := layout.ParseHex("sha256", hex)
		if err != nil {
			continue
		}
		m, err1 := time.Parse(time.RFC3339, mtime)
		t, err2 := time.Parse(time.RFC3339, at)
		if err1 == nil && err2 == nil {
			v.blobs[layout.KeyOf(d)] = verification{size, m.Unix(), t}
		}
	}
	return nil
}

// save writes the record if it has changed.
func (v *verified) save(ctx context.Context) error {
	v.saved = time.Now()
	if !v.changed || v.closed {
		return nil
	}
	var content strings.Builder
	for _, s := range slices.SortedFunc(maps.Keys(v.blobs), layout.Key.Compare) {
		r := v.blobs[s]
		fmt.Fprintf(&content, "%x %d %s %s\n", s, r.size, time.Unix(r.mtime, 0).UTC().Format(time.RFC3339), r.at.UTC().Format(time.RFC3339Nano))
	}
	if err := v.state.Put(ctx, v.name(), []byte(content.String())); err != nil {
		return err
	}
	v.changed = false
	return nil
}

// holds reports whether the blob, as it is, was verified at a time or later.
func (v *verified) holds(b blob, since time.Time) bool {
	r, ok := v.blobs[b.key]
	return ok && r.size == b.size && r.mtime == b.mtime && !r.at.Before(since)
}

func (v *verified) add(b blob, at time.Time) {
	if v.blobs == nil {
		return
	}
	v.blobs[b.key] = verification{b.size, b.mtime, at}
	v.changed = true
}

func (v *verified) remove(b blob) {
	if _, ok := v.blobs[b.key]; ok {
		delete(v.blobs, b.key)
		v.changed = true
	}
}

// keepOnly forgets blobs that are gone.
func (v *verified) keepOnly(is func(layout.Key) bool) {
	before := len(v.blobs)
	maps.DeleteFunc(v.blobs, func(k layout.Key, _ verification) bool { return !is(k) })
	v.changed = v.changed || len(v.blobs) != before
}
