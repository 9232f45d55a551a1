package main

import (
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"registryfs/layout"
)

const mountHelp = `SOURCE is a registry's root directory (it contains docker/registry/v2, or will),
or a registry's config.yml, whose storage section and REGISTRY_STORAGE_...
variables are read by the registry's rules, or s3://BUCKET/PREFIX?PARAMETER=VALUE
with the parameters of storage.s3. Without SOURCE it is a store of your own in
~/.local/share/registryfs/store, made when absent.

Credentials for S3 come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, from
the files in ~/.aws, from the machine's role or from the config.yml.

The command returns when the mount answers; registryfs umount, or SIGTERM, ends
it. SIGHUP has it read --env-file, the log level and the credentials for S3
again, and begin the log file anew; with -f on a terminal SIGHUP ends it too. Options may also follow the
arguments.

   registryfs mount /var/lib/registry /mnt
   registryfs mount /var/lib/registry /mnt -o ro,allow_other
   registryfs mount /etc/docker/registry/config.yml /mnt --allow-delete
   registryfs mount 's3://images?region=eu-central-1' /mnt
   registryfs mount 's3://images/prod?endpoint=http://127.0.0.1:9000' /mnt
   registryfs mount -f --log-level debug /mnt

In fstab, with this program installed as /sbin/mount.registryfs:

   /var/lib/registry  /mnt  registryfs  ro,allow_other,nofail  0  0`

func mountCommand(o *options) *cli.Command {
	return &cli.Command{
		Name:            "mount",
		Usage:           "mount a registry's storage",
		UsageText:       "registryfs mount [OPTION...] [SOURCE] MOUNTPOINT [OPTION...]",
		Description:     mountHelp,
		Flags:           o.flags(),
		HideHelpCommand: true,
		OnUsageError:    func(_ *cli.Context, err error, _ bool) error { return usageError{err.Error()} },
		Action:          o.mount,
	}
}

// mount is the mount command. A mount that is to run in the background comes
// here twice: first to start the process that serves it, then in that process.
func (o *options) mount(c *cli.Context) error {
	source, mountpoint, err := mountArguments(c.Args().Slice())
	if err != nil {
		return err
	}
	if err := o.complete(c); err != nil {
		return err
	}
	waiter := findWaiter()
	if waiter == nil && !o.foreground && !o.fake {
		return startDaemon()
	}
	log, err := o.openLog(waiter != nil)
	if err != nil {
		return err
	}
	m := mounting{options: o, log: log, waiter: waiter, manager: findManager()}
	return m.run(c.Context, source, mountpoint)
}

func mountArguments(args []string) (source, mountpoint string, err error) {
	switch len(args) {
	case 0:
		return "", "", usagef("mount needs a MOUNTPOINT: registryfs mount [SOURCE] MOUNTPOINT")
	case 1:
		mountpoint = args[0]
	case 2:
		source, mountpoint = args[0], args[1]
		if source == "" {
			return "", "", usagef("SOURCE is empty: leave it out for the default store")
		}
	default:
		return "", "", usagef("mount takes a SOURCE and a MOUNTPOINT, %q is too much", args[2])
	}
	if mountpoint == "" {
		return "", "", usagef("MOUNTPOINT is empty")
	}
	if strings.Contains(mountpoint, "://") {
		return "", "", usagef("the MOUNTPOINT after the URL is missing: put the URL in quotes, & ends a command of the shell")
	}
	return source, mountpoint, nil
}

// complete checks the options against each other and fills in what follows
// from where the process runs.
func (o *options) complete(c *cli.Context) error {
	o.kernel = c.StringSlice("o")
	o.deleteSet = c.IsSet("allow-delete")
	if len(o.platforms) > 0 && (o.children == nil || *o.children != layout.ChildrenList) {
		return usagef("--index-platforms goes with --index-children=list")
	}
	for _, dir := range []*string{&o.spoolDir, &o.stateDir, &o.logFile, &o.cacheDir} {
		if *dir == "" || dir == &o.cacheDir && *dir == cacheNone {
			continue
		}
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return err
		}
		*dir = abs
	}
	return nil
}
