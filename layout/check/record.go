package check

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

const findingsDir = "check/findings"

// header is the first line of a record of findings; each further line is one.
type header struct {
	Checked time.Time `json:"checked"` // when the check began
	Data    bool      `json:"data"`    // whether it read all blobs
	Cut     bool      `json:"cut"`     // there were more than are recorded
}

// record keeps what was found and is not repaired, in place of what the check
// before has found.
func (c *checker) record(ctx context.Context) error {
	var content bytes.Buffer
	enc := json.NewEncoder(&content)
	if err := enc.Encode(header{c.start.Truncate(time.Second), c.o.Data, c.cut()}); err != nil {
		return err
	}
	for _, f := range c.findings {
		if err := enc.Encode(f); err != nil {
			return err
		}
	}
	state := c.reg.State()
	mine := fmt.Sprintf("%d-of-%d", c.o.Shard, c.o.Shards)
	if err := state.Put(ctx, findingsDir+"/"+mine, content.Bytes()); err != nil {
		return err
	}
	// What a check found whose parts were others is as old as that.
	for e, err := range state.All(ctx, findingsDir) {
		if err != nil {
			return err
		}
		var shard, shards int
		if n, _ := fmt.Sscanf(e.Name, "%d-of-%d", &shard, &shards); n == 2 && shards == c.o.Shards {
			continue
		}
		if err := state.Delete(ctx, findingsDir+"/"+e.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// cut reports whether more was found than is remembered.
func (c *checker) cut() bool {
	var all int64
	for _, n := range c.counts {
		all += n
	}
	return all > maxFindings
}
