package drivertest

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io/fs"
	"iter"
	"time"

	"registryfs/drivers"
)

// Remote makes d look like an object store: it is remote, its files have the MD5
// of their content as ETag and, if asked for one by one, times of whole seconds,
// its directories have no times, and nothing can be opened locally.
func Remote(d drivers.StorageDriver) drivers.StorageDriver { return remote{d} }

type remote struct{ drivers.StorageDriver }

// IsRemote answers drivers.IsRemote.
func (remote) IsRemote() bool { return true }

type tagged struct {
	drivers.FileInfo
	etag string
}

// ETag answers drivers.ETag.
func (t tagged) ETag() string { return t.etag }

func (r remote) info(ctx context.Context, info drivers.FileInfo) (drivers.FileInfo, error) {
	if info.IsDir() {
		return drivers.FileInfoFields{FullPath: info.Path(), Dir: true}, nil
	}
	content, err := r.StorageDriver.GetContent(ctx, info.Path())
	if err != nil {
		return nil, err
	}
	sum := md5.Sum(content)
	return tagged{info, hex.EncodeToString(sum[:])}, nil
}

func (r remote) seq(ctx context.Context, infos iter.Seq2[drivers.FileInfo, error]) iter.Seq2[drivers.FileInfo, error] {
	return func(yield func(drivers.FileInfo, error) bool) {
		for info, err := range infos {
			if err != nil {
				yield(nil, err)
				return
			}
			info, err = r.info(ctx, info)
			if errors.Is(err, fs.ErrNotExist) {
				continue // gone meanwhile
			}
			if !yield(info, err) || err != nil {
				return
			}
		}
	}
}

// Stat implements drivers.StorageDriver.
func (r remote) Stat(ctx context.Context, path string) (drivers.FileInfo, error) {
	info, err := r.StorageDriver.Stat(ctx, path)
	if err != nil {
		return nil, err
	}
	if info, err = r.info(ctx, info); err != nil {
		return nil, err
	}
	return second{info}, nil
}

// second is a FileInfo with the time that an HTTP header can tell.
type second struct{ drivers.FileInfo }

// ModTime implements drivers.FileInfo.
func (s second) ModTime() time.Time { return s.FileInfo.ModTime().Truncate(time.Second) }

// ETag answers drivers.ETag.
func (s second) ETag() string { return drivers.ETag(s.FileInfo) }

// ListInfo implements drivers.InfoLister.
func (r remote) ListInfo(ctx context.Context, dir string) iter.Seq2[drivers.FileInfo, error] {
	return r.seq(ctx, drivers.ListInfo(ctx, r.StorageDriver, dir))
}

// WalkInfo implements drivers.InfoWalker.
func (r remote) WalkInfo(ctx context.Context, from, startAfter string) iter.Seq2[drivers.FileInfo, error] {
	return r.seq(ctx, drivers.WalkInfo(ctx, r.StorageDriver, from, startAfter))
}

// Chtimes implements drivers.TimeSetter: there is no such request.
func (r remote) Chtimes(_ context.Context, path string, _ time.Time) error {
	if !drivers.ValidPath(path) {
		return drivers.InvalidPathError{Path: path, DriverName: r.Name()}
	}
	return drivers.ErrUnsupportedMethod{DriverName: r.Name()}
}
