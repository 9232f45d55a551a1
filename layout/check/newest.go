package check

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"registryfs/layout"
)

// Record is what the newest check has found and left.
type Record struct {
	Checked  time.Time // the zero time if there was none
	Findings []Finding
}

// LastRecord reads what the newest check, of all its shards, has left in the
// registry's state.
func LastRecord(ctx context.Context, reg *layout.Registry) (*Record, error) {
	n := Newest{reg: reg}
	return n.Get(ctx)
}

// Newest is the record of the newest check, for who looks at it often.
type Newest struct {
	reg *layout.Registry

	mu     sync.Mutex     // guards the following; of many who look at once one reads
	files  []layout.Entry // that the record was read from
	record *Record
}

// NewNewest is that of a registry. Nothing is read before it is asked for.
func NewNewest(reg *layout.Registry) *Newest { return &Newest{reg: reg} }

// Get returns the record, which is not to be changed. It costs one listing; the
// files are read only if they are others than the last time, and then the record is
// another one.
func (n *Newest) Get(ctx context.Context) (*Record, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var files []layout.Entry
	for e, err := range n.reg.State().All(ctx, findingsDir) {
		if err != nil {
			return nil, err
		}
		files = append(files, e)
	}
	slices.SortFunc(files, func(a, b layout.Entry) int { return cmp.Compare(a.Name, b.Name) })
	if n.record != nil && slices.Equal(files, n.files) {
		return n.record, nil
	}
	r := &Record{}
	for _, e := range files {
		if err := r.read(ctx, n.reg.State(), e.Name); err != nil {
			return nil, err
		}
	}
	n.files, n.record = files, r
	return r, nil
}

// read adds what one shard has left.
func (r *Record) read(ctx context.Context, state layout.State, name string) error {
	content, err := state.Get(ctx, findingsDir+"/"+name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var h header
	dec := json.NewDecoder(bytes.NewReader(content))
	if err := dec.Decode(&h); err != nil {
		return fmt.Errorf("record of findings %s: %w: run the check again", name, err)
	}
	if h.Checked.After(r.Checked) {
		r.Checked = h.Checked
	}
	for dec.More() {
		var f Finding
		if err := dec.Decode(&f); err != nil {
			return fmt.Errorf("record of findings %s: %w: run the check again", name, err)
		}
		r.Findings = append(r.Findings, f)
	}
	return nil
}
