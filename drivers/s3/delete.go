package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"registryfs/drivers"
)

// maxDelete is how many objects a store deletes by one request.
const maxDelete = 1000

// Delete implements drivers.StorageDriver. It deletes the object at path and
// those below it, and lists nothing else. What of them cannot be deleted does
// not keep the others.
func (d *Driver) Delete(ctx context.Context, path string) error {
	if err := d.dropPartial(ctx, path); err != nil {
		return err
	}
	if isLeaf(path) && d.answered.Load() {
		if _, err := d.head(ctx, path); err != nil {
			return err
		}
		return d.deleteKeys(ctx, path, []string{d.key(path)})
	}
	info, dir, err := d.fileOrDir(ctx, path)
	if err != nil {
		return err
	}
	if info == nil && dir == nil {
		return drivers.PathNotFoundError{Path: path}
	}
	var failed []error
	if info != nil {
		failed = append(failed, d.deleteKeys(ctx, path, []string{d.key(path)}))
	}
	for page, err := range d.pages(ctx, path, d.dirKey(path), "", "") {
		if err != nil {
			failed = append(failed, err)
			break
		}
		keys := make([]string, 0, len(page.Contents))
		for _, object := range page.Contents {
			keys = append(keys, *object.Key)
			failed = append(failed, d.dropFound(ctx, *object.Key))
		}
		failed = append(failed, d.deleteKeys(ctx, path, keys))
	}
	return errors.Join(failed...)
}

// dropFound ends the upload that a partial at key belongs to.
func (d *Driver) dropFound(ctx context.Context, key string) error {
	path := d.path(key)
	i := strings.LastIndexByte(path, '/') + 1
	name := path[i:]
	if name == "" || !isPartial(name) {
		return nil
	}
	target := path[:i] + strings.TrimSuffix(name[1:], partialSuffix)
	if partialPath(target) != path {
		return nil // a long name, which cannot be told; the bucket's lifecycle ends its upload
	}
	p, _, err := d.takePartial(ctx, target, nil)
	if err != nil || p == nil {
		return err
	}
	return d.abandon(ctx, target, p)
}

// deleteKeys deletes objects; one that is gone already is no error.
func (d *Driver) deleteKeys(ctx context.Context, path string, keys []string) error {
	if len(keys) == 1 {
		return d.deleteKey(ctx, path, keys[0])
	}
	var failed []error
	for batch := range slices.Chunk(keys, maxDelete) {
		failed = append(failed, d.deleteBatch(ctx, path, batch))
	}
	return errors.Join(failed...)
}

// deleteBatch deletes by one request, and by others what the store was too busy for:
// it says so of single objects, behind the SDK's back.
func (d *Driver) deleteBatch(ctx context.Context, path string, keys []string) error {
	var failed []error
	for n := 1; len(keys) > 0; n++ {
		errs, err := d.deleteOnce(ctx, path, keys)
		if err != nil {
			failed = append(failed, err)
			break
		}
		keys = nil
		if n <= d.Retries {
			errs = slices.DeleteFunc(errs, func(e types.Error) bool {
				busy := e.Key != nil && slices.Contains(busyCodes, aws.ToString(e.Code))
				if busy {
					keys = append(keys, *e.Key)
				}
				return busy
			})
		}
		failed = append(failed, d.deleteErrors(ctx, errs))
		if len(keys) > 0 {
			if err := sleep(ctx, n); err != nil {
				failed = append(failed, fmt.Errorf("delete %s: %w", path, err))
				break
			}
		}
	}
	return errors.Join(failed...)
}

// busyCodes are what a store says of an object that it would delete the next time.
var busyCodes = []string{"InternalError", "OperationAborted", "RequestTimeout", "ServiceUnavailable", "SlowDown"}

// deleteOnce returns the errors of single objects.
func (d *Driver) deleteOnce(ctx context.Context, path string, keys []string) ([]types.Error, error) {
	in := &s3.DeleteObjectsInput{Bucket: &d.bucket, Delete: &types.Delete{Quiet: aws.Bool(true)}}
	for _, key := range keys {
		in.Delete.Objects = append(in.Delete.Objects, types.ObjectIdentifier{Key: aws.String(key)})
	}
	out, err := d.client.DeleteObjects(ctx, in, withMD5)
	if statusOf(err) == http.StatusNotImplemented {
		var failed []error
		for _, key := range keys {
			failed = append(failed, d.deleteKey(ctx, path, key))
		}
		return nil, errors.Join(failed...)
	}
	if err != nil {
		return nil, d.explain(ctx, "delete", path, err)
	}
	return out.Errors, nil
}

func (d *Driver) deleteKey(ctx context.Context, path, key string) error {
	_, err := d.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &d.bucket, Key: &key})
	if isAbsent(err) {
		return nil
	}
	return d.explain(ctx, "delete", path, err)
}

// deleteErrors are those of single objects, of which a page may have many alike:
// a few are told and the rest counted.
func (d *Driver) deleteErrors(ctx context.Context, errs []types.Error) error {
	const told = 5
	var failed []error
	for i, e := range errs {
		if i == told {
			failed = append(failed, fmt.Errorf("and %d more", len(errs)-told))
			break
		}
		cause := &smithy.GenericAPIError{Code: aws.ToString(e.Code), Message: aws.ToString(e.Message)}
		path := aws.ToString(e.Key)
		if strings.HasPrefix(path, d.prefix) {
			path = d.path(path)
		}
		if !isAbsent(cause) {
			failed = append(failed, d.explain(ctx, "delete", path, cause))
		}
	}
	return errors.Join(failed...)
}

// withMD5 adds the checksum that stores want which do not know the newer one.
func withMD5(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		return smithyhttp.AddContentChecksumMiddleware(stack)
	})
}
