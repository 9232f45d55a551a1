package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// openBoth opens the stores that the user names SOURCE and DEST. A directory DEST
// is made when absent, unless something is refused.
func (j *job) openBoth(ctx context.Context, sourceName, destName string) (from, to source, err error) {
	made := !strings.Contains(destName, "://") && !isConfig(destName) && os.Mkdir(destName, 0o777) == nil
	defer func() {
		if err != nil && made {
			_ = os.Remove(destName) // it is empty
		}
	}()
	if err := checkStores(sourceName, destName); err != nil {
		return source{}, source{}, err
	}
	if from, err = j.open(ctx, sourceName); err != nil {
		return source{}, source{}, err
	}
	if to, err = j.open(ctx, destName); err != nil {
		return source{}, source{}, fmt.Errorf("DEST: %w", err)
	}
	return from, to, checkCaches(ctx, from, to)
}

// isConfig reports whether a name is more likely that of a config.yml than of a
// directory.
func isConfig(name string) bool {
	return strings.HasSuffix(name, ".yml") || strings.HasSuffix(name, ".yaml")
}

// checkStores refuses what can be refused without a look into the stores.
func checkStores(sourceName, destName string) error {
	from, err := findStore(sourceName, os.Environ())
	if err != nil {
		return err
	}
	to, err := findStore(destName, os.Environ())
	if err != nil { // it is said of a SOURCE
		return errors.New(strings.ReplaceAll(err.Error(), "SOURCE", "DEST"))
	}
	if to.readOnly {
		return fmt.Errorf("DEST %s is read-only by storage.maintenance.readonly of its configuration: change that, or pass its root directory", destName)
	}
	return checkDistinct(from, to)
}

// checkDistinct refuses stores that are one, or lie in each other: a copy would
// copy itself.
func checkDistinct(from, to store) error {
	a, b := from.id(), to.id()
	if from.root() != "" && to.root() != "" && sameFile(from.root(), to.root()) {
		b = a
	}
	switch {
	case a == "" || b == "":
		return nil
	case a == b:
		return fmt.Errorf("SOURCE and DEST are the same store, %s: pass two", from.source)
	case isInside(a, b):
		return fmt.Errorf("SOURCE %s is inside DEST %s: pass stores that lie apart", from.source, to.source)
	case isInside(b, a):
		return fmt.Errorf("DEST %s is inside SOURCE %s: pass stores that lie apart", to.source, from.source)
	}
	return nil
}

func isInside(inner, outer string) bool {
	return strings.HasPrefix(inner, strings.TrimSuffix(outer, "/")+"/")
}

func sameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// checkCaches refuses to write to the store of a pull-through cache, whose registry
// deletes what it likes. The copy of one may be gone on with.
func checkCaches(ctx context.Context, from, to source) error {
	if to.remote == "" {
		cache, err := to.IsPullThroughCache(ctx)
		if err != nil || !cache {
			return err
		}
		if cache, err = from.IsPullThroughCache(ctx); err != nil || cache {
			return err
		}
	}
	return fmt.Errorf("DEST %s is the store of a pull-through cache, whose registry deletes what it likes: copy to a store of its own", to.source)
}
