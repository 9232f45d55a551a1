package main

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// sparing is the handler of a log that is written for months: a program that goes
// on against refusals, or a store that is away, must not fill the disk. Of
// warnings and errors with the same message it passes on a number at once, and
// then one now and then, which tells how many were left out.
type sparing struct {
	slog.Handler
	kinds *kinds
}

const (
	sparingBurst = 1000
	sparingEvery = time.Second

	// maxKinds is more than there are messages.
	maxKinds = 256
)

// kinds are the messages that were logged.
type kinds struct {
	now func() time.Time

	mu sync.Mutex // guards the following
	of map[string]*kind
}

// kind is one of them. Its next line is free when its clock is not past now.
type kind struct {
	clock   time.Time
	leftOut int
}

func newSparing(h slog.Handler) sparing {
	return sparing{h, &kinds{now: time.Now, of: map[string]*kind{}}}
}

// Handle implements slog.Handler.
func (h sparing) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return h.Handler.Handle(ctx, r)
	}
	pass, leftOut := h.kinds.take(r.Message)
	if !pass {
		return nil
	}
	if leftOut > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("left-out", leftOut))
	}
	return h.Handler.Handle(ctx, r)
}

// take reports whether a line may be logged, and how many were not before it.
func (k *kinds) take(message string) (pass bool, leftOut int) {
	now := k.now()
	k.mu.Lock()
	defer k.mu.Unlock()
	one := k.of[message]
	if one == nil {
		if len(k.of) >= maxKinds {
			clear(k.of)
		}
		one = &kind{}
		k.of[message] = one
	}
	if first := now.Add(-sparingBurst * sparingEvery); one.clock.Before(first) {
		one.clock = first
	}
	if one.clock.After(now) {
		one.leftOut++
		return false, 0
	}
	one.clock = one.clock.Add(sparingEvery)
	leftOut, one.leftOut = one.leftOut, 0
	return true, leftOut
}

// WithAttrs implements slog.Handler.
func (h sparing) WithAttrs(attrs []slog.Attr) slog.Handler {
	return sparing{h.Handler.WithAttrs(attrs), h.kinds}
}

// WithGroup implements slog.Handler.
func (h sparing) WithGroup(name string) slog.Handler {
	return sparing{h.Handler.WithGroup(name), h.kinds}
}
