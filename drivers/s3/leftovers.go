package s3

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"registryfs/drivers"
)

// Leftovers answers drivers.LeftoversOf: the uploads in parts that have not ended.
// Their time is that of the newest part. They have no content that could be read.
func (d *Driver) Leftovers() drivers.Leftovers { return leftovers{d} }

type leftovers struct{ d *Driver }

// uploadMark is behind the path of a file, and before the id of an upload of it.
const uploadMark = "?uploadId="

// All implements drivers.Leftovers.
func (l leftovers) All(ctx context.Context, from string) iter.Seq2[drivers.FileInfo, error] {
	return func(yield func(drivers.FileInfo, error) bool) {
		prefix := l.d.dirKey(from)
		if path.Base(path.Dir(from)) == "_uploads" {
			prefix += "data" // MinIO finds the uploads of a key and not those below a prefix
		}
		in := &s3.ListMultipartUploadsInput{Bucket: &l.d.bucket, Prefix: &prefix, EncodingType: types.EncodingTypeUrl}
		for {
			page, err := l.d.client.ListMultipartUploads(ctx, in)
			if statusOf(err) == http.StatusNotImplemented {
				return
			}
			if err != nil {
				yield(nil, l.d.explain(ctx, "list uploads below", from, err))
				return
			}
			for _, u := range page.Uploads {
				key := u.Key
				if page.EncodingType == types.EncodingTypeUrl {
					key = decodeKey(key)
				}
				if key == nil || !strings.HasPrefix(*key, prefix) {
					continue
				}
				info, err := l.upload(ctx, l.d.path(*key), u)
				if info == nil && err == nil {
					continue // it has ended
				}
				if !yield(info, err) || err != nil {
					return
				}
			}
			if !aws.ToBool(page.IsTruncated) {
				return
			}
			next := *in
			next.KeyMarker, next.UploadIdMarker = page.NextKeyMarker, page.NextUploadIdMarker
			if page.EncodingType == types.EncodingTypeUrl {
				next.KeyMarker = decodeKey(next.KeyMarker)
			}
			if aws.ToString(next.KeyMarker) == aws.ToString(in.KeyMarker) && aws.ToString(next.UploadIdMarker) == aws.ToString(in.UploadIdMarker) {
				yield(nil, fmt.Errorf("list uploads below %s: the store says that there is more and not how to get it", from))
				return
			}
			in = &next
		}
	}
}

// upload describes an upload by its parts, nil if it has ended.
func (l leftovers) upload(ctx context.Context, path string, u types.MultipartUpload) (drivers.FileInfo, error) {
	info := drivers.FileInfoFields{
		FullPath: path + uploadMark + url.QueryEscape(aws.ToString(u.UploadId)),
		Modified: aws.ToTime(u.Initiated),
	}
	pages := s3.NewListPartsPaginator(l.d.client, &s3.ListPartsInput{
		Bucket: &l.d.bucket, Key: aws.String(l.d.key(path)), UploadId: u.UploadId,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if codeOf(err) == "NoSuchUpload" {
			return nil, nil
		}
		if err != nil {
			return nil, l.d.explain(ctx, "list parts of", path, err)
		}
		for _, p := range page.Parts {
			info.Bytes += aws.ToInt64(p.Size)
			if t := aws.ToTime(p.LastModified); t.After(info.Modified) {
				info.Modified = t
			}
		}
	}
	return info, nil
}

// Open implements drivers.Leftovers.
func (leftovers) Open(_ context.Context, path string) (io.ReadCloser, error) {
	return nil, drivers.PathNotFoundError{Path: path}
}

// Remove implements drivers.Leftovers.
func (l leftovers) Remove(ctx context.Context, path string) error {
	target, escaped, ok := strings.Cut(path, uploadMark)
	id, err := url.QueryUnescape(escaped)
	if !ok || err != nil {
		return drivers.PathNotFoundError{Path: path}
	}
	return l.d.abortUpload(ctx, target, id)
}

// RemoveDir implements drivers.Leftovers. There are no directories.
func (leftovers) RemoveDir(context.Context, string) (bool, error) { return false, nil }
