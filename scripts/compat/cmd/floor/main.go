// Command floor mounts a copy of a directory tree that is held in memory: what
// FUSE itself costs where nothing has to be looked up.
//
//	floor TREE MOUNTPOINT
//
// It has the names, sizes and times of TREE, and zeros as content; what is written
// is hashed, and kept nowhere. The flags turn off, one by one, what makes listings
// fast. It says "mounted" when it is;
// SIGINT and SIGTERM unmount.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

const maxRequest = 1 << 20 // the most the kernel takes

type settings struct {
	ttl         time.Duration
	xattrs      bool
	cacheDirs   bool
	readdirplus bool
	direct      bool
}

func main() {
	var o settings
	flag.DurationVar(&o.ttl, "ttl", time.Hour, "how long the kernel may keep names and attributes")
	flag.BoolVar(&o.xattrs, "xattrs", false, "let the kernel ask for extended attributes")
	flag.BoolVar(&o.cacheDirs, "cache-dirs", true, "let the kernel keep listings")
	flag.BoolVar(&o.readdirplus, "readdirplus", true, "list with attributes")
	flag.BoolVar(&o.direct, "direct", false, "read and write past the page cache, in requests of up to 1 MiB")
	flag.Parse()
	if err := run(o, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

func run(o settings, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: floor [flags] TREE MOUNTPOINT")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root, err := load(args[0], o)
	if err != nil {
		return err
	}
	server, err := fs.Mount(args[1], root, o.options())
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "mounted")
	unmounted := make(chan error, 1)
	go func() {
		<-ctx.Done()
		unmounted <- server.Unmount()
	}()
	server.Wait()
	stop()
	return <-unmounted
}

func (o settings) options() *fs.Options {
	maxRead := 0 // the library's
	if o.direct {
		maxRead = maxRequest
	}
	return &fs.Options{
		EntryTimeout:    &o.ttl,
		AttrTimeout:     &o.ttl,
		NegativeTimeout: &o.ttl,
		MountOptions: fuse.MountOptions{
			FsName:             "floor",
			Name:               "floor",
			DirectMount:        true,
			MaxBackground:      256,
			MaxWrite:           maxRead, // which bounds reads too
			DisableXAttrs:      !o.xattrs,
			DisableReadDirPlus: !o.readdirplus,
		},
	}
}
