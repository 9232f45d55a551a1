package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"

	"registryfs/drivers"
	"registryfs/drivers/metered"
	"registryfs/fusefs"
	"registryfs/layout"
)

// mounting is one mount, from the SOURCE to the end of serving it.
type mounting struct {
	*options
	log     *slog.Logger
	waiter  *waiter // nil in the foreground
	manager manager
}

func (m mounting) run(ctx context.Context, source, mountpoint string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends what the driver has started
	if source == "" {
		var err error
		if source, err = defaultStore(); err != nil {
			return err
		}
	}
	s, err := findStore(source, os.Environ())
	if err != nil {
		return err
	}
	if m.helper && s.isS3() {
		s.source = source // by which mount -a knows what is mounted already
	}
	dir, err := m.prepareMountpoint(mountpoint)
	if err != nil {
		return err
	}
	m.chooseStateDir()
	if s.isS3() {
		m.chooseCache()
	}
	if err := checkApart(dir, s, m.options); err != nil {
		return err
	}
	reg, err := m.open(ctx, &s)
	if err != nil {
		return err
	}
	if err := thisMachine().check(dir, m.allowOther); err != nil {
		return err
	}
	if m.fake {
		return nil
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	return errors.Join(m.serve(ctx, dir, reg, s), s.network.close())
}

// gcPercent is half of Go's own: most of a mount's memory is a table of the
// files that the kernel knows, which makes little garbage, and a mount is a
// guest on the machine.
const gcPercent = 50

// chooseStateDir goes without state where there is no place for it: inode
// numbers then change from mount to mount.
func (m mounting) chooseStateDir() {
	if m.stateDir != "" {
		return
	}
	dir, err := defaultStateDir()
	if err != nil {
		m.log.Warn("no place for what outlives the mount: use --state-dir", "reason", err)
		return
	}
	m.stateDir = dir
}

// open makes the registry of the store, and settles what the store says about
// how it wants to be mounted.
func (m mounting) open(ctx context.Context, s *store) (*layout.Registry, error) {
	reg, err := m.openRegistry(ctx, s, m.log)
	if err != nil {
		return nil, err
	}
	cache, err := reg.IsPullThroughCache(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the store %s: %w", s.source, err)
	}
	m.settleAccess(*s, cache)
	return reg, nil
}

// openRegistry makes the registry of the store.
func (o *options) openRegistry(ctx context.Context, s *store, log *slog.Logger) (*layout.Registry, error) {
	if err := o.settleChildren(s); err != nil {
		return nil, err
	}
	memory := o.budget()
	driver, err := drivers.Create(ctx, s.driver, withMemory(s.params, memory))
	var unknown drivers.InvalidStorageDriverError
	if errors.As(err, &unknown) {
		return nil, fmt.Errorf("%w: the drivers are %s", err, strings.Join(drivers.Names(), ", "))
	}
	if err != nil {
		return nil, fmt.Errorf("open the store %s: %w", s.source, err)
	}
	s.calls = metered.New(driver)
	if drivers.IsRemote(driver) {
		if s.network, err = o.openNetwork(memory, log); err != nil {
			return nil, err
		}
	}
	if s.holdsSomethingElse() {
		log.Warn("there is no registry in the store yet", "store", s.root(), "missing", registryTree)
	}
	lo := layout.Options{
		Logger:        log,
		References:    o.references,
		IndexChildren: s.children,
		URLs:          s.urls,
		SpoolDir:      o.spoolDir,
		SpoolMemory:   o.spoolMemory,
		Memory:        memory,
		StateDir:      o.stateDir,
		State:         o.states,
	}
	if s.network != nil {
		lo.BlobCache = s.network.cache
		if err := knock(ctx, *s, log); err != nil {
			return nil, fmt.Errorf("open the store %s: %w", s.source, err)
		}
	}
	return layout.New(s.calls, lo), nil
}

// settleChildren prefers the options to the configuration.
func (o *options) settleChildren(s *store) error {
	if o.children == nil {
		return nil
	}
	s.children.Mode = *o.children
	if len(o.platforms) > 0 {
		s.children.Platforms = o.platforms
	}
	if s.children.Mode == layout.ChildrenList && len(s.children.Platforms) == 0 {
		return usagef("--index-children=list needs a list: --index-platforms linux/amd64,linux/arm64")
	}
	return nil
}

// settleAccess decides on writing and deleting. Nothing opens what the
// configuration closes, but for a cache.
func (m mounting) settleAccess(s store, cache bool) {
	if !m.deleteSet {
		m.allowDelete = s.allowDelete
	}
	if s.readOnly {
		m.readOnly = true
	}
	if (cache || s.remote != "") && !m.readOnly && !m.forceCacheWrites {
		m.log.Warn("mounted read-only: the store is a pull-through cache, whose registry deletes what it likes; --force-cache-writes mounts it all the same")
		m.readOnly = true
	}
}

func (m mounting) serve(ctx context.Context, dir string, reg *layout.Registry, s store) error {
	config, err := m.effective(dir, s)
	if err != nil {
		return err
	}
	monitor, err := m.listen()
	if err != nil {
		return err
	}
	defer monitor.close() // nobody asks any more
	signals := catchSignals()
	server, err := fusefs.Mount(dir, reg, fusefs.Options{
		Source:       s.source,
		ReadOnly:     m.readOnly,
		AllowOther:   m.allowOther,
		AllowDelete:  m.allowDelete,
		XAttrs:       m.xattrs,
		Debug:        m.debug,
		UID:          orProcess(m.uid, os.Getuid),
		GID:          orProcess(m.gid, os.Getgid),
		Umask:        m.umask,
		TagTTL:       m.tagTTL,
		StateDir:     m.stateDir,
		StoreID:      s.id(),
		Config:       config,
		Stats:        s.stats,
		MountOptions: m.kernel,
		Logger:       m.log,
	})
	if err != nil {
		return fmt.Errorf("mount on %s: %w", dir, thisMachine().explain(err))
	}
	m.log.Info("mounted", "source", s.source, "mountpoint", dir)
	monitor.serve(metrics(collector{server, s, dir}), m.log) // before anybody believes that it does
	if m.waiter != nil {
		if err := m.waiter.ready(m.logFile); err != nil {
			return errors.Join(fmt.Errorf("leave the terminal: %w", err), server.Unmount())
		}
	}
	m.manager.tell("READY=1", "STATUS=serving "+s.source+" on "+dir)
	stop := signals.attend(life{server, dir, m.log, m.manager, func() { m.reload(ctx, s) }})
	server.Wait()
	m.manager.tell("STOPPING=1")
	stop()
	m.log.Info("unmounted", "mountpoint", dir)
	return nil
}

func orProcess(id *uint32, process func() int) uint32 {
	if id != nil {
		return *id
	}
	return uint32(process())
}
