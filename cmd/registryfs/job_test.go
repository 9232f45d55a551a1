package main

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

// TestUntilSignal wants a hangup to end a job, unless nohup has made it immune.
func TestUntilSignal(t *testing.T) {
	for _, nohup := range []bool{false, true} {
		// The test survives the signals, and does not ignore what nohup ignores.
		others := make(chan os.Signal, 2)
		signal.Notify(others, syscall.SIGHUP, syscall.SIGTERM)
		want := "hangup"
		if nohup {
			signal.Ignore(syscall.SIGHUP)
			want = "terminated"
		}
		ctx, stop := untilSignal(t.Context())
		for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM} {
			if err := syscall.Kill(syscall.Getpid(), s); err != nil {
				t.Fatal(err)
			}
		}
		<-ctx.Done()
		if err := context.Cause(ctx); !strings.Contains(err.Error(), want) {
			t.Errorf("with nohup %v: %v, want %s", nohup, err, want)
		}
		for s := range others {
			if s == syscall.SIGTERM {
				break
			}
		}
		stop()
		signal.Stop(others)
		signal.Reset(syscall.SIGHUP)
	}
}
