package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"registryfs/drivers"
)

// errReplaced says that a file is another one than when it was opened.
var errReplaced = errors.New("the file was replaced while it was read")

// GetContent implements drivers.StorageDriver.
func (d *Driver) GetContent(ctx context.Context, path string) ([]byte, error) {
	content, _, err := d.GetContentInfo(ctx, path)
	return content, err
}

// GetContentInfo implements drivers.ContentInfoGetter. Both are of one answer.
func (d *Driver) GetContentInfo(ctx context.Context, path string) ([]byte, drivers.FileInfo, error) {
	for n := 1; ; n++ {
		content, info, err := d.get(ctx, path)
		if err == nil {
			return content, info, nil
		}
		if !errors.Is(err, errReplaced) || n > d.Retries {
			return nil, nil, err
		}
	}
}

func (d *Driver) get(ctx context.Context, path string) ([]byte, *fileInfo, error) {
	r, err := d.open(ctx, path, 0, math.MaxInt64)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close() // only read from: nothing can be lost
	var content []byte
	if size := r.end; size < maxChunkSize {
		content = make([]byte, size)
		_, err = io.ReadFull(r, content)
	} else {
		content, err = io.ReadAll(r) // no length was given
	}
	if err != nil {
		return nil, nil, err
	}
	r.info.size = int64(len(content))
	return content, r.info, nil
}

// Reader implements drivers.StorageDriver.
func (d *Driver) Reader(ctx context.Context, path string, offset int64) (io.ReadCloser, error) {
	return d.reader(ctx, path, offset, math.MaxInt64)
}

// ReadRange implements drivers.RangeReader. It is one request for just these
// bytes.
func (d *Driver) ReadRange(ctx context.Context, path string, offset, length int64) (io.ReadCloser, error) {
	if length == 0 { // which no Range can say
		info, err := d.Stat(ctx, path)
		if err != nil {
			return nil, err
		}
		if info.IsDir() {
			return nil, drivers.PathNotFoundError{Path: path}
		}
		return empty(), nil
	}
	return d.reader(ctx, path, offset, length)
}

func (d *Driver) reader(ctx context.Context, path string, offset, length int64) (io.ReadCloser, error) {
	r, err := d.open(ctx, path, offset, length)
	if codeOf(err) == "InvalidRange" || statusOf(err) == http.StatusRequestedRangeNotSatisfiable {
		return empty(), nil // the offset is at the end or beyond
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

func empty() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// reader is a file's bytes from offset to end. An answer that is cut short is
// asked for again from where it ended, as long as the file is the same. What
// cannot be had in full is an error, never an early end.
type reader struct {
	ctx    context.Context
	driver *Driver
	path   string
	info   *fileInfo
	body   io.ReadCloser // nil while it has to be asked for again
	offset int64
	end    int64
	failed int   // answers in a row that gave nothing
	cause  error // of the last one
}

// open asks for length bytes from offset on, fewer if the file ends before.
func (d *Driver) open(ctx context.Context, path string, offset, length int64) (*reader, error) {
	end := int64(math.MaxInt64)
	if length <= end-offset {
		end = offset + length
	}
	r := &reader{ctx: ctx, driver: d, path: path, offset: offset, end: end}
	if err := r.request(); err != nil {
		return nil, err
	}
	return r, nil
}

// request gets a body that begins at the offset.
func (r *reader) request() error {
	d := r.driver
	in := &s3.GetObjectInput{Bucket: &d.bucket, Key: aws.String(d.key(r.path))}
	switch {
	case r.end < math.MaxInt64:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", r.offset, r.end-1))
	case r.offset > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", r.offset))
	}
	if r.info != nil && r.info.etag != "" {
		in.IfMatch = aws.String(`"` + r.info.etag + `"`)
	}
	out, err := d.client.GetObject(r.ctx, in)
	if err != nil {
		if r.info != nil && (statusOf(err) == http.StatusPreconditionFailed || isAbsent(err)) {
			err = &fs.PathError{Op: "read", Path: r.path, Err: errReplaced}
			return err
		}
		return d.explain(r.ctx, "read", r.path, err)
	}
	d.answered.Store(true)
	if err := r.accept(out); err != nil {
		return errors.Join(err, out.Body.Close())
	}
	r.body = out.Body
	return nil
}

// accept takes what the answer says about the file and about itself.
func (r *reader) accept(out *s3.GetObjectOutput) error {
	start, size := int64(0), int64(-1)
	if out.ContentRange != nil {
		var last int64
		if _, err := fmt.Sscanf(*out.ContentRange, "bytes %d-%d/%d", &start, &last, &size); err != nil {
			if _, err := fmt.Sscanf(*out.ContentRange, "bytes %d-%d/*", &start, &last); err != nil {
				return fmt.Errorf("read %s: the answer has the range %q, which cannot be understood", r.path, *out.ContentRange)
			}
		}
		if out.ContentLength == nil {
			out.ContentLength = aws.Int64(last - start + 1)
		}
	} else if out.ContentLength != nil {
		size = *out.ContentLength
	}
	if start != r.offset {
		return fmt.Errorf("read %s: the answer begins at %d instead of %d: the store does not know the header Range", r.path, start, r.offset)
	}
	info := newFileInfo(r.path, &size, out.LastModified, out.ETag)
	if r.info == nil {
		r.info = info
	} else if info.etag != r.info.etag {
		return &fs.PathError{Op: "read", Path: r.path, Err: errReplaced}
	}
	if out.ContentLength != nil {
		r.end = min(r.end, r.offset+*out.ContentLength)
	}
	return nil
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	for {
		if r.offset >= r.end || len(p) == 0 {
			if len(p) == 0 {
				return 0, nil
			}
			return 0, io.EOF
		}
		if r.body == nil {
			if err := r.again(); err != nil {
				return 0, err
			}
		}
		n, err := r.body.Read(p[:min(int64(len(p)), r.end-r.offset)])
		r.offset += int64(n)
		if n > 0 {
			r.failed = 0
		}
		if err == io.EOF && r.end == math.MaxInt64 {
			r.end = r.offset // no length was given: this is all there is
		}
		if err != nil && r.offset < r.end {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			_ = r.body.Close() // it has failed already
			r.body, r.cause = nil, err
		}
		if n > 0 {
			return n, nil
		}
	}
}

// again asks for the rest, after a while, unless that has been in vain too
// often.
func (r *reader) again() error {
	if err := r.ctx.Err(); err != nil {
		return fmt.Errorf("read %s: %w", r.path, err)
	}
	r.failed++
	var stall *stallError
	if r.failed > max(r.driver.Retries, 0) || errors.As(r.cause, &stall) && r.failed >= maxStalls {
		return fmt.Errorf("read %s: the answer ended at byte %d of %d: %w", r.path, r.offset, r.end, r.cause)
	}
	if r.failed > 1 {
		if err := sleep(r.ctx, r.failed-1); err != nil {
			return fmt.Errorf("read %s: %w", r.path, err)
		}
	}
	return r.request()
}

// Close implements io.Closer. What was not read is not fetched.
func (r *reader) Close() error {
	if r.body == nil {
		return nil
	}
	err := r.body.Close()
	r.body = nil
	r.end = r.offset
	if r.ctx.Err() != nil || r.offset < r.end {
		return nil
	}
	return err
}
