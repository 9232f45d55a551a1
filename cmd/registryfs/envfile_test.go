package main

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestParseEnvFile(t *testing.T) {
	got, err := parseEnvFile("# remark\n\nA=1\n B = two words\nC=\"in quotes\"\nD='=x'\nE=\n; remark\nF=\"")
	if err == nil {
		t.Errorf("a name with a blank was taken: %q", got)
	}
	got, err = parseEnvFile("# remark\n\nA=1\r\n B=two words \nC=\"in quotes\"\nD='=x'\nE=\n; remark\nF=\"")
	want := []variable{{"A", "1"}, {"B", "two words"}, {"C", "in quotes"}, {"D", "=x"}, {"E", ""}, {"F", `"`}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("parseEnvFile = %q, %v, want %q", got, err, want)
	}
	for _, bad := range []string{"A=1\nsecret", "=x", "1A=x", "A B=x", "A=\x00"} {
		if _, err := parseEnvFile(bad); err == nil || !strings.Contains(err.Error(), "is not NAME=VALUE") || strings.Contains(err.Error(), "secret") {
			t.Errorf("parseEnvFile(%q) = %v, want the line's number and no more", bad, err)
		}
	}
}

// The file goes before the environment, and the command line before the file.
func TestEnvFile(t *testing.T) {
	for _, name := range []string{"REGISTRYFS_LOG_LEVEL", "REGISTRYFS_UMASK", "AWS_SESSION_TOKEN"} {
		t.Setenv(name, "") // restored at the end
	}
	t.Setenv("REGISTRYFS_LOG_LEVEL", "error")
	file := writeFile(t, t.TempDir()+"/env", "REGISTRYFS_LOG_LEVEL=debug\nREGISTRYFS_UMASK=077\nAWS_SESSION_TOKEN=old\n")
	read := func(args ...string) *options {
		t.Helper()
		o := &options{commandLine: append([]string{"registryfs", "mount", "/mnt"}, args...)}
		fresh, err := o.again()
		if err != nil {
			t.Fatal(err)
		}
		return fresh
	}
	if o := read("--env-file", file); o.logLevel.String() != "DEBUG" || o.umask != 0o077 {
		t.Errorf("log level %v, umask %o, want those of the file", o.logLevel, o.umask)
	}
	if o := read("-o", "env_file="+file+",log-level=warn"); o.logLevel.String() != "WARN" || o.umask != 0o077 {
		t.Errorf("log level %v, umask %o, want that of the command line, and that of the file", o.logLevel, o.umask)
	}
	writeFile(t, file, "REGISTRYFS_LOG_LEVEL=info\n")
	if o := read("--env-file=" + file); o.logLevel.String() != "INFO" || o.umask != 0 {
		t.Errorf("log level %v, umask %o, want those of the file as it is now", o.logLevel, o.umask)
	}
	if token, ok := os.LookupEnv("AWS_SESSION_TOKEN"); ok {
		t.Errorf("the token %q was kept, which the file has no more", token)
	}
	for text, want := range map[string]string{"REGISTRYFS_LOG_LEVEL=loud": "REGISTRYFS_LOG_LEVEL", "nonsense": "line 1"} {
		writeFile(t, file, text)
		o := options{commandLine: []string{"registryfs", "mount", "--env-file", file, "/mnt"}}
		if _, err := o.again(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("with %q in the file: %v, want %q", text, err, want)
		}
	}
}
