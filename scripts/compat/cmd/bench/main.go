package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the command line, after the directory of the project.
type options struct {
	root    string
	args    []string // the rest, as given
	dir     string
	runs    int
	quick   bool
	verbose bool
	tasks   []string

	withPeers     bool // for the tasks on S3
	near, distant bool
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "bench: run scripts/bench")
		os.Exit(2)
	}
	o, err := parse(os.Args[1], os.Args[2:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parse(root string, args []string) (options, error) {
	o := options{root: root, args: args}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&o.dir, "dir", "/var/tmp", "a directory on the disk to measure, with 6 GB free")
	flags.IntVar(&o.runs, "runs", 5, "how often to measure; medians are shown")
	flags.BoolVar(&o.quick, "quick", false, "one run of small sizes, to see that all of it works")
	flags.BoolVar(&o.verbose, "verbose", false, "show the least and the largest value beside the median")
	flags.BoolVar(&o.withPeers, "peers", true, "S3: measure rclone mount and s3fs too, and install them")
	flags.BoolVar(&o.near, "near", true, "S3: measure with the server on loopback")
	flags.BoolVar(&o.distant, "far", true, "S3: measure with the server behind a delay")
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), "usage: scripts/bench [option...] [task...]\ntasks: %s\n", strings.Join(taskNames(), " "))
		flags.PrintDefaults()
	}
	for {
		if err := flags.Parse(args); err != nil {
			return o, err
		}
		if flags.NArg() == 0 {
			break
		}
		o.tasks, args = append(o.tasks, flags.Arg(0)), flags.Args()[1:]
	}
	if o.quick {
		o.runs = 1
	}
	if o.runs < 1 {
		return o, errors.New("--runs needs at least 1")
	}
	for _, name := range o.tasks {
		if name != "s3" && !slices.Contains(taskNames(), name) {
			return o, fmt.Errorf("there is no task %q: there are %s", name, strings.Join(taskNames(), ", "))
		}
	}
	return o, nil
}

// task measures one thing and reports rows.
type task struct {
	name string
	run  func(*bench, context.Context) error
}

var tasks = []task{
	{"read", (*bench).read},
	{"raw", (*bench).raw},
	{"tags", (*bench).tags},
	{"rsync", (*bench).rsync},
	{"memory", (*bench).memory},
	{"put", (*bench).put},
	{"open", (*bench).open},
	{"s3list", withS3((*s3Env).s3List)},
	{"s3digests", withStore((*s3Env).medium, (*s3Env).s3Digests)},
	{"s3rsync", withStore((*s3Env).small, (*s3Env).s3Rsync)},
	{"s3read", withStore((*s3Env).big, (*s3Env).s3Read)},
	{"s3random", withStore((*s3Env).big, (*s3Env).s3Random)},
	{"s3first", withStore((*s3Env).medium, (*s3Env).s3First)},
	{"s3put", withStore((*s3Env).big, (*s3Env).s3Put)},
	{"s3again", withStore((*s3Env).big, (*s3Env).s3Again)},
	{"s3memory", withS3((*s3Env).s3Memory)},
}

// wanted reports whether a task was asked for; "s3" asks for all on S3, and
// nothing for all there are.
func (o options) wanted(task string) bool {
	return len(o.tasks) == 0 || slices.Contains(o.tasks, task) || onS3(task) && slices.Contains(o.tasks, "s3")
}

func onS3(task string) bool { return strings.HasPrefix(task, "s3") }

func taskNames() []string {
	var names []string
	for _, t := range tasks {
		names = append(names, t.name)
	}
	return names
}

func run(o options) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.printHeader(ctx); err != nil {
		return err
	}
	var failed []error
	for _, t := range tasks {
		if !o.wanted(t.name) {
			continue
		}
		if !onS3(t.name) {
			b.beginTable()
		}
		start := time.Now()
		b.log("%s ...", t.name)
		err := t.run(b, ctx)
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
		if err = errors.Join(err, b.removeDirs(ctx)); err != nil {
			b.skip(t.name, "failed: "+err.Error())
			failed = append(failed, fmt.Errorf("%s: %w", t.name, err))
		}
		b.log("%s: %.0f s", t.name, time.Since(start).Seconds())
	}
	return errors.Join(failed...)
}
