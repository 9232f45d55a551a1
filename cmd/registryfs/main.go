package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"
)

func main() { os.Exit(run(os.Args)) }

// run executes one command line and returns its exit status.
func run(argv []string) int {
	if helper := filepath.Base(argv[0]); helperNames[helper] {
		return status(helper, runHelper(argv), 32, 1)
	}
	return status("registryfs", runCommand(argv), 1, 2)
}

func runCommand(argv []string) error {
	var o options
	app := newApp(&o)
	argv, err := arrange(app, argv)
	if err != nil {
		return err
	}
	o.commandLine = argv
	return app.Run(argv)
}

// usageError is a command line that makes no sense.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return usageError{fmt.Sprintf(format, args...)}
}

// status says what went wrong, unless that has been said, and returns the exit
// status for it.
func status(program string, err error, failure, usage int) int {
	if err == nil {
		return 0
	}
	var told toldError
	if errors.As(err, &told) {
		return told.status
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", program, err)
	var wrong usageError
	if errors.As(err, &wrong) {
		return usage
	}
	return failure
}

const appHelp = `Repositories, tags and content-addressed manifests as files: ls browses them, cp
puts manifests in, rsync takes backups out and puts them back. It works beside a
live registry, which serves what was copied in.

   registryfs mount /var/lib/registry /mnt        a registry's root directory
   registryfs mount /etc/docker/registry/config.yml /mnt -o ro
   registryfs mount /mnt                          a store of your own
   ls -l /mnt/repositories/library/alpine/_tags
   registryfs umount /mnt
   registryfs check /var/lib/registry             what is wrong, and --repair
   registryfs du /var/lib/registry                what takes the room
   registryfs copy /var/lib/registry s3://images  the whole store, into another
   registryfs gc --dry-run --now /var/lib/registry    what nobody needs`

func newApp(o *options) *cli.App {
	return &cli.App{
		Name:            "registryfs",
		Usage:           "mount and look after the storage of a container registry",
		UsageText:       "registryfs COMMAND [ARGUMENT...]",
		Description:     appHelp,
		Version:         versionText(),
		HideHelpCommand: true,
		Commands:        []*cli.Command{mountCommand(o), umountCommand(), checkCommand(), duCommand(), copyCommand(), gcCommand(), versionCommand()},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("there is no command %q: registryfs --help lists them", c.Args().First())
			}
			return usagef("what to do? registryfs --help lists the commands")
		},
		OnUsageError:   func(_ *cli.Context, err error, _ bool) error { return usageError{err.Error()} },
		ExitErrHandler: func(*cli.Context, error) {}, // run prints it
	}
}
