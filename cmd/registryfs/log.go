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
		to, o.logTo = f, f
	}
	o.level = new(slog.LevelVar)
	o.level.Set(o.effectiveLevel(daemon))
	settings := &slog.HandlerOptions{Level: o.level}
	if o.logJSON {
		return slog.New(newSparing(slog.NewJSONHandler(to, settings))), nil
	}
	return slog.New(newSparing(slog.NewTextHandler(to, settings))), nil
}

// reopenLog goes on in a new file if the log file was moved away. So does what a
// daemon still prints.
func (o *options) reopenLog(daemon bool) error {
	if o.logTo == nil {
		return nil
	}
	fds := []int{int(o.logTo.Fd())}
	if daemon {
		fds = append(fds, 1, 2)
	}
	return redirect(o.logFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, fds...)
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
