package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

// TestEnded wants a signal to be told as such, and nothing else to be.
func TestEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	err := errors.New("no room")
	if got := ended(ctx, err); got != err {
		t.Errorf("ended = %v, want %v", got, err)
	}
	cancel()
	if got := ended(ctx, ctx.Err()); got == nil || !strings.HasPrefix(got.Error(), "interrupted") {
		t.Errorf("ended = %v, want that it was interrupted", got)
	}
	if got := ended(ctx, nil); got != nil {
		t.Errorf("ended = %v, want nil", got)
	}
}

// TestUntilSignal wants a hangup to end a job, unless nohup has made it immune.
func TestUntilSignal(t *testing.T) {
	for _, nohup := range []bool{false, true} {
		// The test survives the signals, and does not ignore what nohup ignores.
		others := make(chan os.Signal, 2)
		signal.Notify(others, syscall.SIGHUP, syscall.SIGTERM)
		sent, want := []syscall.Signal{syscall.SIGHUP}, "hangup"
		if nohup {
			signal.Ignore(syscall.SIGHUP)
			sent, want = append(sent, syscall.SIGTERM), "terminated"
		}
		ctx, stop := untilSignal(t.Context())
		for _, s := range sent {
			if err := syscall.Kill(syscall.Getpid(), s); err != nil {
				t.Fatal(err)
			}
		}
		<-others
		<-ctx.Done()
		if err := context.Cause(ctx); !strings.Contains(err.Error(), want) {
			t.Errorf("with nohup %v: %v, want %s", nohup, err, want)
		}
		stop()
		signal.Stop(others)
		signal.Reset(syscall.SIGHUP)
	}
}
