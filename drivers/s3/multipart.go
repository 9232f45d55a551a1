package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const (
	// parallelParts is how many parts of one file are on their way at once.
	parallelParts = 4

	// equalParts have the size that is set, which stores that want all parts
	// of one size are content with. From then on parts double every growParts,
	// so that the largest file there can be fits into the most parts there can
	// be.
	equalParts = 4500
	growParts  = 500
)

// partSize is how large the n-th part is, counted from 1.
func partSize(chunk int64, n int) int64 {
	for ; n > equalParts && chunk <= maxChunkSize/2; n -= growParts {
		chunk *= 2
	}
	return chunk
}

// upload is a file that goes to the store in parts. Nothing is to be seen of it
// before complete. It is made by the first part that is put.
type upload struct {
	driver *Driver
	path   string
	key    string

	create sync.Once
	slots  chan struct{} // held by parts on their way
	parts  sync.WaitGroup

	mu   sync.Mutex // guards the following
	id   string     // "" while it is not made
	done []part
	size int64
	err  error // the first
}

// part is one that the store has.
type part struct {
	Number int32  `json:"n"`
	ETag   string `json:"etag"`
	CRC32  string `json:"crc32,omitempty"`
	Size   int64  `json:"size"`
}

func (d *Driver) newUpload(path string) *upload {
	return &upload{driver: d, path: path, key: d.key(path), slots: make(chan struct{}, parallelParts)}
}

// begin makes the upload at the store, once.
func (u *upload) begin(ctx context.Context) error {
	u.create.Do(func() {
		if u.uploadID() != "" {
			return // it goes on with one that was left
		}
		id, err := u.driver.createUpload(ctx, u.path, u.driver.AllChecksums)
		if err != nil {
			u.fail(err)
			return
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		u.id = id
	})
	return u.failed()
}

// createUpload begins an upload with the settings that every new object gets.
func (d *Driver) createUpload(ctx context.Context, path string, checksums bool) (string, error) {
	in := &s3.CreateMultipartUploadInput{
		Bucket:               &d.bucket,
		Key:                  aws.String(d.key(path)),
		ContentType:          aws.String(contentType),
		ACL:                  d.ObjectACL,
		StorageClass:         d.StorageClass,
		ServerSideEncryption: d.encryption(),
		SSEKMSKeyId:          d.kmsKey(),
	}
	var options []func(*s3.Options)
	if checksums {
		in.ChecksumAlgorithm = types.ChecksumAlgorithmCrc32
	} else {
		options = append(options, plainChecksums)
	}
	out, err := d.client.CreateMultipartUpload(ctx, in, options...)
	if err != nil {
		return "", d.explain(ctx, "begin to put", path, err)
	}
	if aws.ToString(out.UploadId) == "" {
		return "", fmt.Errorf("begin to put %s: the store gives no upload id", path)
	}
	return *out.UploadId, nil
}

// plainChecksums keeps the SDK from asking for a checksum: parts that are copied
// would have none.
func plainChecksums(o *s3.Options) {
	o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
}

// put sends a part on its way and returns as soon as it may. Then release is
// called once the content is not needed any more.
func (u *upload) put(ctx context.Context, number int, content []byte, release func()) {
	select {
	case u.slots <- struct{}{}:
	case <-ctx.Done():
		u.fail(ctx.Err())
		release()
		return
	}
	u.parts.Go(func() {
		defer func() { <-u.slots }()
		defer release()
		if err := u.begin(ctx); err != nil {
			return
		}
		if err := u.putPart(ctx, int32(number), content); err != nil {
			u.fail(err)
		}
	})
}

func (u *upload) putPart(ctx context.Context, number int32, content []byte) error {
	d := u.driver
	out, err := d.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket:        &d.bucket,
		Key:           &u.key,
		UploadId:      aws.String(u.uploadID()),
		PartNumber:    aws.Int32(number),
		Body:          bytes.NewReader(content),
		ContentLength: aws.Int64(int64(len(content))),
	}, d.partOptions...)
	if err != nil {
		return d.explain(ctx, fmt.Sprintf("put part %d of", number), u.path, err)
	}
	p := part{Number: number, ETag: aws.ToString(out.ETag), Size: int64(len(content))}
	if d.AllChecksums {
		p.CRC32 = aws.ToString(out.ChecksumCRC32)
	}
	u.add(p)
	return nil
}

func (u *upload) add(p part) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.done = append(u.done, p)
	u.size += p.Size
}

func (u *upload) fail(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err == nil {
		u.err = err
	}
}

func (u *upload) failed() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

func (u *upload) uploadID() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.id
}

// wait waits for the parts on their way and returns the first error there was.
func (u *upload) wait() error {
	u.parts.Wait()
	return u.failed()
}

// sorted returns the parts that are there in the order of the file.
func (u *upload) sorted() []part {
	u.mu.Lock()
	defer u.mu.Unlock()
	slices.SortFunc(u.done, func(a, b part) int { return int(a.Number - b.Number) })
	return slices.Clone(u.done)
}

// complete makes the file of its parts.
func (u *upload) complete(ctx context.Context) error {
	d, done := u.driver, u.sorted()
	parts := make([]types.CompletedPart, len(done))
	for i, p := range done {
		parts[i] = types.CompletedPart{PartNumber: aws.Int32(p.Number), ETag: aws.String(p.ETag)}
		if p.CRC32 != "" {
			parts[i].ChecksumCRC32 = aws.String(p.CRC32)
		}
	}
	ctx, tries := withAttempts(withPatience(ctx))
	out, err := d.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket:          &d.bucket,
		Key:             &u.key,
		UploadId:        aws.String(u.uploadID()),
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	if codeOf(err) == "NoSuchUpload" && tries.made > 1 && u.isThere(ctx, len(parts)) {
		return nil // the answer to the first was lost
	}
	if err != nil {
		return d.explain(ctx, "complete", u.path, err)
	}
	if aws.ToString(out.ETag) == "" && !u.isThere(ctx, len(parts)) {
		return fmt.Errorf("complete %s: the store does not say what it has made of the parts", u.path)
	}
	return nil
}

// isThere reports whether the object is one of so many parts and of this size.
func (u *upload) isThere(ctx context.Context, parts int) bool {
	info, err := u.driver.head(ctx, u.path)
	if err != nil || info.size != u.size {
		return false
	}
	n, ok := partsOf(info.etag)
	return !ok || n == parts
}

// abort gives the parts back. Those of an upload that is not aborted cost money
// until the bucket's lifecycle ends them.
func (u *upload) abort(ctx context.Context) error {
	u.parts.Wait()
	id := u.uploadID()
	if id == "" {
		return nil
	}
	return u.driver.abortUpload(ctx, u.path, id)
}

func (d *Driver) abortUpload(ctx context.Context, path, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.Timeout)
	defer cancel()
	_, err := d.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{
		Bucket: &d.bucket, Key: aws.String(d.key(path)), UploadId: &id,
	})
	if codeOf(err) == "NoSuchUpload" {
		return nil
	}
	return d.explain(ctx, "abort", path, err)
}

var errTooManyParts = errors.New("the file has more parts than a store takes: raise the parameter chunksize")
