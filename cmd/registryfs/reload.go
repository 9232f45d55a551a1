package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"registryfs/drivers"
)

// reloadPatience is for credentials that are asked of a server: SIGTERM waits so long.
const reloadPatience = 10 * time.Second

// reload is what a mount does at SIGHUP: it opens the log file anew, which may have
// been moved away, reads --env-file again and goes on with the log level that
// options and variables now come to, and with the credentials that are now found.
// What is wrong is logged, and left as it was.
func (m mounting) reload(ctx context.Context, s store) {
	ctx, cancel := context.WithTimeout(ctx, reloadPatience)
	defer cancel()
	if err := errors.Join(m.reopenLog(m.waiter != nil), m.reloadAll(ctx, s)); err != nil {
		m.log.Error("some settings stay as they were: correct them and send SIGHUP again", "reason", err)
		return
	}
	m.log.Info("settings were read again", "log-level", m.level.Level().String())
}

func (m mounting) reloadAll(ctx context.Context, s store) error {
	fresh, err := m.again()
	if err != nil {
		return err
	}
	m.level.Set(fresh.effectiveLevel(m.waiter != nil))
	if !s.isS3() {
		return nil
	}
	now, err := findStore(s.origin, os.Environ())
	if err != nil {
		return err
	}
	if err := drivers.Reload(ctx, s.calls, now.params); err != nil {
		return fmt.Errorf("credentials: %w", withoutDriver(err))
	}
	return nil
}

// again reads the command line once more, with the variables of today.
func (o *options) again() (*options, error) {
	fresh := &options{helper: o.helper}
	app := newApp(fresh)
	argv, err := arrange(app, o.commandLine)
	if err != nil {
		return nil, err
	}
	app.Command("mount").Action = func(*cli.Context) error { return nil }
	return fresh, app.Run(argv)
}
