package s3

import (
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"registryfs/drivers"
)

// fileInfo is a file as a listing or an answer describes it.
type fileInfo struct {
	path  string
	size  int64
	mtime time.Time
	etag  string
}

var _ drivers.FileInfo = (*fileInfo)(nil)

// Path implements drivers.FileInfo.
func (f *fileInfo) Path() string { return f.path }

// Size implements drivers.FileInfo.
func (f *fileInfo) Size() int64 { return f.size }

// ModTime implements drivers.FileInfo.
func (f *fileInfo) ModTime() time.Time { return f.mtime }

// IsDir implements drivers.FileInfo.
func (f *fileInfo) IsDir() bool { return false }

// ETag answers drivers.ETag.
func (f *fileInfo) ETag() string { return f.etag }

func newFileInfo(path string, size *int64, mtime *time.Time, etag *string) *fileInfo {
	return &fileInfo{path: path, size: aws.ToInt64(size), mtime: aws.ToTime(mtime), etag: unquote(aws.ToString(etag))}
}

// directory is one that has something in it.
type directory struct {
	drivers.FileInfo
	first *fileInfo // nil if it is not to be shown
}

// First answers drivers.First.
func (d *directory) First() drivers.FileInfo {
	if d.first == nil {
		return nil
	}
	return d.first
}

func dirInfo(path string) drivers.FileInfo {
	return drivers.FileInfoFields{FullPath: path, Dir: true}
}

// unquote takes the quotes off an entity tag; some stores send none.
func unquote(etag string) string { return strings.Trim(etag, `"`) }

// partsOf is of how many parts the object with this entity tag was made, if that
// can be told: S3 puts the number behind a dash.
func partsOf(etag string) (int, bool) {
	_, after, ok := strings.Cut(etag, "-")
	n, err := strconv.Atoi(after)
	return n, ok && err == nil
}
