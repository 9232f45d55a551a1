package main

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os/user"
	"strconv"
	"strings"
	"time"

	"registryfs/layout"
)

// setter is a flag's value that is parsed at once. It may be set repeatedly.
type setter func(string) error

// Set implements cli.Generic.
func (f setter) Set(s string) error { return f(s) }

// String implements cli.Generic; the default is in the flag's DefaultText.
func (f setter) String() string { return "" }

func (o *options) setUID(s string) error {
	id, err := parseID(s, func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
	if err != nil {
		return fmt.Errorf("%q is neither a number nor a user of this machine", s)
	}
	o.uid = &id
	return nil
}

func (o *options) setGID(s string) error {
	id, err := parseID(s, func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
	if err != nil {
		return fmt.Errorf("%q is neither a number nor a group of this machine", s)
	}
	o.gid = &id
	return nil
}

// parseID refuses the last number: for chown(2) and the kernel it is no owner.
func parseID(s string, lookup func(string) (string, error)) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		if s, err = lookup(s); err != nil {
			return 0, err
		}
		n, err = strconv.ParseUint(s, 10, 32)
	}
	if err == nil && n == math.MaxUint32 {
		err = strconv.ErrRange
	}
	return uint32(n), err
}

func (o *options) setUmask(s string) error {
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n > 0o777 {
		return fmt.Errorf("%q is not an octal number up to 777", s)
	}
	o.umask = uint32(n)
	return nil
}

// setTagTTL takes bare numbers for seconds, as the time-outs of other file
// systems are given.
func (o *options) setTagTTL(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil {
		d, err = time.ParseDuration(s + "s")
	}
	if err != nil {
		return fmt.Errorf("%q is not a time: use one like 1s or 500ms", s)
	}
	if d <= 0 {
		return fmt.Errorf("%q is too short: without any caching listings become slow, use 1ms", s)
	}
	o.tagTTL = d
	return nil
}

func (o *options) setReferences(s string) (err error) {
	if o.references, err = layout.ParseReferencePolicy(s); err != nil {
		return fmt.Errorf("%q is not one of source, store, strict and none", s)
	}
	return nil
}

func (o *options) setChildren(s string) error {
	mode, err := layout.ParseIndexChildrenMode(s)
	if err != nil {
		return fmt.Errorf("%q is not one of all, none and list", s)
	}
	o.children = &mode
	return nil
}

// setPlatforms takes a colon as well as a comma, which -o needs for itself.
func (o *options) setPlatforms(s string) error {
	o.platforms = nil
	for p := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ',' || r == ':' }) {
		os, arch, ok := strings.Cut(strings.ToLower(p), "/")
		if !ok || os == "" || arch == "" {
			return fmt.Errorf("%q is not a platform: use one like linux/amd64", p)
		}
		o.platforms = append(o.platforms, layout.Platform{OS: os, Architecture: arch})
	}
	return nil
}

func (o *options) setSpoolMemory(s string) error {
	n, err := parseSize(s)
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("%q is too little: use 1MiB or more", s)
	}
	o.spoolMemory = n
	return nil
}

// leastMemory is enough for a few parts of a large blob at once.
const leastMemory = 64 << 20

func (o *options) setMemory(s string) error {
	n, err := parseSize(s)
	if err != nil {
		return err
	}
	if n < leastMemory {
		return fmt.Errorf("%q is too little: use 64MiB or more", s)
	}
	o.memory = n
	return nil
}

func (o *options) setCacheSize(s string) error {
	n, err := parseSize(s)
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("%q is too little: --cache-dir=none does without a cache", s)
	}
	o.cacheSize = n
	return nil
}

func (o *options) setLogLevel(s string) error {
	switch s {
	case "debug", "info", "warn", "error":
		return o.logLevel.UnmarshalText([]byte(s))
	}
	return fmt.Errorf("%q is not one of debug, info, warn and error", s)
}

func (o *options) setLogFormat(s string) error {
	if s != "text" && s != "json" {
		return fmt.Errorf("%q is neither text nor json", s)
	}
	o.logJSON = s == "json"
	return nil
}

// addressSetter takes an address to listen on. Without a host it is the standard
// one, "" for all that the machine has.
func addressSetter(to *string, standard string) setter {
	return func(s string) error {
		host, port, err := net.SplitHostPort(s)
		n, portErr := strconv.ParseUint(port, 10, 16)
		if err != nil || portErr != nil {
			return fmt.Errorf("%q is not an address to listen on: use one like :9464 or 127.0.0.1:9464", s)
		}
		if host == "" {
			host = standard
		}
		*to = net.JoinHostPort(host, strconv.FormatUint(n, 10))
		return nil
	}
}

// ageSetter takes a time like 12h, or a number of days like 30d.
func ageSetter(to *time.Duration) setter {
	return func(s string) error {
		age, err := time.ParseDuration(s)
		if days, ok := strings.CutSuffix(s, "d"); ok {
			var n uint64
			n, err = strconv.ParseUint(days, 10, 16)
			age = time.Duration(n) * 24 * time.Hour
		}
		if err != nil || age < 0 {
			return fmt.Errorf("%q is not an age: use one like 12h or 30d", s)
		}
		*to = age
		return nil
	}
}

// sizeSetter takes a number of bytes that is not 0.
func sizeSetter(to *int64) setter {
	return func(s string) error {
		n, err := parseSize(s)
		if err == nil && n == 0 {
			err = fmt.Errorf("%q is nothing", s)
		}
		*to = n
		return err
	}
}

var sizeUnits = []struct {
	suffix string
	bytes  int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12},
	{"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"T", 1 << 40},
	{"B", 1}, {"", 1},
}

// parseSize reads a number of bytes, with a unit or without.
func parseSize(s string) (int64, error) {
	for _, u := range sizeUnits {
		number, ok := cutSuffixFold(s, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil || n < 0 || n > math.MaxInt64/u.bytes {
			break
		}
		return n * u.bytes, nil
	}
	return 0, fmt.Errorf("%q is not a size: use one like 67108864 or 64MiB", s)
}

// formatSize is a size for people, in three digits or so.
func formatSize(n int64) string {
	const units = "KMGTPE"
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	size, unit := float64(n)/(1<<10), 0
	for size >= 1000 && unit < len(units)-1 {
		size, unit = size/(1<<10), unit+1
	}
	return fmt.Sprintf("%.3g %ciB", size, units[unit])
}

func cutSuffixFold(s, suffix string) (string, bool) {
	at := len(s) - len(suffix)
	if at < 0 || !strings.EqualFold(s[at:], suffix) {
		return s, false
	}
	return s[:at], true
}
