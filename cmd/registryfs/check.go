package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"registryfs/layout/check"
)

const checkHelp = `SOURCE is a store as for registryfs mount. Every link is looked at, every manifest
is read, and all that it names must be there; with --data every blob is read and
compared with its digest. A registry may run meanwhile.

Each line is a fault, which a registry does not serve as it was pushed, or a note,
which does no harm. What no tag or no link leads to is counted, and shown with
--json.

--repair mends what can be mended without guessing: links from their path, the
current link of a tag from its history of one, missing links of layers, blobs of
which a crash has left the content elsewhere; and removes what crashes have left.
--repair --dry-run only lists it. A line that speaks of a cache is for a registry
with cache.blobdescriptor.

A check with --data that was ended goes on where it was. --shard 1/4 to 4/4 on four
machines check a quarter each.

   registryfs check /var/lib/registry
   registryfs check --repair --dry-run /var/lib/registry
   registryfs check --data --rate 50MiB --verified-within 30d 's3://images?region=eu-central-1'
   registryfs check --json /var/lib/registry | jq -r '.findings[] | select(.weight == "fault") | .path'

The exit status is 0 if there are no faults, or none any more; 1 if there are, or if
a repair has failed; 2 if the store could not be checked to the end.`

func checkCommand() *cli.Command {
	var j job
	o := check.Options{MinAge: 24 * time.Hour}
	return &cli.Command{
		Name:            "check",
		Usage:           "look for what is wrong in a store, and repair it",
		UsageText:       "registryfs check [OPTION...] SOURCE",
		Description:     checkHelp,
		HideHelpCommand: true,
		Flags: j.flags(
			boolFlag("data", jobCategory, "read every blob", &o.Data),
			valueFlag("verified-within", jobCategory, "with --data pass over blobs verified within `AGE`, such as 12h or 30d", "those of a check that was ended", ageSetter(&o.Within)),
			valueFlag("rate", jobCategory, "read at most `SIZE` of blobs a second", "no limit", sizeSetter(&o.Rate)),
			valueFlag("shard", jobCategory, "check part `I/N` of the store", "all", shardSetter(&o)),
			boolFlag("repair", jobCategory, "mend what can be mended without guessing", &o.Repair),
			boolFlag("dry-run", jobCategory, "with --repair only list what it would do", &o.DryRun),
			valueFlag("min-age", jobCategory, "`AGE` from which on what nobody finished is a leftover, and what nothing leads to lost", "24h", ageSetter(&o.MinAge)),
		),
		OnUsageError: func(_ *cli.Context, err error, _ bool) error { return usageError{err.Error()} },
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usagef("check takes one SOURCE: registryfs check SOURCE")
			}
			if o.DryRun && !o.Repair {
				return usagef("--dry-run goes with --repair")
			}
			o.Parallel = j.parallel
			return checked(j.check(c, o))
		},
	}
}

// checked is the exit status of a check: what keeps it from its end is not what it
// looks for.
func checked(err error) error {
	var told toldError
	var wrong usageError
	if err == nil || errors.As(err, &told) || errors.As(err, &wrong) {
		return err
	}
	fmt.Fprintf(os.Stderr, "registryfs: %v\n", err)
	return toldError{2}
}

func (j *job) check(c *cli.Context, o check.Options) error {
	ctx, stop := untilSignal(c.Context)
	defer stop()
	var to checkReport = &checkText{w: c.App.Writer, dryRun: o.DryRun}
	if j.json {
		to = &checkJSON{w: c.App.Writer}
	}
	sum, err := j.runCheck(ctx, c.Args().First(), o, to)
	if err := to.end(sum, err); err != nil {
		return err
	}
	if err == nil && sum.Faults+sum.Failed > 0 {
		return toldError{1}
	}
	return err
}

// runCheck checks the store that the user names. An error says that there is no end.
func (j *job) runCheck(ctx context.Context, name string, o check.Options, to checkReport) (check.Summary, error) {
	src, err := j.open(ctx, name)
	if err != nil {
		return check.Summary{}, err
	}
	bar := newProgress(os.Stderr, j.quiet)
	o.Progress = bar.update
	o.Found = func(f check.Finding) { bar.above(func() { to.found(f) }) }
	o.Repaired = func(f check.Fix, err error) { bar.above(func() { to.repaired(f, err) }) }
	sum, err := check.Run(ctx, src.Registry, o)
	bar.close()
	switch {
	case ctx.Err() != nil && o.Data:
		err = errors.New("the check was ended; the next one goes on with the blobs that it has not read")
	case ctx.Err() != nil:
		err = errors.New("the check was ended")
	case errors.Is(err, check.ErrNotRecorded):
		src.log.Warn("the store does not keep what was found: use --state DIR where it is read-only", "reason", err)
		err = nil
	case errors.Is(err, check.ErrNoRegistry):
		err = fmt.Errorf("%w %s: SOURCE is the directory, or the prefix, above docker/registry/v2", err, src.source)
	case err != nil:
		err = fmt.Errorf("check %s: %w", src.source, err)
	}
	return sum, err
}

func shardSetter(o *check.Options) setter {
	return func(s string) error {
		i, n, _ := strings.Cut(s, "/")
		shard, err1 := strconv.Atoi(i)
		shards, err2 := strconv.Atoi(n)
		if err := errors.Join(err1, err2); err != nil || shard < 1 || shard > shards || shards > 256 {
			return fmt.Errorf("%q is not a part: use one like 2/4, of at most 256", s)
		}
		o.Shard, o.Shards = shard, shards
		return nil
	}
}
