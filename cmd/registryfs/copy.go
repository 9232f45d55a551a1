package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"registryfs/layout/copier"
)

const copyHelp = `SOURCE and DEST are stores as for registryfs mount; a directory is made when absent.
What DEST has already is not copied again, so a copy that was interrupted goes on,
and one that is made every night costs little. Nothing is removed from DEST.

A registry may write to SOURCE meanwhile: links and tags are read first and written
last, and a tag appears in DEST only when all it needs is there. Every blob is
verified against its digest on the way, but for large ones that an S3 store copies
itself, from bucket to bucket with the same credentials: it is asked for size and
checksums of both. What SOURCE lacks is named, and so is a PATTERN that matches no
repository; the rest is copied, and the exit status is 1.

   registryfs copy /var/lib/registry 's3://images/prod?region=eu-central-1'
   registryfs copy --repository 'team/**' /etc/docker/registry/config.yml /backup
   registryfs copy 's3://images/prod' 's3://images-backup/prod'

Do not collect garbage in DEST while it runs.`

func copyCommand() *cli.Command {
	var j job
	var o copier.Options
	return &cli.Command{
		Name:            "copy",
		Usage:           "copy a store, or some of its repositories, into another store",
		UsageText:       "registryfs copy [OPTION...] SOURCE DEST",
		Description:     copyHelp,
		HideHelpCommand: true,
		Flags: j.flags(
			&cli.StringSliceFlag{Name: "repository", Category: jobCategory, DefaultText: "the whole store", EnvVars: []string{envName("repository")},
				Usage: "`PATTERN` of repositories to copy: team/app, team/* or team/**; may be repeated"},
			boolFlag("uploads", jobCategory, "copy uploads in progress too", &o.Uploads),
		),
		OnUsageError: func(_ *cli.Context, err error, _ bool) error { return usageError{err.Error()} },
		Action: func(c *cli.Context) error {
			if c.NArg() != 2 {
				return usagef("copy takes two stores: registryfs copy SOURCE DEST")
			}
			var err error
			if o.Repositories, err = patterns(c.StringSlice("repository")); err != nil {
				return usagef("--repository: %v", err)
			}
			o.Parallel = j.parallel
			return j.copy(c, o)
		},
	}
}

func (j *job) copy(c *cli.Context, o copier.Options) error {
	ctx, stop := untilSignal(c.Context)
	defer stop()
	memory := j.budget()
	j.memory = memory.Size() / 2 // for each of the two
	from, to, err := j.openBoth(ctx, c.Args().Get(0), c.Args().Get(1))
	if err != nil {
		return err
	}
	limitMemory(memory)
	bar := newProgress(os.Stderr, j.quiet)
	o.Progress = bar.update
	report, err := copier.Copy(ctx, from.Registry, to.Registry, o)
	bar.close()
	switch {
	case err != nil && ctx.Err() != nil:
		err = errors.New("the copy was interrupted: run it again, and it goes on where it was")
	case err != nil:
		err = fmt.Errorf("the copy has ended on the way: %w: mend that and run it again, and it goes on where it was", err)
	}
	if err == nil && len(o.Repositories) > 0 && report.Repositories == 0 {
		return unfinished(report.Problems) // there is none that matches
	}
	if j.json {
		err = errors.Join(err, writeJSON(c.App.Writer, copyJSON(report)))
	} else {
		_, printErr := fmt.Fprintln(c.App.Writer, copied(report))
		err = errors.Join(err, printErr)
	}
	if told := unfinished(report.Problems); err == nil {
		err = told
	}
	return err
}

// copied says in a line what a copy has come to.
func copied(r copier.Report) string {
	s := fmt.Sprintf("%d repositories: %d blobs (%s) and %d links copied, %d tags set, %d blobs were there",
		r.Repositories, r.Blobs, formatSize(r.Bytes), r.Links, r.Tags, r.Present)
	if r.Files > 0 {
		s += fmt.Sprintf("; %d other files copied", r.Files)
	}
	if r.LeftOut > 0 {
		s += fmt.Sprintf("; %d links that lead nowhere left out", r.LeftOut)
	}
	return s
}

// copyJSON is the report for scripts.
func copyJSON(r copier.Report) any {
	return struct {
		Repositories int      `json:"repositories"`
		Tags         int      `json:"tags"`
		Links        int      `json:"links"`
		Blobs        int      `json:"blobs"`
		Bytes        int64    `json:"bytes"`
		Present      int      `json:"present"`
		Files        int      `json:"files"`
		LeftOut      int      `json:"leftOut"`
		Problems     []string `json:"problems,omitempty"`
	}{r.Repositories, r.Tags, r.Links, r.Blobs, r.Bytes, r.Present, r.Files, r.LeftOut, texts(r.Problems)}
}
