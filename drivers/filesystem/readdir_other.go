//go:build !linux

package filesystem

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// listStep is how many entries of a directory are held at once.
const listStep = 1000

// readDir calls each with the entries of a local directory until that is false.
func readDir(ctx context.Context, local string, each func(name string, mode fs.FileMode) bool) error {
	f, err := os.OpenFile(local, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer f.Close() // only read from: nothing can be lost
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		children, err := f.ReadDir(listStep)
		for _, child := range children {
			if !each(child.Name(), child.Type()) {
				return nil
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
