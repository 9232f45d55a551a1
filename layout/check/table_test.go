package check

import (
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// TestTable fills the table with and without a file for what does not fit.
func TestTable(t *testing.T) {
	for _, limit := range []int64{1 << 20, 100 * recordSize, 0} {
		table := &table{limit: limit}
		shards := map[byte][]digest.Digest{}
		for i := range 1000 {
			d := digest.FromBytes([]byte{byte(i), byte(i >> 8)})
			shards[layout.KeyOf(d)[0]] = append(shards[layout.KeyOf(d)[0]], d)
		}
		when := time.Unix(1_700_000_000, 0)
		for b, all := range shards {
			if b%2 == 0 { // the other half comes out of order
				slices.Sort(all)
			}
			var records []byte
			for _, d := range all {
				records = appendRecord(records, d, int64(layout.KeyOf(d)[5]), when)
			}
			if err := table.put(b, records); err != nil {
				t.Fatal(err)
			}
		}
		table.seal()
		if table.memory > limit || table.n != 1000 {
			t.Errorf("limit %d: %d bytes in memory, %d blobs", limit, table.memory, table.n)
		}
		var indexes []int64
		for _, all := range shards {
			for _, d := range all {
				b, ok, err := table.find(layout.KeyOf(d))
				if err != nil || !ok || b.key.SHA256() != d || b.size != int64(b.key[5]) || b.mtime != when.Unix() {
					t.Fatalf("limit %d: find(%s) = %+v, %t, %v", limit, d, b, ok, err)
				}
				indexes = append(indexes, b.index)
				if mark(table.used, b.index) || !mark(table.used, b.index) || !isMarked(table.used, b.index) {
					t.Errorf("mark of %d", b.index)
				}
			}
		}
		slices.Sort(indexes)
		if len(slices.Compact(indexes)) != 1000 || indexes[999] != 999 {
			t.Errorf("limit %d: the indexes are not those of 1000 blobs", limit)
		}
		if _, ok, err := table.find(layout.KeyOf(absent)); ok || err != nil {
			t.Errorf("find of what is absent: %t, %v", ok, err)
		}
		if err := table.close(); err != nil {
			t.Error(err)
		}
	}
}
