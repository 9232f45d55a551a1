package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"registryfs/scripts/compat/internal/store"
)

// bigBlob is one large blob in a store.
type bigBlob struct {
	source string // the store
	file   string // on the disk
	blob   string // below a mount point
	size   int64
}

// state is which page caches hold the blob before it is read.
type state struct {
	name       string
	file, blob bool // the file's cache, and what the mount has of its own
	compare    bool // what is wanted holds here
}

var (
	warm = state{"warm", true, true, true}
	cold = state{"cold", false, false, true}

	// first compares what FUSE can pass on with what memory can.
	first = state{"first read, file warm", true, false, false}
)

// read reads a large blob from one end to the other.
func (b *bench) read(ctx context.Context) error {
	big, err := b.newBigBlob(ctx)
	if err != nil {
		return err
	}
	if self.isRoot() {
		if err := b.readAs(ctx, self, "root", big, 0.95, warm, cold); err != nil {
			return err
		}
	} else {
		b.skip("read, root", "skipped: not run as root")
	}
	user, err := ordinaryUser()
	if err != nil {
		return err
	}
	if reason := b.cannotMount(ctx, user); reason != "" {
		b.skip("read, ordinary user", "skipped: "+reason)
		return nil
	}
	return b.readAs(ctx, user, "ordinary user", big, 0.35, warm, first, cold)
}

func (b *bench) newBigBlob(ctx context.Context) (bigBlob, error) {
	dir, err := b.newDir("big")
	if err != nil {
		return bigBlob{}, err
	}
	big := bigBlob{source: dir}
	if err := store.New(dir).PushBig("big/image", "latest", b.bigMiB<<20, 1); err != nil {
		return big, err
	}
	// The largest of all.
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > big.size {
			big.file, big.size = path, info.Size()
		}
		return err
	})
	_, hex, _ := strings.Cut(filepath.Dir(big.file), "/blobs/")
	big.blob = "blobs/" + hex // sha256/ab/ab...
	return big, errors.Join(err, b.sync(ctx))
}

func (b *bench) readAs(ctx context.Context, a account, who string, big bigBlob, want float64, states ...state) (err error) {
	s, err := b.mount(ctx, a, big.source, "--read-only")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	mb := float64(big.size) / 1e6
	for _, st := range states {
		for _, tool := range []string{"cat", "dd bs=1M"} {
			r := reading{a, st, readers[tool], big.file, s.path(big.blob)}
			native, mount, err := inTurn(ctx, b.runs, r.native, r.mount)
			if err != nil {
				return err
			}
			line := row{
				task:   fmt.Sprintf("read %.0f MB, %s, %s, %s", mb, who, st.name, tool),
				base:   cell{native.per(mb), "%.0f MB/s"},
				mount:  cell{mount.per(mb), "%.0f MB/s"},
				result: cell{native.over(mount), "%.2f"},
			}
			if st.compare {
				line.goal = atLeast(want)
			}
			b.report(line)
		}
	}
	return nil
}

// reading is one way to read the file and the blob that it is in the mount.
type reading struct {
	account
	state
	reader     string
	file, blob string
}

func (r reading) native(ctx context.Context) (float64, error) { return r.seconds(ctx, r.file) }
func (r reading) mount(ctx context.Context) (float64, error)  { return r.seconds(ctx, r.blob) }

func (r reading) seconds(ctx context.Context, name string) (float64, error) {
	if err := r.prepare(ctx); err != nil {
		return 0, err
	}
	took, err := measure(ctx, r.account, "sh", "-c", r.reader, "sh", name)
	return took.Seconds(), err
}

// readers read the file $1.
var readers = map[string]string{
	"cat":      `exec cat "$1"`,
	"dd bs=1M": `exec dd bs=1M status=none if="$1" of=/dev/null`,
}

// prepare brings the caches into the state.
func (r reading) prepare(ctx context.Context) error {
	for name, keep := range map[string]bool{r.file: r.state.file, r.blob: r.state.blob} {
		args := []string{"if=" + name, "of=/dev/null", "bs=1M", "status=none"}
		if !keep {
			args = append(args, "iflag=nocache", "count=0") // drops all of it and reads nothing
		}
		if _, err := measure(ctx, r.account, "dd", args...); err != nil {
			return err
		}
	}
	if r.state.file {
		return nil
	}
	return checkDropped(r.file)
}

// checkDropped makes sure that a cold read is one: pages that are dirty or
// mapped stay, whatever the kernel was told.
func checkDropped(file string) error {
	cached, err := cachedBytes(file)
	if err != nil {
		return err
	}
	if info, err := os.Stat(file); err != nil || cached > info.Size()/100 {
		return errors.Join(err, fmt.Errorf("%d bytes of %s stay in the page cache", cached, file))
	}
	return nil
}
