package main

import (
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// mounted is what a signal ends. *fusefs.Server is one.
type mounted interface {
	Unmount() error
	Detach() error
}

type signals chan os.Signal

// catchSignals keeps signals for later: one that kills the process while it is
// mounting would leave a dead mount behind.
func catchSignals() signals {
	// Nobody may be left to read the log on the terminal.
	signal.Ignore(syscall.SIGPIPE)
	c := make(signals, 2)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(c, syscall.SIGHUP)
	}
	return c
}

// detachSoon keeps a dead mount from being left behind, if that takes no time.
func detachSoon(server mounted) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Detach() // it may be detached already
	}()
	select {
	case <-done:
	case <-time.After(time.Second):
	}
}

// unmount ends the mount at the first signal, and the process at the second
// one. The function it returns ends that and waits for what is under way.
func (c signals) unmount(server mounted, mountpoint string, log *slog.Logger) (stop func()) {
	var wg sync.WaitGroup
	wg.Go(func() {
		received, ok := <-c
		if !ok {
			return
		}
		// The next one is for a process that cannot end by itself, and must
		// not wait for anything.
		go func() {
			if received, ok := <-c; ok {
				log.Error("exit with files still open", "signal", received.String())
				detachSoon(server)
				os.Exit(1)
			}
		}()
		log.Info("unmounting", "signal", received.String())
		err := server.Unmount()
		if err == nil {
			return
		}
		log.Warn("the mount is in use: it is detached and ends with the last open file; another signal ends it now",
			"mountpoint", mountpoint, "reason", err, "used by", holders(mountpoint))
		if err := server.Detach(); err != nil {
			log.Error("cannot detach", "mountpoint", mountpoint, "reason", err)
		}
	})
	return func() {
		signal.Stop(c)
		close(c)
		wg.Wait()
	}
}
