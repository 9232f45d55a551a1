package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/urfave/cli/v2"

	"registryfs/drivers"
	"registryfs/layout"
)

// job is a command that works on a whole store and ends.
type job struct {
	options
	state    string // directory for what the next run needs; "": in the store
	parallel int    // 0: the job's own default
	json     bool
	quiet    bool
}

const (
	jobCategory = "The job"
	jobProcess  = "The process"
)

// flags are the options that all jobs have, after those of the one.
func (j *job) flags(own ...cli.Flag) []cli.Flag {
	return append(own,
		valueFlag("parallel", jobCategory, "`N` things to do at once", "what suits the store", j.setParallel),
		pathFlag("state", jobCategory, "`DIR` to keep in what the next run needs", "registryfs/ in the store, beside docker/", &j.state),
		boolFlag("json", jobCategory, "print the result as JSON", &j.json),
		boolFlag("quiet", jobCategory, "show no progress", &j.quiet, "q"),
		envFileFlag(jobProcess),
		valueFlag("memory", jobProcess, "`SIZE` of all buffers, at least 64MiB", "256MiB", j.setMemory),
		valueFlag("log-level", jobProcess, "`LEVEL`: debug, info, warn or error", "info", j.setLogLevel),
		valueFlag("log-format", jobProcess, "`FORMAT`: text or json", "text", j.setLogFormat),
		pathFlag("log-file", jobProcess, "`FILE` to append the log to", "the terminal", &j.logFile),
	)
}

// source is a store that a job has opened.
type source struct {
	store
	*layout.Registry
	log *slog.Logger
}

// open opens the store that the user names SOURCE. Nothing is cached of it on
// disk: a job sees what is stored.
func (j *job) open(ctx context.Context, name string) (source, error) {
	log, err := j.openLog(false)
	if err != nil {
		return source{}, err
	}
	s, err := findStore(name, os.Environ())
	if err != nil {
		return source{}, err
	}
	j.cacheDir = cacheNone
	if j.state != "" {
		if j.states, err = openStates(ctx, j.state); err != nil {
			return source{}, err
		}
	}
	reg, err := j.openRegistry(ctx, &s, log)
	return source{s, reg, log}, ended(ctx, err)
}

// ended is err, or if a signal has ended ctx what that means to the user.
func ended(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	return errors.New("interrupted before there was a result: run it again")
}

// openStates is the store in a local directory that keeps what the next run needs.
func openStates(ctx context.Context, dir string) (drivers.StorageDriver, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return drivers.Create(ctx, "filesystem", map[string]any{"rootdirectory": dir})
}

// untilSignal is ctx, ended by what ends a program. A job then says how far it
// has come.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup has it ignored
		ends = append(ends, syscall.SIGHUP)
	}
	return signal.NotifyContext(ctx, ends...)
}

func (j *job) setParallel(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 1000 {
		return fmt.Errorf("%q is not a number from 1 to 1000", s)
	}
	j.parallel = n
	return nil
}

// writeJSON prints a result for scripts.
func writeJSON(to io.Writer, v any) error {
	e := json.NewEncoder(to)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// texts are what problems say, for scripts.
func texts(problems []error) []string {
	var all []string
	for _, p := range problems {
		all = append(all, p.Error())
	}
	return all
}

// unfinished says what a job has met and could not do. It is then a failure.
func unfinished(problems []error) error {
	for _, p := range problems {
		fmt.Fprintf(os.Stderr, "registryfs: %v\n", p)
	}
	if len(problems) > 0 {
		return toldError{1}
	}
	return nil
}
