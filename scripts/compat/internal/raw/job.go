// Package raw does the least that a task takes, by the SDK and without a file
// system: the ceiling of what a mount can reach.
package raw

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Job is work for the raw program, in JSON on its standard input. It answers with
// what Do returns.
type Job struct {
	Endpoint, Bucket string

	// Work is "list", "tags", "backup", "read", "ranges", "get" or "put".
	Work string

	Prefix   string     // list, tags: of what is listed
	Dir      string     // backup: where it goes
	File     string     // put: what goes there
	Key      string     // read, ranges, put
	Size     int64      // read: of the object; ranges: of each
	Part     int64      // read: bytes of a request
	Parallel int        // read: requests at once
	Offsets  []int64    // ranges
	Files    [][]string // get: the keys of each
}

// Do does the work and returns how many seconds it took; with ranges and get, each
// of them. The client is connected before the clock runs, as a mount is.
func (j *Job) Do(ctx context.Context) ([]float64, error) {
	c := New(j.Endpoint, j.Bucket)
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	switch j.Work {
	case "list":
		return once(func() error {
			_, err := c.list(ctx, j.Prefix)
			return err
		})
	case "tags":
		return once(func() error { return c.tags(ctx, j.Prefix) })
	case "backup":
		return once(func() error { return c.backup(ctx, j.Dir) })
	case "read":
		return once(func() error { return c.read(ctx, j.Key, j.Size, j.Part, j.Parallel) })
	case "put":
		return once(func() error { return c.Put(ctx, j.Key, j.File) })
	case "ranges":
		return each(j.Offsets, func(off int64) error {
			return c.get(ctx, io.Discard, j.Key, byteRange(off, off+j.Size))
		})
	case "get":
		return each(j.Files, func(keys []string) error {
			for _, key := range keys {
				if err := c.get(ctx, io.Discard, key, ""); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return nil, fmt.Errorf("there is no work %q", j.Work)
}

func once(do func() error) ([]float64, error) {
	return each([]int{0}, func(int) error { return do() })
}

// each returns the time of a call for each argument.
func each[T any](args []T, call func(T) error) (times []float64, err error) {
	for _, arg := range args {
		start := time.Now()
		if err := call(arg); err != nil {
			return nil, err
		}
		times = append(times, time.Since(start).Seconds())
	}
	return times, nil
}
