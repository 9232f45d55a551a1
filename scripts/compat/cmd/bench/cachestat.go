package main

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// cachedBytes is how much of a file the page cache holds.
func cachedBytes(name string) (n int64, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var out unix.Cachestat_t
	if err := unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{}, &out, 0); err != nil {
		return 0, err
	}
	return int64(out.Cache) * int64(os.Getpagesize()), nil
}
