// Command raw does one job on an S3 server by the SDK and without a file system.
// It reads a raw.Job in JSON and prints the seconds that it took, in JSON too.
//
// It is a program of its own so that a benchmark compares like with like: what a
// mount does is done by a process that has just begun, too.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"registryfs/scripts/compat/internal/raw"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "raw:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var job raw.Job
	if err := json.NewDecoder(os.Stdin).Decode(&job); err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	times, err := job.Do(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(times)
}
