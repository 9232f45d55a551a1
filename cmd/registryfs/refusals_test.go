package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// Each refusal is one sentence on stderr and a status, and leaves nothing
// behind, with -f and without.
func TestRefusals(t *testing.T) {
	withoutVariables(t)
	s := newScene(t)
	file := writeFile(t, filepath.Join(s.dir, "file"), "hello\n")
	mkdir(t, s.dir, "full", registryTree)
	full := filepath.Join(s.dir, "full")
	conf := func(name, more string) string {
		return writeFile(t, filepath.Join(s.dir, name+".yml"), config(more))
	}
	tests := []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"no command", nil, 2, "what to do? registryfs --help lists the commands"},
		{"unknown command", []string{"munt"}, 2, `there is no command "munt"`},
		{"unknown global option", []string{"--frobnicate"}, 2, "frobnicate"},
		{"version with an argument", []string{"version", "1"}, 2, "version takes no argument"},
		{"no mount point", []string{"mount"}, 2, "mount needs a MOUNTPOINT"},
		{"no mount point after a URL", []string{"mount", "s3://b/p?region=x"}, 2, "put the URL in quotes"},
		{"too much", []string{"mount", "a", "b", "c"}, 2, `"c" is too much`},
		{"unknown option", []string{"mount", s.store, s.mnt, "--frobnicate"}, 2, "there is no option --frobnicate"},
		{"unknown word", []string{"mount", s.store, s.mnt, "-o", "ro,frobnicate"}, 2, `there is no option "frobnicate" for -o`},
		{"bad value", []string{"mount", s.store, s.mnt, "--umask", "9"}, 2, `--umask: "9" is not an octal number`},
		{"a list of nothing", []string{"mount", s.store, s.mnt, "--index-children", "list"}, 2, "needs a list"},

		{"absent source", []string{"mount", s.dir + "/absent", s.mnt}, 1, "does not exist: pass a registry's root directory"},
		{"inside a registry", []string{"mount", full + "/docker/registry/v2", s.mnt}, 1, `pass its root directory, "` + full + `"`},
		{"source is no config", []string{"mount", file, s.mnt}, 1, "this file does not"},
		{"credentials in a URL", []string{"mount", "s3://b?secretkey=x", s.mnt}, 1, "secretkey in a URL is seen by all users"},
		{"no storage", []string{"mount", conf("none", "log: {}\n"), s.mnt}, 1, "no storage configuration provided"},
		{"unknown driver", []string{"mount", conf("floppy", "storage: floppy\n"), s.mnt}, 1, "StorageDriver not registered: floppy: the drivers are"},
		{"bad type", []string{"mount", conf("type", filesystemStorage+"  delete: {enabled: 'true'}\n"), s.mnt}, 1, "storage.delete.enabled is"},
		{"root directory of another machine", []string{"mount", conf("else", "storage: {filesystem: {rootdirectory: /no/such}}\n"), s.mnt}, 1, "does not exist on this machine"},

		{"absent mount point", []string{"mount", s.store, s.dir + "/absent"}, 1, "does not exist: make it with: mkdir -p"},
		{"mount point is a file", []string{"mount", s.store, file}, 1, "is a file: pass a directory"},
		{"mount point is the store", []string{"mount", s.store, s.store}, 1, "lie within each other"},
		{"mount point above the store", []string{"mount", s.store, s.dir}, 1, "lie within each other"},
		{"mount point is a registry", []string{"mount", full}, 1, "pass it as SOURCE"},
		{"log file in no directory", []string{"mount", s.store, s.mnt, "--log-file", s.dir + "/absent/log"}, 1, "open the log file"},

		{"umount of nothing", []string{"umount"}, 2, "umount takes one MOUNTPOINT"},
		{"umount of two", []string{"umount", "a", "b"}, 2, "umount takes one MOUNTPOINT"},
		{"umount of a directory", []string{"umount", s.mnt}, 1, "there is no registryfs on"},
		{"umount of what is absent", []string{"umount", s.dir + "/absent"}, 1, "does not exist"},
		{"du of nothing", []string{"du"}, 2, "du takes a SOURCE"},
		{"du of no name", []string{"du", s.store, "Upper"}, 2, "not a legal name"},
		{"du of a name that is not there", []string{"du", s.store, "team/*"}, 1, `no repository of the store matches "team/*"`},
		{"copy to nowhere", []string{"copy", s.store}, 2, "copy takes two stores"},
		{"copy onto itself", []string{"copy", s.store, s.store + "/."}, 1, "are the same store"},
		{"copy into itself", []string{"copy", s.store, s.store + "/new"}, 1, "is inside SOURCE"},
		{"copy of a part", []string{"copy", s.store, s.dir}, 1, "is inside DEST"},
		{"copy of no name", []string{"copy", s.store, s.dir + "/made", "--repository", "Upper"}, 2, "not a legal name"},
		{"copy of a name that is not there", []string{"copy", full, s.dir + "/made", "--repository", "a*"}, 1, `no repository of the store matches "a*"`},
		{"copy to what is no store", []string{"copy", s.store, file}, 1, "this file does not"},
		{"copy to a read-only store", []string{"copy", s.store, conf("ro", "storage: {filesystem: {rootdirectory: "+s.dir+"}, maintenance: {readonly: {enabled: true}}}\n")}, 1, "is read-only by storage.maintenance.readonly"},
		{"umount with an option", []string{"umount", s.mnt, "--frobnicate"}, 2, "there is no option --frobnicate"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, extra := range [][]string{nil, {"-f"}} {
				if extra != nil && (len(test.args) == 0 || test.args[0] != "mount") {
					continue
				}
				got := registryfs(t, append(test.args[:len(test.args):len(test.args)], extra...)...)
				if got.status != test.status || !strings.Contains(got.stderr, test.want) || got.stdout != "" {
					t.Errorf("registryfs %q %q: %v, want status %d and %q", test.args, extra, got, test.status, test.want)
				}
				if lines := strings.Count(got.stderr, "\n"); lines != 1 || !strings.HasPrefix(got.stderr, "registryfs: ") {
					t.Errorf("registryfs %q %q said %q, want one sentence", test.args, extra, got.stderr)
				}
			}
			s.unmounted(t)
		})
	}
	if entries, err := os.ReadDir(s.store); err != nil || len(entries) > 0 {
		t.Errorf("the store holds %v, %v, want nothing", entries, err)
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"-h"}, {"mount", "--help"}, {"mount", "a", "-h", "b"}, {"umount", "--help"}, {"version", "-h"}} {
		got := registryfs(t, args...)
		if got.status != 0 || got.stderr != "" || !strings.Contains(got.stdout, "USAGE") {
			t.Errorf("registryfs %q: %v, want help", args, got)
		}
	}
	help := registryfs(t, "mount", "--help").stdout
	for _, f := range new(options).flags() {
		name := f.Names()[0]
		if name == "o" {
			continue
		}
		hasVariable := name != "env-file" // where variables come from
		if !strings.Contains(help, "--"+name) || hasVariable && !strings.Contains(help, "$"+envName(name)) {
			t.Errorf("the help of mount lacks --%s or its variable", name)
		}
	}
}

func TestVersion(t *testing.T) {
	for _, arg := range []string{"version", "--version"} {
		if got := registryfs(t, arg); got.status != 0 || !strings.Contains(got.stdout, " go1.") {
			t.Errorf("registryfs %s: %v, want the version", arg, got)
		}
	}
}

// TestCopyPatterns wants options to take the place of the variable, and what none
// of the repositories matches to be named once.
func TestCopyPatterns(t *testing.T) {
	withoutVariables(t)
	t.Setenv(envName("repository"), "variable")
	from, to := t.TempDir(), t.TempDir()
	mkdir(t, from, registryTree)
	got := registryfs(t, "copy", "-q", "--repository", "one", "--repository=two/*", from, to)
	if got.status != 1 || strings.Count(got.stderr, "one") != 1 || strings.Count(got.stderr, "two/*") != 1 || strings.Contains(got.stderr, "variable") {
		t.Errorf("copy: %v, want status 1, and one and two/* named once", got)
	}
}

// TestCopyEnds wants a destination that fails to end the copy, with what to do.
func TestCopyEnds(t *testing.T) {
	withoutVariables(t)
	from, to := t.TempDir(), t.TempDir()
	d := digest.FromString("content")
	writeFile(t, filepath.Join(mkdir(t, from, registryTree, "blobs/sha256", d.Encoded()[:2], d.Encoded()), "data"), "content")
	writeFile(t, filepath.Join(mkdir(t, to, registryTree), "blobs"), "a file and no directory")
	got := registryfs(t, "copy", "-q", from, to)
	if got.status != 1 || !strings.Contains(got.stderr, "blob "+string(d)) || !strings.Contains(got.stderr, "run it again") {
		t.Errorf("copy: %v, want status 1, the blob and the remedy", got)
	}
}
