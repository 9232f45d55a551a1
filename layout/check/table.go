package check

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// blob is one blob of the store.
type blob struct {
	key   layout.Key
	size  int64
	mtime int64 // seconds
	index int64 // its place among all
}

const recordSize = sha256.Size + 16

// table is all sha256 blobs of the store, sorted by digest. It is filled a shard
// at a time, in parallel, then sealed and only read.
//
// A blob takes recordSize bytes and two bits. What goes beyond the limit lies in a
// temporary file.
type table struct {
	limit  int64
	shards [256]shard

	mu     sync.Mutex // guards the following while it is filled
	memory int64
	spill  *os.File
	end    int64 // of the spill

	n         int64
	used, bad []uint64 // bits by index: something leads to it; its bytes are others
}

// shard is the blobs whose digests begin with one byte.
type shard struct {
	records []byte // nil if they are spilled
	offset  int64  // in the spill
	n       int64
	first   int64 // index of the first
}

// put makes records the shard of digests that begin with b.
func (t *table) put(b byte, records []byte) error {
	if !sort.IsSorted(byDigest(records)) { // the store has changed meanwhile
		sort.Sort(byDigest(records))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &t.shards[b]
	n := int64(len(records) / recordSize)
	if t.memory+int64(len(records)) <= t.limit {
		t.memory += int64(len(records))
		s.n, s.records = n, slices.Clip(records)
		return nil
	}
	if t.spill == nil {
		f, err := os.CreateTemp("", "registryfs-check-*")
		if err != nil {
			return fmt.Errorf("spill the list of blobs: %w", err)
		}
		t.spill = f
		if err := os.Remove(f.Name()); err != nil {
			return fmt.Errorf("spill the list of blobs: %w", err)
		}
	}
	if _, err := t.spill.WriteAt(records, t.end); err != nil {
		return fmt.Errorf("spill the list of blobs: %w", err)
	}
	s.n, s.offset = n, t.end
	t.end += int64(len(records))
	return nil
}

// seal ends filling.
func (t *table) seal() {
	for i := range t.shards {
		t.shards[i].first = t.n
		t.n += t.shards[i].n
	}
	t.used = make([]uint64, t.n/64+1)
	t.bad = make([]uint64, t.n/64+1)
}

func (t *table) close() error {
	if t.spill == nil {
		return nil
	}
	return t.spill.Close()
}

// at reads the i-th record of a shard.
func (t *table) at(s *shard, i int64) (blob, error) {
	var buf [recordSize]byte
	record := buf[:]
	if s.records != nil {
		record = s.records[i*recordSize : (i+1)*recordSize]
	} else if _, err := t.spill.ReadAt(record, s.offset+i*recordSize); err != nil {
		return blob{}, fmt.Errorf("read the list of blobs: %w", err)
	}
	b := blob{
		size:  int64(binary.BigEndian.Uint64(record[sha256.Size:])),
		mtime: int64(binary.BigEndian.Uint64(record[sha256.Size+8:])),
		index: s.first + i,
	}
	copy(b.key[:], record)
	return b, nil
}

// find is the blob with that key. ok is false if it was not listed.
func (t *table) find(want layout.Key) (b blob, ok bool, err error) {
	s := &t.shards[want[0]]
	i, found := sort.Find(int(s.n), func(i int) int {
		at, e := t.at(s, int64(i))
		err = errors.Join(err, e)
		return want.Compare(at.key)
	})
	if err != nil || !found {
		return blob{}, false, err
	}
	b, err = t.at(s, int64(i))
	return b, err == nil, err
}

// each calls fn for all blobs, in order.
func (t *table) each(fn func(blob) error) error {
	for i := range t.shards {
		if err := t.eachOf(byte(i), fn); err != nil {
			return err
		}
	}
	return nil
}

// eachOf calls fn for the blobs whose digests begin with b.
func (t *table) eachOf(b byte, fn func(blob) error) error {
	s := &t.shards[b]
	for i := range s.n {
		found, err := t.at(s, i)
		if err == nil {
			err = fn(found)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// mark sets the blob's bit and tells whether it was set before.
func mark(bits []uint64, index int64) (before bool) {
	bit := uint64(1) << (index % 64)
	return atomic.OrUint64(&bits[index/64], bit)&bit != 0
}

func isMarked(bits []uint64, index int64) bool {
	return atomic.LoadUint64(&bits[index/64])&(1<<(index%64)) != 0
}

// appendRecord adds a blob to the records of its shard.
func appendRecord(records []byte, d digest.Digest, size int64, mtime time.Time) []byte {
	s := layout.KeyOf(d)
	records = append(records, s[:]...)
	records = binary.BigEndian.AppendUint64(records, uint64(size))
	return binary.BigEndian.AppendUint64(records, uint64(mtime.Unix()))
}

// byDigest sorts records.
type byDigest []byte

func (r byDigest) Len() int { return len(r) / recordSize }

func (r byDigest) at(i int) []byte { return r[i*recordSize : (i+1)*recordSize] }

func (r byDigest) Less(i, j int) bool { return bytes.Compare(r.at(i), r.at(j)) < 0 }

func (r byDigest) Swap(i, j int) {
	var tmp [recordSize]byte
	copy(tmp[:], r.at(i))
	copy(r.at(i), r.at(j))
	copy(r.at(j), tmp[:])
}
