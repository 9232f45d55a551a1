package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"registryfs/scripts/compat/internal/raw"
)

// rawProgram runs command raw on a bucket, a new process for each job.
type rawProgram struct {
	program          string
	endpoint, bucket string
}

func (e *s3Env) raw(s *s3Store, far bool) rawProgram {
	return rawProgram{e.rawPath, e.endpoint(far), s.bucket.Name}
}

// do returns how many seconds the job took, or the median of what it consists of.
func (p rawProgram) do(ctx context.Context, job raw.Job) (float64, error) {
	job.Endpoint, job.Bucket = p.endpoint, p.bucket
	text, err := json.Marshal(job)
	if err != nil {
		return 0, err
	}
	cmd := command(ctx, self, p.program)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(text), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("raw %s: %w", job.Work, err)
	}
	var times samples
	if err := json.Unmarshal(out, &times); err != nil {
		return 0, fmt.Errorf("raw %s: %w", job.Work, err)
	}
	return times.median(), nil
}

// inSeconds is a phase's work for the raw program.
func inSeconds(job raw.Job) func(context.Context, rawProgram) (float64, error) {
	return func(ctx context.Context, p rawProgram) (float64, error) { return p.do(ctx, job) }
}

// inMilliseconds is the same for work that consists of many small pieces.
func inMilliseconds(job raw.Job) func(context.Context, rawProgram) (float64, error) {
	return func(ctx context.Context, p rawProgram) (float64, error) {
		took, err := p.do(ctx, job)
		return took * 1e3, err
	}
}
