package main

import (
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

The exit status is 1 if something could not be read, so that a sum lacks it, or no
repository matches a pattern.`

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
			repositories, err := patterns(c.Args().Tail())
			if err != nil {
				return usageError{err.Error()}
			}
			return j.du(c, du.Options{Parallel: j.parallel, Repositories: repositories, Tags: tags || len(repositories) > 0})
		},
	}
}

func patterns(args []string) ([]layout.RepositoryPattern, error) {
	var all []layout.RepositoryPattern
	for _, arg := range args {
		p, err := layout.ParseRepositoryPattern(arg)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
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
		return ended(ctx, err)
	}
	if len(o.Repositories) > 0 && len(report.Repositories) == 0 {
		return unfinished(report.Problems) // there is none that matches
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
