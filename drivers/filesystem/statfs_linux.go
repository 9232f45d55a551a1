package filesystem

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"

	"registryfs/drivers"
)

// StatFS implements drivers.SpaceReporter. As long as the root is not made it
// answers for the nearest directory above it.
func (d *Driver) StatFS(context.Context) (drivers.FSInfo, error) {
	var st unix.Statfs_t
	dir := d.local("/")
	statfs := func() (int, error) { return 0, unix.Statfs(dir, &st) }
	_, err := retry(statfs)
	for errors.Is(err, fs.ErrNotExist) && dir != "/" {
		dir = filepath.Dir(dir)
		_, err = retry(statfs)
	}
	if err != nil {
		return drivers.FSInfo{}, &fs.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return drivers.FSInfo{
		BlockSize: int64(st.Frsize), // what Blocks counts; Bsize is for transfers
		Blocks:    st.Blocks,
		Free:      st.Bfree,
		Available: st.Bavail,
		Files:     st.Files,
		FilesFree: st.Ffree,
	}, nil
}
