package main

import (
	"errors"
	"log/slog"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"registryfs/layout"
)

// parseMount parses the arguments of a mount command without mounting.
func parseMount(args ...string) (options, []string, error) {
	var o options
	var positional []string
	app := newApp(&o)
	app.Command("mount").Action = func(c *cli.Context) error {
		positional = c.Args().Slice()
		return o.complete(c)
	}
	argv, err := arrange(app, append([]string{"registryfs", "mount"}, args...))
	if err == nil {
		err = app.Run(argv)
	}
	return o, positional, err
}

// withoutVariables keeps the environment of the test out of it.
func withoutVariables(t *testing.T) {
	t.Helper()
	for _, variable := range os.Environ() {
		if name, value, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "REGISTRY") {
			t.Setenv(name, value) // restores it
			os.Unsetenv(name)
		}
	}
}

func number(n uint32) *uint32 { return &n }

func mode(m layout.ChildrenMode) *layout.ChildrenMode { return &m }

func TestMountOptions(t *testing.T) {
	withoutVariables(t)
	tests := []struct {
		name string
		env  map[string]string
		args []string
		want options
	}{
		{name: "none"},
		{name: "flags first", args: []string{"--read-only", "--uid", "5", "src", "mnt"},
			want: options{readOnly: true, uid: number(5)}},
		{name: "flags last", args: []string{"src", "mnt", "--read-only", "--uid=5"},
			want: options{readOnly: true, uid: number(5)}},
		{name: "flags between", args: []string{"src", "-f", "mnt", "--gid", "6"},
			want: options{foreground: true, gid: number(6)}},
		{name: "o last, as mount(8) has it", args: []string{"src", "mnt", "-o", "ro,allow_other,uid=5,gid=6,umask=027"},
			want: options{readOnly: true, allowOther: true, uid: number(5), gid: number(6), umask: 0o27}},
		{name: "o attached", args: []string{"-oro,xattrs", "src", "mnt"},
			want: options{readOnly: true, xattrs: true}},
		{name: "o with an equals sign", args: []string{"-o=ro", "src", "mnt"},
			want: options{readOnly: true}},
		{name: "words of mount(8)", args: []string{"-o", "defaults,noauto,nofail,_netdev,user,users,nosuid,nodev,suid,dev,noatime,relatime,sync,x-systemd.automount,X-a,comment=b"}},
		{name: "words for the kernel", args: []string{"-o", "default_permissions,noexec", "-o", "ro"},
			want: options{readOnly: true, kernel: []string{"default_permissions", "noexec"}}},
		{name: "empty words", args: []string{"-o", ",,ro,"}, want: options{readOnly: true}},
		{name: "the later word counts", args: []string{"-o", "ro,uid=1", "-o", "rw,uid=2"}, want: options{uid: number(2)}},
		{name: "a word with dashes", args: []string{"-o", "allow-delete,tag-ttl=2s"},
			want: options{allowDelete: true, deleteSet: true, tagTTL: 2 * time.Second}},
		{name: "a word with underscores", args: []string{"-o", "allow_delete,tag_ttl=2"},
			want: options{allowDelete: true, deleteSet: true, tagTTL: 2 * time.Second}},
		{name: "a comma in a value", args: []string{"-o", `log_file=/a\,b,ro`},
			want: options{readOnly: true, logFile: "/a,b"}},
		{name: "a boolean turned off", args: []string{"--allow-delete=false", "-o", "xattrs=0"},
			want: options{deleteSet: true}},
		{name: "all else", args: []string{"--references", "strict", "--index-children", "none", "--spool-dir", "/s",
			"--spool-memory", "8MiB", "--state-dir", "/t", "--force-cache-writes", "--log-level", "warn",
			"--log-format", "json", "--log-file", "/l", "--debug"},
			want: options{references: layout.ReferencesStrict, children: mode(layout.ChildrenNone), spoolDir: "/s",
				spoolMemory: 8 << 20, stateDir: "/t", forceCacheWrites: true, logLevel: slog.LevelWarn,
				logJSON: true, logFile: "/l", debug: true}},
		{name: "platforms", args: []string{"-o", "index_children=list,index_platforms=linux/amd64:Linux/ARM64"},
			want: options{children: mode(layout.ChildrenList),
				platforms: []layout.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}}}},
		{name: "users by name", args: []string{"--uid", "root", "--gid", "root"},
			want: options{uid: number(0), gid: number(0)}},
		{name: "variables", env: map[string]string{"REGISTRYFS_READ_ONLY": "1", "REGISTRYFS_UID": "5",
			"REGISTRYFS_STATE_DIR": "/t", "REGISTRYFS_SPOOL_MEMORY": "1k", "REGISTRYFS_GID": ""},
			want: options{readOnly: true, uid: number(5), stateDir: "/t", spoolMemory: 1024}},
		{name: "a store over a network", args: []string{"--memory", "1GiB", "--cache-dir=/c", "--cache-size", "5G"},
			want: options{memory: 1 << 30, cacheDir: "/c", cacheSize: 5 << 30}},
		{name: "the same as words", args: []string{"-o", "memory=64M,cache_dir=none,cache-size=1T"},
			want: options{memory: 64 << 20, cacheDir: cacheNone, cacheSize: 1 << 40}},
		{name: "the same as variables", env: map[string]string{"REGISTRYFS_MEMORY": "65MiB", "REGISTRYFS_CACHE_DIR": "/c/../d",
			"REGISTRYFS_CACHE_SIZE": "1k"}, want: options{memory: 65 << 20, cacheDir: "/d", cacheSize: 1024}},
		{name: "an option goes before its variable", env: map[string]string{"REGISTRYFS_READ_ONLY": "true",
			"REGISTRYFS_UID": "5", "REGISTRYFS_LOG_FORMAT": "json"},
			args: []string{"-o", "rw,uid=6", "--log-format=text"}, want: options{uid: number(6)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			got, positional, err := parseMount(test.args...)
			if err != nil {
				t.Fatalf("parse %q: %v", test.args, err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("options of %q = %+v, want %+v", test.args, got, test.want)
			}
			if slices.Contains(test.args, "src") && !slices.Equal(positional, []string{"src", "mnt"}) {
				t.Errorf("arguments of %q = %q, want src and mnt", test.args, positional)
			}
		})
	}
}

func TestMountOptionErrors(t *testing.T) {
	withoutVariables(t)
	tests := []struct {
		name string
		env  map[string]string
		args []string
		want string
	}{
		{name: "flag", args: []string{"--frobnicate"}, want: "there is no option --frobnicate"},
		{name: "short flag", args: []string{"-x"}, want: "there is no option -x"},
		{name: "flag that looks like -o", args: []string{"--omit"}, want: "there is no option --omit"},
		{name: "no value", args: []string{"--uid"}, want: "option --uid needs a value"},
		{name: "no list", args: []string{"src", "mnt", "-o"}, want: "option -o needs a value"},
		{name: "word", args: []string{"-o", "ro,frobnicate,rw"}, want: `there is no option "frobnicate" for -o`},
		{name: "word with a value", args: []string{"-o", "frobnicate=1"}, want: `there is no option "frobnicate=1" for -o`},
		{name: "word that is a short flag", args: []string{"-o", "f"}, want: `there is no option "f" for -o`},
		{name: "help is no word", args: []string{"-o", "help"}, want: `there is no option "help" for -o`},
		{name: "remount", args: []string{"-o", "remount"}, want: `"remount"`},
		{name: "word without its value", args: []string{"-o", "uid"}, want: "-o uid needs a value: -o uid=VALUE"},
		{name: "boolean", args: []string{"--xattrs=maybe"}, want: `--xattrs: "maybe" is neither true nor false`},
		{name: "boolean word", args: []string{"-o", "xattrs=maybe"}, want: `-o xattrs: "maybe" is neither true nor false`},
		{name: "uid", args: []string{"--uid", "no-such-user"}, want: `--uid: "no-such-user" is neither a number nor a user`},
		{name: "the uid that is none", args: []string{"--uid", "4294967295"}, want: "neither a number nor a user"},
		{name: "negative gid", args: []string{"-o", "gid=-1"}, want: `-o gid: "-1" is neither a number nor a group`},
		{name: "umask", args: []string{"--umask", "8"}, want: `"8" is not an octal number up to 777`},
		{name: "large umask", args: []string{"--umask", "1000"}, want: "is not an octal number up to 777"},
		{name: "time", args: []string{"--tag-ttl", "soon"}, want: `"soon" is not a time: use one like 1s or 500ms`},
		{name: "no time", args: []string{"--tag-ttl", "0"}, want: `"0" is too short`},
		{name: "no number", args: []string{"--tag-ttl", "NaN"}, want: `"NaN" is not a time`},
		{name: "much time", args: []string{"--tag-ttl", "1e300"}, want: `"1e300" is not a time`},
		{name: "references", args: []string{"--references", "any"}, want: `"any" is not one of source, store, strict and none`},
		{name: "children", args: []string{"--index-children", "some"}, want: `"some" is not one of all, none and list`},
		{name: "platform", args: []string{"--index-platforms", "linux"}, want: `"linux" is not a platform: use one like linux/amd64`},
		{name: "platforms without a list", args: []string{"--index-platforms", "linux/amd64"}, want: "goes with --index-children=list"},
		{name: "size", args: []string{"--spool-memory", "much"}, want: `"much" is not a size: use one like 67108864 or 64MiB`},
		{name: "no size", args: []string{"--spool-memory", "0"}, want: "too little"},
		{name: "little memory", args: []string{"--memory", "63MiB"}, want: `--memory: "63MiB" is too little: use 64MiB or more`},
		{name: "no cache", args: []string{"-o", "cache-size=0"}, want: `-o cache-size: "0" is too little: --cache-dir=none does without`},
		{name: "level", args: []string{"--log-level", "loud"}, want: `"loud" is not one of debug, info, warn and error`},
		{name: "format", args: []string{"--log-format", "xml"}, want: `"xml" is neither text nor json`},
		{name: "variable", env: map[string]string{"REGISTRYFS_UMASK": "9"}, want: `REGISTRYFS_UMASK: "9" is not an octal number`},
		{name: "boolean variable", env: map[string]string{"REGISTRYFS_ALLOW_DELETE": "yes"},
			want: `REGISTRYFS_ALLOW_DELETE: "yes" is neither true nor false`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			_, _, err := parseMount(test.args...)
			var wrong usageError
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("parse %q = %v, want a usageError with %q", test.args, err, test.want)
			}
		})
	}
}

func TestArgumentsAfterDashes(t *testing.T) {
	withoutVariables(t)
	_, got, err := parseMount("--read-only", "--", "-src", "-o")
	if want := []string{"-src", "-o"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("arguments = %q, %v, want %q", got, err, want)
	}
}

// A directory may well be called like a command.
func TestSourceNamedHelp(t *testing.T) {
	withoutVariables(t)
	_, got, err := parseMount("help", "h")
	if want := []string{"help", "h"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("arguments = %q, %v, want %q", got, err, want)
	}
}

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "1": 1, "12B": 12, "1k": 1 << 10, "1KiB": 1 << 10, "1kB": 1000, "64MiB": 64 << 20, "64mib": 64 << 20,
		"64 M": 64 << 20, "2G": 2 << 30, "2GB": 2e9, "1TiB": 1 << 40,
	} {
		if got, err := parseSize(s); err != nil || got != want {
			t.Errorf("parseSize(%q) = %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "M", "-1", "1.5G", "1X", "9999999999T", "1 2", "0x10"} {
		if got, err := parseSize(s); err == nil {
			t.Errorf("parseSize(%q) = %d, want an error", s, got)
		}
	}
}

func FuzzArguments(f *testing.F) {
	f.Add("-o", "ro,uid=5", "src")
	f.Add("--uid=5", "-oa\\,b", "--")
	f.Add("-=", "-o=", `-o\`)
	f.Fuzz(func(t *testing.T, a, b, c string) {
		var o options
		app := newApp(&o)
		argv, err := arrange(app, []string{"registryfs", "mount", a, b, c})
		if err != nil {
			return
		}
		// What arrange lets through, cli understands.
		app.Command("mount").Action = func(*cli.Context) error { return nil }
		app.Writer = discard{}
		if err := app.Run(argv); err != nil {
			t.Errorf("Run(%q) = %v, want no error", argv, err)
		}
	})
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
