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
	level := o.logLevel
	if o.debug {
		level = slog.LevelDebug
	}
	if o.logFile != "" {
		f, err := os.OpenFile(o.logFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return nil, fmt.Errorf("open the log file: %w", err)
		}
		to = f
	} else if daemon {
		level = max(level, slog.LevelWarn)
	}
	settings := &slog.HandlerOptions{Level: level}
	if o.logJSON {
		return slog.New(slog.NewJSONHandler(to, settings)), nil
	}
	return slog.New(slog.NewTextHandler(to, settings)), nil
}
