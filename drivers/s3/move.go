package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"registryfs/drivers"
)

// parallelMoves is how many files of a directory are copied at once.
const parallelMoves = 8

// Move implements drivers.StorageDriver. The store copies, then the source is
// deleted: so both can be there if it fails between.
func (d *Driver) Move(ctx context.Context, src, dst string) error {
	info, dir, err := d.fileOrDir(ctx, src)
	switch {
	case err != nil:
		return err
	case info == nil && dir == nil:
		return drivers.PathNotFoundError{Path: src}
	case src == dst:
		return nil
	case strings.HasPrefix(dst, src+"/"):
		return &fs.PathError{Op: "move", Path: dst, Err: syscall.EINVAL}
	}
	if info == nil {
		return d.moveDir(ctx, src, dst)
	}
	if err := d.copy(ctx, d, info, dst); err != nil {
		return err
	}
	if err := errors.Join(d.dropPartial(ctx, src), d.dropPartial(ctx, dst)); err != nil {
		return err
	}
	return d.deleteKey(ctx, src, d.key(src))
}

// moveDir copies all that is below src before it deletes any of it. It does not
// replace a file or a directory.
func (d *Driver) moveDir(ctx context.Context, src, dst string) error {
	info, dir, err := d.fileOrDir(ctx, dst)
	if err != nil {
		return err
	}
	if info != nil || dir != nil {
		return &fs.PathError{Op: "move", Path: dst, Err: fs.ErrExist}
	}
	g, copying := errgroup.WithContext(ctx)
	g.SetLimit(parallelMoves)
	for info, err := range d.WalkInfo(copying, src, "") {
		if err != nil {
			if copying.Err() == nil || ctx.Err() != nil {
				g.Go(func() error { return err })
			}
			break
		}
		g.Go(func() error {
			return d.copy(copying, d, info.(*fileInfo), dst+strings.TrimPrefix(info.Path(), src))
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return d.Delete(ctx, src)
}

// copy makes dst the same as the file src of from, with the settings of a new
// object.
func (d *Driver) copy(ctx context.Context, from *Driver, src *fileInfo, dst string) error {
	if src.size > 0 && src.size > d.CopyThreshold {
		return d.copyParts(ctx, from, src, dst)
	}
	ctx = withPatience(ctx)
	out, err := d.client.CopyObject(ctx, &s3.CopyObjectInput{
		Bucket:               &d.bucket,
		Key:                  aws.String(d.key(dst)),
		CopySource:           from.objectName(src),
		ContentType:          aws.String(contentType),
		MetadataDirective:    types.MetadataDirectiveReplace,
		ACL:                  d.ObjectACL,
		StorageClass:         d.StorageClass,
		ServerSideEncryption: d.encryption(),
		SSEKMSKeyId:          d.kmsKey(),
	})
	if err != nil {
		return d.explain(ctx, "copy", src.path, err)
	}
	if out.CopyObjectResult == nil || aws.ToString(out.CopyObjectResult.ETag) == "" {
		return notCopied(src)
	}
	return nil
}

// notCopied is the error of an answer that says OK and no more: it may be of
// something else than the store, and the source is about to be deleted.
func notCopied(src *fileInfo) error {
	return fmt.Errorf("copy %s: the store does not say what it has copied", src.path)
}

// objectName names an object in a header.
func (d *Driver) objectName(src *fileInfo) *string {
	segments := strings.Split(d.bucket+"/"+d.key(src.path), "/")
	for i := range segments {
		segments[i] = url.PathEscape(segments[i])
	}
	return aws.String(strings.Join(segments, "/"))
}

// copyParts lets the store copy ranges of the file, several at once.
func (d *Driver) copyParts(ctx context.Context, from *Driver, src *fileInfo, dst string) error {
	id, err := d.createUpload(ctx, dst, false)
	if err != nil {
		return err
	}
	u := d.newUpload(dst)
	u.id = id
	size := max(d.CopyChunkSize, (src.size+maxPartsPerFile-1)/maxPartsPerFile)
	g, copying := errgroup.WithContext(withPatience(ctx))
	g.SetLimit(d.CopyMaxConcurrent)
	number := int32(0)
	for start := int64(0); start < src.size; start += size {
		number++
		n, length := number, min(size, src.size-start)
		g.Go(func() error {
			etag, err := d.copyPart(copying, from, src, u, n, start, length)
			if err == nil {
				u.add(part{Number: n, ETag: etag, Size: length})
			}
			return err
		})
	}
	err = g.Wait()
	if err == nil {
		err = u.complete(ctx)
	}
	if err != nil {
		return errors.Join(err, u.abort(ctx))
	}
	return nil
}

func (d *Driver) copyPart(ctx context.Context, from *Driver, src *fileInfo, u *upload, number int32, start, length int64) (string, error) {
	in := &s3.UploadPartCopyInput{
		Bucket:          &d.bucket,
		Key:             &u.key,
		UploadId:        &u.id,
		PartNumber:      &number,
		CopySource:      from.objectName(src),
		CopySourceRange: aws.String(fmt.Sprintf("bytes=%d-%d", start, start+length-1)),
	}
	if src.etag != "" { // else it may be replaced between two parts
		in.CopySourceIfMatch = aws.String(`"` + src.etag + `"`)
	}
	out, err := d.client.UploadPartCopy(ctx, in)
	if err != nil {
		return "", d.explain(ctx, "copy", src.path, err)
	}
	if out.CopyPartResult == nil || aws.ToString(out.CopyPartResult.ETag) == "" {
		return "", notCopied(src)
	}
	return aws.ToString(out.CopyPartResult.ETag), nil
}
