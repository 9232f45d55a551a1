package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"registryfs/drivers"
)

// contentType is that of all that a registry stores.
const contentType = "application/octet-stream"

// PutContent implements drivers.StorageDriver.
func (d *Driver) PutContent(ctx context.Context, path string, content []byte) error {
	if err := d.put(ctx, path, content, d.putInput(path)); err != nil {
		return err
	}
	return d.dropPartial(ctx, path)
}

// PutContents implements drivers.BatchPutter. One after the other: a store
// promises no order for requests that are on their way together.
func (d *Driver) PutContents(ctx context.Context, files []drivers.Content) error {
	for _, f := range files {
		if err := d.PutContent(ctx, f.Path, f.Bytes); err != nil {
			return err
		}
	}
	return nil
}

// PutContentIfAbsent implements drivers.ConditionalPutter. Of several at once only
// one can succeed, if the store knows If-None-Match. Some pass over it without a
// word, so what is there already is looked for before.
func (d *Driver) PutContentIfAbsent(ctx context.Context, path string, content []byte) error {
	exists := &fs.PathError{Op: "put", Path: path, Err: fs.ErrExist}
	if _, err := d.Stat(ctx, path); err == nil {
		return exists
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if d.noConditions.Load() {
		return d.PutContent(ctx, path, content)
	}
	in := d.putInput(path)
	in.IfNoneMatch = aws.String("*")
	tried, tries := withAttempts(ctx)
	err := d.put(tried, path, content, in)
	switch {
	case errors.Is(err, fs.ErrExist) && tries.made > 1 && d.holds(ctx, path, content):
		return nil // the answer to the first was lost
	case errors.Is(err, fs.ErrExist), errors.Is(err, syscall.EISDIR):
		return exists
	case err == nil:
		return d.dropPartial(ctx, path)
	case !refusesCondition(err):
		return err
	}
	if err := d.PutContent(ctx, path, content); err != nil {
		return err
	}
	d.noConditions.Store(true) // this was refused for the condition alone
	return nil
}

// refusesCondition reports whether the store does not know If-None-Match.
func refusesCondition(err error) bool {
	switch statusOf(err) {
	case http.StatusNotImplemented:
		return true
	case http.StatusBadRequest:
		return codeOf(err) == "NotImplemented" || codeOf(err) == "InvalidArgument" || codeOf(err) == "InvalidRequest"
	}
	return false
}

// holds reports whether the file at path has this content.
func (d *Driver) holds(ctx context.Context, path string, content []byte) bool {
	info, err := d.head(ctx, path)
	if err != nil || info.size != int64(len(content)) {
		return false
	}
	if info.etag == fmt.Sprintf("%x", md5.Sum(content)) {
		return true
	}
	got, err := d.GetContent(ctx, path)
	return err == nil && bytes.Equal(got, content)
}

// putInput has the settings that every new object gets.
func (d *Driver) putInput(path string) *s3.PutObjectInput {
	return &s3.PutObjectInput{
		Bucket:               &d.bucket,
		Key:                  aws.String(d.key(path)),
		ContentType:          aws.String(contentType),
		ACL:                  d.ObjectACL,
		StorageClass:         d.StorageClass,
		ServerSideEncryption: d.encryption(),
		SSEKMSKeyId:          d.kmsKey(),
	}
}

// put is one request. It does not keep the content.
func (d *Driver) put(ctx context.Context, path string, content []byte, in *s3.PutObjectInput) error {
	in.Body = bytes.NewReader(content)
	in.ContentLength = aws.Int64(int64(len(content)))
	out, err := d.client.PutObject(ctx, in)
	if err != nil {
		return d.explain(ctx, "put", path, err)
	}
	if aws.ToString(out.ETag) == "" { // every store gives one: this may be something else
		if info, err := d.head(ctx, path); err != nil || info.size != int64(len(content)) {
			return fmt.Errorf("put %s: what answers does not say that it has stored it", path)
		}
	}
	d.answered.Store(true)
	return nil
}

// encryption is what the server is asked to encrypt an object with.
func (d *Driver) encryption() types.ServerSideEncryption {
	switch {
	case !d.Encrypt:
		return ""
	case d.KeyID != "":
		return types.ServerSideEncryptionAwsKms
	}
	return types.ServerSideEncryptionAes256
}

// kmsKey goes with encryption.
func (d *Driver) kmsKey() *string {
	if !d.Encrypt || d.KeyID == "" {
		return nil
	}
	return &d.KeyID
}
