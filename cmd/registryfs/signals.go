package main

import (
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// mounted is what a signal ends. *fusefs.Server is one.
type mounted interface {
	Unmount() error
	Detach() error
	Uploading() []string
}

// signals are those that a mount answers.
type signals struct {
	end    chan os.Signal
	hangup chan os.Signal // asks for the settings to be read again
}

// catchSignals keeps signals for later: one that kills the process while it is
// mounting would leave a dead mount behind.
//
// SIGHUP has two meanings. To a process with a terminal it says that the terminal
// is gone, and so ends a mount in the foreground, unless nohup has made it immune.
// A daemon has no terminal, nor has the process of a service: to them an operator
// sends it, after a change of the settings.
func catchSignals() signals {
	// Nobody may be left to read the log on the terminal.
	signal.Ignore(syscall.SIGPIPE)
	c := signals{make(chan os.Signal, 2), make(chan os.Signal, 1)}
	signal.Notify(c.end, os.Interrupt, syscall.SIGTERM)
	if hasTerminal() && !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(c.end, syscall.SIGHUP)
	} else {
		signal.Notify(c.hangup, syscall.SIGHUP)
	}
	return c
}

// hasTerminal tells whether the process has a controlling terminal, wherever its
// output goes.
func hasTerminal() bool {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	f.Close()
	return true
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

// life is a mount as its signals see it.
type life struct {
	server     mounted
	mountpoint string
	log        *slog.Logger
	manager    manager
	reload     func()
}

// attend ends the mount at the first signal, and the process at the second one;
// until then a hangup reloads. The function it returns ends that and waits for
// what is under way.
func (c signals) attend(l life) (stop func()) {
	var wg sync.WaitGroup
	gone := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-c.hangup:
				l.reload()
			case received, ok := <-c.end:
				if ok {
					l.end(c, received, gone)
				}
				return
			}
		}
	})
	return func() {
		signal.Stop(c.hangup)
		signal.Stop(c.end)
		close(gone)
		close(c.end)
		wg.Wait()
	}
}

// end takes the mount away. One that is in use lives on without a name until
// gone: what is being written is not lost.
func (l life) end(c signals, received os.Signal, gone <-chan struct{}) {
	// The next one is for a process that cannot end by itself, and must not wait
	// for anything.
	go func() {
		if received, ok := <-c.end; ok {
			l.log.Error("exit with files still open", "signal", received.String())
			detachSoon(l.server)
			os.Exit(1)
		}
	}()
	l.log.Info("unmounting", "signal", received.String())
	l.manager.tell("STOPPING=1", "STATUS=unmounting "+l.mountpoint)
	err := l.server.Unmount()
	if err == nil {
		return
	}
	l.log.Warn("the mount is in use: it is detached and ends with the last open file; another signal ends it now",
		"mountpoint", l.mountpoint, "reason", err, "used by", holders(l.mountpoint))
	if err := l.server.Detach(); err != nil {
		l.log.Error("cannot detach", "mountpoint", l.mountpoint, "reason", err)
	}
	l.wait(gone)
}

// waitTick is how often somebody who waits looks whether things have changed.
const waitTick = 200 * time.Millisecond

// wait says what the process waits for, each time that changes.
func (l life) wait(gone <-chan struct{}) {
	var said string
	tick := time.NewTicker(waitTick)
	defer tick.Stop()
	for {
		text := "waiting for open files"
		if uploads := l.server.Uploading(); len(uploads) > 0 {
			text = waitingFor(uploads)
		}
		if text != said {
			l.log.Warn(text, "mountpoint", l.mountpoint)
			l.manager.status(text)
			said = text
		}
		select {
		case <-gone:
			return
		case <-tick.C:
		}
	}
}

// waitingFor names uploads, by their paths in the mount.
func waitingFor(uploads []string) string {
	n := len(uploads)
	if n > maxHolders {
		uploads = append(slices.Clone(uploads[:maxHolders]), fmt.Sprintf("and %d more", n-maxHolders))
	}
	word := "uploads"
	if n == 1 {
		word = "upload"
	}
	return fmt.Sprintf("waiting for %d open %s: %s", n, word, strings.Join(uploads, ", "))
}
