package main

import (
	"os"
	"strings"
)

// helperNames are the names under which mount(8) looks for the program that
// mounts a type.
var helperNames = map[string]bool{"mount.registryfs": true, "mount.fuse.registryfs": true}

// helperPath is where fusermount3 is looked for if there is no PATH, which mount(8)
// takes away when an ordinary user mounts by fstab's word user.
const helperPath = "/usr/local/bin:/usr/bin:/bin"

// runHelper mounts what mount(8) asks for.
func runHelper(argv []string) error {
	call, err := parseHelper(argv[1:])
	if err != nil {
		return err
	}
	if os.Getenv("PATH") == "" {
		os.Setenv("PATH", helperPath)
	}
	o := options{fake: call.fake, helper: true}
	app := newApp(&o)
	args := append([]string{argv[0], "mount"}, call.options...)
	args, err = arrange(app, append(append(args, "--"), call.positional...))
	if err != nil {
		return err
	}
	o.commandLine = args
	return app.Run(args)
}

// helperCall is the command line of a mount helper, as mount(8) has it:
// SOURCE DIR [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE].
type helperCall struct {
	options, positional []string
	fake                bool // -f here, not --foreground
}

func parseHelper(args []string) (helperCall, error) {
	var call helperCall
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch arg {
		case "-f":
			call.fake = true
		case "-s", "-n", "-v": // nothing here is lenient, writes an mtab or talks
		case "-o", "-t", "-N":
			if len(args) == 0 {
				return call, usagef("option %s needs a value", arg)
			}
			if arg == "-N" {
				return call, usagef("mounting in another mount namespace is not supported: use nsenter --mount=%s", args[0])
			}
			if arg == "-o" {
				call.options = append(call.options, "-o", args[0])
			}
			args = args[1:]
		default:
			if strings.HasPrefix(arg, "-") {
				return call, usagef("a mount helper has no option %s: all others go into -o", arg)
			}
			call.positional = append(call.positional, arg)
		}
	}
	if len(call.positional) != 2 {
		return call, usagef("a mount helper needs a SOURCE and a DIR, not %d arguments", len(call.positional))
	}
	return call, nil
}
