package main

import (
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"registryfs/drivers"
	"registryfs/layout"
)

// options are the settings of a mount, from wherever they come.
type options struct {
	readOnly, allowOther, allowDelete, xattrs bool
	forceCacheWrites, foreground, debug       bool
	mkdir                                     bool

	uid, gid   *uint32 // nil: those of the process
	umask      uint32
	tagTTL     time.Duration // 0: the default of fusefs
	references layout.ReferencePolicy
	children   *layout.ChildrenMode // nil: what the configuration says
	platforms  []layout.Platform

	spoolDir    string
	spoolMemory int64 // 0: the default of layout
	stateDir    string
	states      drivers.StorageDriver // where jobs keep what the next run needs; nil: in the store

	memory    int64  // 0: defaultMemory
	cacheDir  string // "": the default one, cacheNone: none
	cacheSize int64  // 0: what suits the disk

	logLevel slog.Level
	level    *slog.LevelVar // of the log; SIGHUP sets it
	logJSON  bool
	logFile  string
	logTo    *os.File // the log file, nil without one
	metrics  string   // address to listen on; "": none
	pprof    string

	deleteSet bool     // allow-delete was given, either way
	kernel    []string // words of -o that are the kernel's
	fake      bool     // a mount helper's -f: all but the mount
	helper    bool     // mount(8) asks

	commandLine []string // arranged, to be read again at SIGHUP
}

const (
	accessCategory  = "Access and appearance"
	contentCategory = "What may be written"
	remoteCategory  = "Stores over a network (S3)"
	processCategory = "The serving process"
)

// flags is the table of all options. A flag's name is also its word of -o, and
// names its variable.
func (o *options) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "o", Usage: "`OPTION,...` as for mount(8): any option below without its dashes, ro, rw; what only mount(8) needs is passed over"},

		boolFlag("read-only", accessCategory, "refuse every change (-o ro)", &o.readOnly, "ro"),
		boolFlag("allow-other", accessCategory, "let other users in, as far as the modes of the files do", &o.allowOther),
		valueFlag("uid", accessCategory, "`USER` who owns the files, a number or a name", "the mounting user", o.setUID),
		valueFlag("gid", accessCategory, "`GROUP` that owns the files, a number or a name", "the mounting user's", o.setGID),
		valueFlag("umask", accessCategory, "`BITS` to take off all modes, in octal", "000", o.setUmask),
		boolFlag("xattrs", accessCategory, "answer user.oci.* attributes; costs two requests a file of ls -l", &o.xattrs),
		valueFlag("tag-ttl", accessCategory, "`TIME` a change made by others may go unseen", "1s", o.setTagTTL),

		boolFlag("allow-delete", contentCategory, "let rm untag, unlink and remove", &o.allowDelete),
		valueFlag("references", contentCategory, "`POLICY` of what a tagged manifest may name: source, store, strict or none", "source", o.setReferences),
		valueFlag("index-children", contentCategory, "`MODE` of which manifests of an index must be there: all, none or list", "all, or what config.yml says", o.setChildren),
		valueFlag("index-platforms", contentCategory, "`OS/ARCH:...` that --index-children=list demands", "what config.yml says", o.setPlatforms),
		boolFlag("force-cache-writes", contentCategory, "do not mount a pull-through cache read-only", &o.forceCacheWrites),

		valueFlag("memory", remoteCategory, "`SIZE` of all that is read ahead and waits to be written, at least 64MiB", "256MiB", o.setMemory),
		pathFlag("cache-dir", remoteCategory, "`DIR` to keep blobs in that were read, or none", "registryfs in the user's cache directory", &o.cacheDir),
		valueFlag("cache-size", remoteCategory, "`SIZE` that they may have there", "10GiB, at most a tenth of the disk", o.setCacheSize),

		boolFlag("foreground", processCategory, "serve the mount from this process and log to the terminal", &o.foreground, "f"),
		boolFlag("mkdir", processCategory, "make MOUNTPOINT when it is absent", &o.mkdir),
		envFileFlag(processCategory),
		pathFlag("state-dir", processCategory, "`DIR` for what outlives a mount", "registryfs in the user's state directory", &o.stateDir),
		pathFlag("spool-dir", processCategory, "`DIR` for uploads that do not fit into memory", "the directory for temporary files", &o.spoolDir),
		valueFlag("spool-memory", processCategory, "`SIZE` of all uploads that are held in memory", "64MiB", o.setSpoolMemory),
		valueFlag("log-level", processCategory, "`LEVEL`: debug, info, warn or error", "info", o.setLogLevel),
		valueFlag("log-format", processCategory, "`FORMAT`: text or json", "text", o.setLogFormat),
		pathFlag("log-file", processCategory, "`FILE` to append the log to", "none, or the terminal in the foreground", &o.logFile),
		valueFlag("metrics", processCategory, "`[HOST]:PORT` to serve metrics for Prometheus on, at /metrics", "none", addressSetter(&o.metrics, "")),
		valueFlag("pprof", processCategory, "`[HOST]:PORT` to serve Go's profiles on, of 127.0.0.1 without HOST", "none", addressSetter(&o.pprof, "127.0.0.1")),
		boolFlag("debug", processCategory, "log every request of the kernel", &o.debug),
	}
}

func envName(name string) string {
	return "REGISTRYFS_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

func boolFlag(name, category, usage string, to *bool, aliases ...string) cli.Flag {
	return &cli.BoolFlag{Name: name, Aliases: aliases, Category: category, Usage: usage, Destination: to,
		DisableDefaultText: true, EnvVars: []string{envName(name)}}
}

// envFileFlag has no variable: the file is where variables come from.
func envFileFlag(category string) cli.Flag {
	return &cli.PathFlag{Name: "env-file", Category: category, TakesFile: true, DefaultText: "none",
		Usage: "`FILE` of variables, NAME=VALUE, for options and credentials; SIGHUP has a mount read it again"}
}

func pathFlag(name, category, usage, standard string, to *string) cli.Flag {
	return &cli.PathFlag{Name: name, Category: category, Usage: usage, DefaultText: standard, Destination: to,
		EnvVars: []string{envName(name)}, TakesFile: true}
}

func valueFlag(name, category, usage, standard string, set setter) cli.Flag {
	return &cli.GenericFlag{Name: name, Category: category, Usage: usage, DefaultText: standard, Value: set,
		EnvVars: []string{envName(name)}}
}
