package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"registryfs/fusefs"
)

func umountCommand() *cli.Command {
	return &cli.Command{
		Name:      "umount",
		Aliases:   []string{"unmount"},
		Usage:     "unmount what was mounted",
		UsageText: "registryfs umount MOUNTPOINT [--lazy] [--wait TIME]",
		Description: "A mount that is in use stays, and the processes that use it are named. Files that\n" +
			"are being written are waited for. What a killed process has left behind is cleared.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "lazy", Aliases: []string{"l"},
				Usage: "take the mount away now, and let open files be used until they are closed"},
			&cli.DurationFlag{Name: "wait", Value: defaultPatience,
				Usage: "`TIME` to wait for files that are being written"},
		},
		HideHelpCommand: true,
		OnUsageError:    func(_ *cli.Context, err error, _ bool) error { return usageError{err.Error()} },
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usagef("umount takes one MOUNTPOINT: registryfs umount MOUNTPOINT [--lazy]")
			}
			return unmount(c.Args().First(), c.Bool("lazy"), c.Duration("wait"))
		},
	}
}

// defaultPatience is for a large upload that is nearly there.
const defaultPatience = time.Minute

func unmount(name string, lazy bool, patience time.Duration) error {
	dir, err := realPath(name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%q does not exist", name)
	}
	if err != nil {
		return err
	}
	ours, err := fusefs.IsMounted(dir)
	if err != nil {
		return err
	}
	if !ours {
		return fmt.Errorf("there is no registryfs on %q: findmnt -t fuse.registryfs lists those there are", dir)
	}
	// A shell may have been replaced by this process, inside the mount.
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if fusefs.IsDead(dir) {
		return clearDead(dir)
	}
	err = fusefs.Unmount(dir, lazy)
	said, until := "", time.Now().Add(patience)
	// Between a try and a look the last upload may end: it takes two looks.
	for idle := 0; errors.Is(err, syscall.EBUSY) && time.Now().Before(until); {
		uploads := uploadsIn(dir)
		if len(uploads) > 0 {
			idle = 0
		} else if idle++; idle == 2 {
			break
		}
		if text := waitingFor(uploads); len(uploads) > 0 && text != said {
			fmt.Fprintf(os.Stderr, "registryfs: %s\n", text)
			said = text
		}
		time.Sleep(waitTick)
		err = fusefs.Unmount(dir, false)
	}
	if err != nil {
		return unmountError(dir, err)
	}
	return nil
}

// uploadsIn are the files that are being written, or none if the mount does not
// tell us: only those who may look into it can ask.
func uploadsIn(dir string) []string {
	text, err := os.ReadFile(filepath.Join(dir, ".registryfs", "uploads"))
	if err != nil {
		return nil
	}
	return strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
}

func unmountError(dir string, err error) error {
	if errors.Is(err, syscall.EBUSY) {
		return fmt.Errorf("%q is in use by %s: end that, or take the mount away with: registryfs umount --lazy %[1]q", dir, holders(dir))
	}
	if os.Geteuid() != 0 && !errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("unmount %s: %w: only root and the user who mounted it may do that", dir, err)
	}
	return fmt.Errorf("unmount %s: %w", dir, err)
}
