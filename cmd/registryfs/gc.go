package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"

	"registryfs/layout/gc"
)

const gcHelp = `SOURCE is a store as for registryfs mount. Unreferenced are blobs that no manifest
needs; with --untagged also manifests that no tag leads to, by whatever way, and what
only they need.

Beside a live registry run it twice, at least --min-age apart: the first run notes
what is unreferenced and removes its links, the second one sweeps what nobody has
pushed again. A timer may just run it every day. Pass the registry's config.yml: with
cache.blobdescriptor in it nothing is swept until --registry-cache=flushed says that
the registry was restarted, or its redis flushed, since the run that noted.

   registryfs gc --dry-run --now /var/lib/registry         what it would free
   registryfs gc /etc/docker/registry/config.yml           note, and sweep what was noted
   registryfs gc --untagged --now /var/lib/registry        all at once: stop the registry first

Uploads that nobody went on with for --upload-age are removed too, and what crashes
have left that is as old; and directories that have been empty for --min-age.

The exit status is 1 if something could not be done, or a push was lost: it is named
and has to be made again, after its tag was deleted: crane pushes nothing to a tag
that has the manifest.`

const (
	defaultMinAge    = 24 * time.Hour
	defaultUploadAge = 7 * 24 * time.Hour // as of a registry
)

// collection is one command line of gc.
type collection struct {
	job
	gc.Options
	minAge  *time.Duration // nil: the default
	upload  *time.Duration // the age of one, the same
	flushed bool           // the registry's cache
}

func gcCommand() *cli.Command {
	var j collection
	return &cli.Command{
		Name:            "gc",
		Usage:           "remove what no manifest needs",
		UsageText:       "registryfs gc [OPTION...] SOURCE",
		Description:     gcHelp,
		HideHelpCommand: true,
		Flags: j.flags(
			boolFlag("dry-run", jobCategory, "change nothing, and tell what would be freed", &j.DryRun, "n"),
			boolFlag("untagged", jobCategory, "collect manifests that no tag leads to", &j.Untagged),
			valueFlag("keep-history", jobCategory, "`N` manifests to keep that each tag has pointed to before, with --untagged", "0", j.setHistory),
			valueFlag("order", jobCategory, "`WORD` for what is newest of a tag's history: tagged, or created", "tagged", j.setOrder),
			boolFlag("now", jobCategory, "the registry is stopped: sweep at once", &j.Now),
			valueFlag("min-age", jobCategory, "`TIME` that what is swept must be old, and be noted", "24h, with --now 0s", j.setMinAge),
			valueFlag("upload-age", jobCategory, "`TIME` that an upload, or what a crash has left, must have stood still to be removed, 0s for never", "what config.yml says of purging, or 168h", j.setUploadAge),
			valueFlag("registry-cache", jobCategory, "`WORD` flushed: it was, since the run that noted", "what config.yml says", j.setFlushed),
		),
		OnUsageError: func(_ *cli.Context, err error, _ bool) error { return usageError{err.Error()} },
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usagef("gc takes one SOURCE: registryfs gc [OPTION...] SOURCE")
			}
			if j.KeepHistory > 0 && !j.Untagged {
				return usagef("--keep-history is about what --untagged would remove: add --untagged, or leave it out")
			}
			return j.collect(c)
		},
	}
}

func (j *collection) collect(c *cli.Context) error {
	ctx, stop := untilSignal(c.Context)
	defer stop()
	src, err := j.open(ctx, c.Args().First())
	if err != nil {
		return err
	}
	if src.remote != "" {
		return fmt.Errorf("%s: %w", src.source, gc.ErrCache)
	}
	j.settle(src.store)
	bar := newProgress(os.Stderr, j.quiet)
	j.Progress = bar.update
	report, err := gc.Run(ctx, src.Registry, j.Options)
	bar.close()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errInterrupted
		if report != nil && report.Swept.Files > 0 && !j.Now {
			err = errInterruptedSweep
		}
	}
	if report == nil {
		return err
	}
	if j.json {
		err = errors.Join(err, writeJSON(c.App.Writer, gcJSON(report)))
	} else {
		err = errors.Join(err, writeGC(c.App.Writer, report))
	}
	for _, kept := range report.Kept {
		fmt.Fprintf(os.Stderr, "registryfs: %v\n", kept)
	}
	if err != nil {
		return err
	}
	return unfinished(report.Problems())
}

var (
	errInterrupted      = errors.New("gc was interrupted: run it again, and it does the rest")
	errInterruptedSweep = errors.New("gc was interrupted and has not looked for pushes that lost what it swept: registryfs check names them, another gc does the rest")
)

// settle fills in what the configuration says.
func (j *collection) settle(s store) {
	j.MinAge = defaultMinAge
	if j.Now {
		j.MinAge = 0
	}
	if j.minAge != nil {
		j.MinAge = *j.minAge
	}
	switch {
	case j.upload != nil:
		j.UploadAge = *j.upload
	case s.uploadAge > 0:
		j.UploadAge = s.uploadAge
	default:
		j.UploadAge = defaultUploadAge
	}
	j.Options.Parallel = j.parallel
	j.Options.Memory = j.memory / 2
	if s.blobCache != "" && !j.flushed && !j.Now {
		j.OnlyNote = fmt.Errorf("the registry has a cache of blob descriptors (%s) that goes on believing in swept blobs: "+
			"restart it or flush that after blobs were noted, and say --registry-cache=flushed when it is time to sweep", s.blobCache)
	}
}

func (j *collection) setHistory(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return fmt.Errorf("%q is not a number of manifests", s)
	}
	j.KeepHistory = n
	return nil
}

func (j *collection) setOrder(s string) error {
	if s != "tagged" && s != "created" {
		return fmt.Errorf("%q is neither tagged nor created", s)
	}
	j.ByCreated = s == "created"
	return nil
}

func (j *collection) setMinAge(s string) error {
	j.minAge = new(time.Duration)
	return ageSetter(j.minAge)(s)
}

func (j *collection) setUploadAge(s string) error {
	j.upload = new(time.Duration)
	return ageSetter(j.upload)(s)
}

func (j *collection) setFlushed(s string) error {
	if s != "flushed" {
		return fmt.Errorf("%q is not flushed: say that once it is, or leave it out", s)
	}
	j.flushed = true
	return nil
}

// gcResult is a report for scripts.
type gcResult struct {
	DryRun       bool     `json:"dryRun,omitempty"`
	Repositories int64    `json:"repositories"`
	Manifests    int64    `json:"manifests"`
	Store        gcCount  `json:"store"`
	Unreferenced gcCount  `json:"unreferenced"`
	Swept        gcCount  `json:"swept"`
	Noted        gcCount  `json:"noted"`
	Waiting      gcCount  `json:"waiting"`
	Links        int64    `json:"links"`
	Tags         int64    `json:"tags"`
	History      int64    `json:"history"`
	Restored     int64    `json:"restored"`
	Uploads      gcCount  `json:"uploads"`
	Leftovers    gcCount  `json:"leftovers"`
	Directories  int64    `json:"directories"`
	Kept         []string `json:"kept"`
	Problems     []string `json:"problems"`
	Lost         []string `json:"lost"`
}

type gcCount struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
}

func gcJSON(r *gc.Report) gcResult {
	return gcResult{
		DryRun: r.DryRun, Repositories: r.Repositories, Manifests: r.Manifests,
		Store: gcCount(r.Store), Unreferenced: gcCount(r.Unreferenced),
		Swept: gcCount(r.Swept), Noted: gcCount(r.Noted), Waiting: gcCount(r.Waiting),
		Links: r.Links, Tags: r.Tags, History: r.History, Restored: r.Restored, Uploads: gcCount(r.Uploads), Leftovers: gcCount(r.Leftovers), Directories: r.Directories,
		Kept: texts(r.Kept), Problems: texts(r.Problems()), Lost: r.Lost,
	}
}

// writeGC prints a report for people. What is 0 is left out.
func writeGC(to io.Writer, r *gc.Report) error {
	w := &lineWriter{to: to}
	blobs := func(what string, c gc.Count) {
		if c.Files > 0 {
			w.printf("%s: %d blobs, %s\n", what, c.Files, formatSize(c.Bytes))
		}
	}
	count := func(what string, n int64) {
		if n > 0 {
			w.printf("%s: %d\n", what, n)
		}
	}
	would := ""
	if r.DryRun {
		would = "would be "
	}
	w.printf("store: %d blobs, %s, in %d repositories\n", r.Store.Files, formatSize(r.Store.Bytes), r.Repositories)
	w.printf("unreferenced: %d blobs, %s\n", r.Unreferenced.Files, formatSize(r.Unreferenced.Bytes))
	blobs(would+"noted for a later run", r.Noted)
	blobs("noted before, not long enough ago", r.Waiting)
	count("links "+would+"removed", r.Links)
	count("entries of tags' histories "+would+"removed", r.History)
	count("tags of removed manifests "+would+"removed", r.Tags)
	count("links put back", r.Restored)
	if r.Uploads.Files > 0 {
		w.printf("abandoned uploads %sremoved: %d, %s\n", would, r.Uploads.Files, formatSize(r.Uploads.Bytes))
	}
	if r.Leftovers.Files > 0 {
		w.printf("leftovers of crashes %sremoved: %d, %s\n", would, r.Leftovers.Files, formatSize(r.Leftovers.Bytes))
	}
	count("empty directories removed", r.Directories)
	w.printf("%sfreed: %s in %d blobs\n", would, formatSize(r.Swept.Bytes), r.Swept.Files)
	return w.err
}

// lineWriter keeps the first error.
type lineWriter struct {
	to  io.Writer
	err error
}

func (w *lineWriter) printf(format string, args ...any) {
	if w.err == nil {
		_, w.err = fmt.Fprintf(w.to, format, args...)
	}
}
