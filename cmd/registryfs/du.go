package main

import (
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"registryfs/layout"
	"registryfs/layout/du"
)

const duHelp = `SOURCE is a store as for registryfs mount. Without REPOSITORY all repositories are
shown, else those that match, with their tags. A pattern is like team/app, team/*
for those directly below team, or team/** for all.

Each digest counts once. UNIQUE is what nothing else uses: no other repository
and, of a tag, no other tag; so it is what removing this one and a garbage
collection would free. UNTAGGED is what no tag of the repository needs. In a mount

   du -sb --exclude=_tags /mnt/repositories/team/app

gives the TOTAL of a repository.

   registryfs du /var/lib/registry
   registryfs du 's3://images?region=eu-central-1' 'team/*'
   registryfs du --json --tags /var/lib/registry | jq -r '.repositories[].tags[] | [.unique, .name] | @tsv'

The exit status is 1 if something could not be read, so that a sum lacks it.`

func duCommand() *cli.Command {
	var j job
	var tags bool
	return &cli.Command{
		Name:            "du",
		Usage:           "tell how much room repositories and tags take",
		UsageText:       "registryfs du [OPTION...] SOURCE [REPOSITORY...]",
		Description:     duHelp,
		HideHelpCommand: true,
		Flags:           j.flags(boolFlag("tags", jobCategory, "show the tags of all repositories", &tags)),
		OnUsageError:    func(_ *cli.Context, err error, _ bool) error { return usageError{err.Error()} },
		Action: func(c *cli.Context) error {
			if !c.Args().Present() {
				return usagef("du takes a SOURCE: registryfs du SOURCE [REPOSITORY...]")
			}
			o := du.Options{Parallel: j.parallel}
			for _, arg := range c.Args().Tail() {
				p, err := layout.ParseRepositoryPattern(arg)
				if err != nil {
					return usageError{err.Error()}
				}
				o.Repositories = append(o.Repositories, p)
			}
			o.Tags = tags || len(o.Repositories) > 0
			return j.du(c, o)
		},
	}
}

func (j *job) du(c *cli.Context, o du.Options) error {
	ctx, stop := untilSignal(c.Context)
	defer stop()
	src, err := j.open(ctx, c.Args().First())
	if err != nil {
		return err
	}
	bar := newProgress(os.Stderr, j.quiet)
	o.Progress = bar.update
	report, err := du.Measure(ctx, src.Registry, o)
	bar.close()
	if err != nil {
		return err
	}
	if len(o.Repositories) > 0 && len(report.Repositories) == 0 && len(report.Problems) == 0 {
		return fmt.Errorf("no repository of %s has such a name: registryfs du SOURCE lists all", src.source)
	}
	if j.json {
		err = writeJSON(c.App.Writer, duJSON(report, len(o.Repositories) == 0))
	} else {
		err = writeDu(c.App.Writer, report, len(o.Repositories) == 0, o.Tags)
	}
	if err != nil {
		return err
	}
	return unfinished(report.Problems)
}
