package s3

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"registryfs/drivers"
)

// Stat implements drivers.StorageDriver. What a registry has only files for is
// one HEAD. For all else a HEAD and a listing of one key go out together: the
// first to find something answers, and where both would, the file.
func (d *Driver) Stat(ctx context.Context, path string) (drivers.FileInfo, error) {
	if path == "/" {
		if _, err := d.directory(ctx, path); err != nil {
			return nil, err
		}
		return dirInfo(path), nil
	}
	if isLeaf(path) && d.answered.Load() {
		info, err := d.head(ctx, path)
		if err != nil {
			return nil, err
		}
		return info, nil
	}
	info, dir, err := d.fileOrDir(ctx, path)
	switch {
	case err != nil:
		return nil, err
	case info != nil:
		return info, nil
	case dir != nil:
		return dir, nil
	}
	return nil, drivers.PathNotFoundError{Path: path}
}

// fileOrDir looks for a file and for a directory at path. It looks no further
// once it has found a file.
func (d *Driver) fileOrDir(ctx context.Context, path string) (info *fileInfo, dir *directory, err error) {
	listCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	type listed struct {
		dir *directory
		err error
	}
	below := make(chan listed, 1)
	go func() {
		dir, err := d.directory(listCtx, path)
		below <- listed{dir, err}
	}()
	info, err = d.head(ctx, path)
	if err == nil {
		return info, nil, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	l := <-below
	return nil, l.dir, l.err
}

// head describes the file at path. The answer to a HEAD has no body to name a
// reason in, so a 404 is absence only to callers that know the bucket to be
// there: by d.answered, or by the listing that they have asked for beside it.
func (d *Driver) head(ctx context.Context, path string) (*fileInfo, error) {
	out, err := d.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &d.bucket, Key: aws.String(d.key(path))})
	if codeOf(err) == "NotFound" && ctx.Err() == nil {
		return nil, drivers.PathNotFoundError{Path: path}
	}
	if err != nil {
		return nil, d.explain(ctx, "stat", path, err)
	}
	d.answered.Store(true)
	return newFileInfo(path, out.ContentLength, out.LastModified, out.ETag), nil
}

// directory describes a directory: nil if there is nothing in it, not even the
// marker that consoles make for an empty one.
func (d *Driver) directory(ctx context.Context, path string) (*directory, error) {
	page, err := d.page(ctx, path, &s3.ListObjectsV2Input{
		Bucket:       &d.bucket,
		Prefix:       aws.String(d.dirKey(path)),
		EncodingType: types.EncodingTypeUrl,
		MaxKeys:      aws.Int32(1),
	})
	if err != nil || len(page.Contents) == 0 {
		return nil, err
	}
	dir := &directory{FileInfo: dirInfo(path)}
	if first := &page.Contents[0]; isShown(d.path(*first.Key)) {
		dir.first = d.info(first)
	}
	return dir, nil
}

// isLeaf reports whether path can only be a file, by its place in a registry: a
// link, a start time or the data of a blob or an upload. No part of a
// repository's name begins with an underscore.
func isLeaf(path string) bool {
	switch path[strings.LastIndexByte(path, '/')+1:] {
	case "link", "data", "startedat":
		return strings.Contains(path, "/_") || strings.HasPrefix(path, "/docker/registry/v2/blobs/")
	}
	return false
}
