package s3

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"registryfs/drivers"
)

// copySource is a file of a Driver, for the CopyFrom of another.
type copySource struct {
	driver *Driver
	path   string
}

// CopySource answers drivers.CopySource.
func (d *Driver) CopySource(path string) any { return copySource{d, path} }

// CopyFrom implements drivers.ServerCopier. It makes four requests, and more if
// the file is copied in parts. A copy that differs is removed.
func (d *Driver) CopyFrom(ctx context.Context, source any, path string) error {
	from, ok := source.(copySource)
	if !ok || !d.isOneWith(ctx, from.driver) {
		return drivers.ErrUnsupportedMethod{}
	}
	src, err := from.driver.prove(ctx, from.path)
	if err != nil {
		return err
	}
	if err := d.copy(ctx, from.driver, &src.fileInfo, path); err != nil {
		return err
	}
	dst, err := d.prove(ctx, path)
	if err != nil {
		return err
	}
	if reason := src.differs(dst); reason != "" {
		err := fmt.Errorf("copy %s: the store's copy has another %s", from.path, reason)
		return errors.Join(err, d.deleteKey(ctx, path, d.key(path)))
	}
	return d.dropPartial(ctx, path)
}

// isOneWith reports whether from is the same store, asked by the same user.
func (d *Driver) isOneWith(ctx context.Context, from *Driver) bool {
	a, b := d.client.Options(), from.client.Options()
	if aws.ToString(a.BaseEndpoint) != aws.ToString(b.BaseEndpoint) || a.Region != b.Region || d.Anonymous || from.Anonymous {
		return false
	}
	if d.RoleARN != from.RoleARN {
		return false
	}
	if d.RoleARN != "" { // its keys are new ones each time
		return d.AccessKey == from.AccessKey && d.Profile == from.Profile
	}
	mine, err := a.Credentials.Retrieve(ctx)
	if err != nil {
		return false // the next request says why
	}
	its, err := b.Credentials.Retrieve(ctx)
	return err == nil && mine.AccessKeyID == its.AccessKeyID
}

// proof is what the store tells of a file's content.
type proof struct {
	fileInfo
	isMD5 bool              // the ETag is the MD5 of the content
	sums  map[string]string // of the whole content, by algorithm
}

// prove describes a file with all that the store knows of its content.
func (d *Driver) prove(ctx context.Context, path string) (*proof, error) {
	if !d.answered.Load() { // else a 404 may mean the bucket
		if _, err := d.directory(ctx, "/"); err != nil {
			return nil, err
		}
	}
	out, err := d.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &d.bucket, Key: aws.String(d.key(path)), ChecksumMode: types.ChecksumModeEnabled})
	if codeOf(err) == "NotFound" && ctx.Err() == nil {
		return nil, drivers.PathNotFoundError{Path: path}
	}
	if err != nil {
		return nil, d.explain(ctx, "stat", path, err)
	}
	p := &proof{fileInfo: *newFileInfo(path, out.ContentLength, out.LastModified, out.ETag), sums: map[string]string{}}
	encrypted := out.SSECustomerAlgorithm != nil || out.ServerSideEncryption != "" && out.ServerSideEncryption != types.ServerSideEncryptionAes256
	p.isMD5 = len(p.etag) == 32 && !strings.Contains(p.etag, "-") && !encrypted
	for name, sum := range map[string]*string{
		"CRC64NVME": out.ChecksumCRC64NVME, "CRC32": out.ChecksumCRC32, "CRC32C": out.ChecksumCRC32C,
		"SHA1": out.ChecksumSHA1, "SHA256": out.ChecksumSHA256,
	} {
		// That of parts goes on with a dash and their number.
		if sum != nil && out.ChecksumType != types.ChecksumTypeComposite && !strings.Contains(*sum, "-") {
			p.sums[name] = *sum
		}
	}
	return p, nil
}

// differs says what is not the same in a copy, or "".
func (p *proof) differs(dup *proof) string {
	if p.size != dup.size {
		return "size"
	}
	if p.isMD5 && dup.isMD5 && p.etag != dup.etag {
		return "MD5"
	}
	for name, sum := range p.sums {
		if other, ok := dup.sums[name]; ok && other != sum {
			return name
		}
	}
	return ""
}
