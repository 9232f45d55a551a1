package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
)

// arrange rewrites a command line into the one order that cli understands, all
// options before all arguments, and spells out each -o list in its place. On
// the way it checks every value, to be able to say where a wrong one is.
func arrange(app *cli.App, argv []string) ([]string, error) {
	if len(argv) < 2 {
		return argv, nil
	}
	command := app.Command(argv[1])
	if command == nil {
		return argv, nil
	}
	a := arranger{command: command.Name, flags: map[string]cli.Flag{}}
	for _, f := range append(command.Flags, cli.HelpFlag) {
		for _, name := range f.Names() {
			a.flags[name] = f
		}
	}
	if err := a.arguments(argv[2:]); err != nil {
		return nil, err
	}
	if a.envFile != "" {
		if err := loadEnvFile(a.envFile); err != nil {
			return nil, err
		}
	}
	for _, f := range command.Flags {
		if err := checkVariables(f); err != nil {
			return nil, err
		}
	}
	if a.help { // cli would take an argument for a topic
		return append(argv[:2:2], "--help"), nil
	}
	out := append(argv[:2:2], a.options...)
	return append(append(out, "--"), a.positional...), nil
}

type arranger struct {
	command             string
	flags               map[string]cli.Flag // by name
	options, positional []string
	envFile             string // --env-file, whose variables the other options may come from
	help                bool
}

// checkVariables checks the environment's values, which cli reads later on.
func checkVariables(f cli.Flag) error {
	d, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return nil
	}
	for _, name := range d.GetEnvVars() {
		if value := os.Getenv(name); value != "" {
			if err := checkValue(f, name, value); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *arranger) arguments(args []string) error {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			a.positional = append(a.positional, args...)
			return nil
		}
		if len(arg) < 2 || arg[0] != '-' {
			a.positional = append(a.positional, arg)
			continue
		}
		name, value, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		f, ok := a.flags[name]
		if list, attached := strings.CutPrefix(arg, "-o"); !ok && attached && a.flags["o"] != nil {
			f, ok, name, value, hasValue = a.flags["o"], true, "o", list, true
		}
		if !ok {
			return usagef("there is no option %s: registryfs %s --help lists them", dashes(name), a.command)
		}
		if !hasValue && takesValue(f) {
			if len(args) == 0 {
				return usagef("option %s needs a value", dashes(name))
			}
			value, args = args[0], args[1:]
		} else if !hasValue {
			value = "true"
		}
		if f == cli.HelpFlag {
			a.help = true
			continue
		}
		if name == "o" {
			if err := a.words(value); err != nil {
				return err
			}
			continue
		}
		if err := a.option(f, dashes(name), value); err != nil {
			return err
		}
	}
	return nil
}

// words takes the list of an -o.
func (a *arranger) words(list string) error {
	for _, word := range splitWords(list) {
		if isForMount(word) {
			continue
		}
		if kernelWords[word] {
			a.options = append(a.options, "-o="+word)
			continue
		}
		name, value, hasValue := strings.Cut(word, "=")
		where := "-o " + name
		switch name {
		case "ro":
			name = "read-only"
		case "rw":
			name, value, hasValue = "read-only", "false", true
		}
		name = strings.ReplaceAll(name, "_", "-")
		f, ok := a.flags[name]
		if !ok || len(name) == 1 || name == "help" {
			return usagef("there is no option %q for -o: registryfs mount --help lists them", word)
		}
		if takesValue(f) && value == "" {
			return usagef("%s needs a value: %[1]s=VALUE", where)
		}
		if !hasValue {
			value = "true"
		}
		if err := a.option(f, where, value); err != nil {
			return err
		}
	}
	return nil
}

// option checks a value and puts the option down. The name is the long one: a
// flag and its alias would both be set, in no order.
func (a *arranger) option(f cli.Flag, where, value string) error {
	if err := checkValue(f, where, value); err != nil {
		return err
	}
	if f.Names()[0] == "env-file" {
		abs, err := filepath.Abs(value) // it is read again from another directory
		if err != nil {
			return err
		}
		a.envFile, value = abs, abs
	}
	a.options = append(a.options, "--"+f.Names()[0]+"="+value)
	return nil
}

func checkValue(f cli.Flag, where, value string) error {
	switch f := f.(type) {
	case *cli.BoolFlag:
		if _, err := strconv.ParseBool(value); err != nil {
			return usagef("%s: %q is neither true nor false", where, value)
		}
	case *cli.GenericFlag:
		if err := f.Value.Set(value); err != nil {
			return usagef("%s: %v", where, err)
		}
	}
	return nil
}

func takesValue(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return ok && d.TakesValue()
}

func dashes(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}
