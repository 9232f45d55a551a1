package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// fromEnvFile are the names of the variables that the file has set.
var fromEnvFile []string

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// loadEnvFile sets the variables of a file, over those that are set, and unsets
// those that it once had and has no more: the token of the old credentials would
// spoil the new ones. A file that is not understood changes none.
func loadEnvFile(name string) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("--env-file: %w", err)
	}
	variables, err := parseEnvFile(string(text))
	if err != nil {
		return fmt.Errorf("--env-file %s: %w", name, err)
	}
	old := fromEnvFile
	fromEnvFile = nil
	for _, v := range variables {
		if err := os.Setenv(v.name, v.value); err != nil {
			return fmt.Errorf("--env-file %s: set %s: %w", name, v.name, err)
		}
		fromEnvFile = append(fromEnvFile, v.name)
	}
	for _, name := range old {
		if !slices.Contains(fromEnvFile, name) {
			os.Unsetenv(name)
		}
	}
	return nil
}

type variable struct{ name, value string }

// parseEnvFile takes what systemd's EnvironmentFile= and Docker's --env-file have
// in common: NAME=VALUE, empty lines and comments, and quotes around a value.
func parseEnvFile(text string) ([]variable, error) {
	var all []variable
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || !variableName.MatchString(name) || strings.Contains(value, "\x00") { // the line may be a secret: it is not shown
			return nil, fmt.Errorf("line %d is not NAME=VALUE: write one variable a line, and # before a remark", number)
		}
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = value[1 : n-1]
		}
		all = append(all, variable{name, value})
	}
	return all, nil
}
