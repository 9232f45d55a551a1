package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
)

// openLog returns the log of a mount. A daemon without a log file writes to the
// terminal as long as it has one, and only what asks for attention.
func (o *options) openLog(daemon bool) (*slog.Logger, error) {
	var to io.Writer = os.Stderr
	if o.logFile != "" {
		f, err := os.OpenFile(o.logFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open the log file: %w", err)
		}
		to = f
	}
	o.level = new(slog.LevelVar)
	o.level.Set(o.effectiveLevel(daemon))
	settings := &slog.HandlerOptions{Level: o.level}
	if o.logJSON {
		return slog.New(slog.NewJSONHandler(to, settings)), nil
	}
	return slog.New(slog.NewTextHandler(to, settings)), nil
}

func (o *options) effectiveLevel(daemon bool) slog.Level {
	switch {
	case o.debug:
		return slog.LevelDebug
	case daemon && o.logFile == "":
		return max(o.logLevel, slog.LevelWarn)
	}
	return o.logLevel
}
