package fusefs

import (
	"log/slog"
	"time"
)

// Options are the settings of one mount.
type Options struct {
	// Source is what the mount table shows as the device.
	Source string
	// ReadOnly refuses every change.
	ReadOnly bool
	// AllowOther lets users other than the mounting one in, subject to modes.
	AllowOther bool
	// AllowDelete lets rm and rmdir change the store.
	AllowDelete bool
	// XAttrs answers user.oci.* attributes, at two requests a file of ls -l.
	XAttrs bool
	// Debug logs every request.
	Debug bool

	// UID and GID own every file.
	UID, GID uint32
	// Umask is taken off every mode.
	Umask uint32

	// TagTTL is how long a change made by others may go unseen; 0 means 1 s.
	TagTTL time.Duration
	// StateDir keeps the key of the inode numbers, and the times that were set
	// in a store without times. It is made when absent.
	StateDir string
	// StoreID names the store itself, however it was reached, among those that
	// StateDir keeps something of; "" if nothing of it is to outlive the mount.
	StoreID string
	// Config is the text of .registryfs/config, without secrets.
	Config string
	// Stats, if set, adds lines to .registryfs/stats.
	Stats func(line func(name string, value any))
	// MaxNodes bounds how many files the kernel may keep a number of; 0 means
	// a bound that suits a small machine.
	MaxNodes int
	// MountOptions are further words for mount(2) or fusermount3.
	MountOptions []string
	// Logger gets one line for each refusal; nil discards them.
	Logger *slog.Logger
}
