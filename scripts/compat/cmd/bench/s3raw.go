package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"registryfs/scripts/compat/internal/s3server"
)

// rawS3 does the least that a task takes, by the SDK and without a file system:
// the ceiling of what can be reached.
type rawS3 struct {
	client *s3.Client
	bucket string
}

// object is one of a listing.
type object struct {
	key  string
	size int64
}

func newRawS3(endpoint, bucket string) *rawS3 {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	transport.ReadBufferSize = 64 << 10
	transport.DisableCompression = true
	return &rawS3{
		client: s3.New(s3.Options{
			BaseEndpoint:               aws.String(endpoint),
			Region:                     s3server.Region,
			UsePathStyle:               true,
			Credentials:                credentials.NewStaticCredentialsProvider(s3server.AccessKey, s3server.SecretKey, ""),
			HTTPClient:                 &http.Client{Transport: transport},
			RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
			ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
		}),
		bucket: bucket,
	}
}

// list is all that lies below a prefix.
func (r *rawS3) list(ctx context.Context, prefix string) (objects []object, err error) {
	pages := s3.NewListObjectsV2Paginator(r.client, &s3.ListObjectsV2Input{Bucket: &r.bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			objects = append(objects, object{aws.ToString(o.Key), aws.ToInt64(o.Size)})
		}
	}
	return objects, nil
}

// directories are the common prefixes right below a prefix.
func (r *rawS3) directories(ctx context.Context, prefix string) (names []string, err error) {
	pages := s3.NewListObjectsV2Paginator(r.client, &s3.ListObjectsV2Input{
		Bucket: &r.bucket, Prefix: &prefix, Delimiter: aws.String("/"),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, p := range page.CommonPrefixes {
			names = append(names, aws.ToString(p.Prefix))
		}
	}
	return names, nil
}

// tags lists the tags of all repositories below a prefix with their links, each
// of which says the digest by its ETag.
func (r *rawS3) tags(ctx context.Context, prefix string) error {
	names, err := r.directories(ctx, prefix)
	if err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(16)
	for _, name := range names {
		switch {
		case strings.HasSuffix(name, "/_manifests/"):
			g.Go(func() error {
				_, err := r.list(ctx, name+"tags/")
				return err
			})
		case !strings.HasPrefix(filepath.Base(name), "_"):
			g.Go(func() error { return r.tags(ctx, name) })
		}
	}
	return g.Wait()
}

// get writes a range of an object, or all of it if span is "".
func (r *rawS3) get(ctx context.Context, w io.Writer, key, span string) error {
	in := &s3.GetObjectInput{Bucket: &r.bucket, Key: &key}
	if span != "" {
		in.Range = &span
	}
	out, err := r.client.GetObject(ctx, in)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, out.Body)
	return errors.Join(err, out.Body.Close())
}

// backup lists all objects, and writes those that hold more than a digest to
// files in dir.
func (r *rawS3) backup(ctx context.Context, dir string) error {
	objects, err := r.list(ctx, "")
	if err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(16)
	for i, o := range objects {
		if strings.HasSuffix(o.key, "/link") {
			continue
		}
		g.Go(func() error {
			f, err := os.Create(filepath.Join(dir, fmt.Sprint(i)))
			if err != nil {
				return err
			}
			return errors.Join(r.get(ctx, f, o.key, ""), f.Close())
		})
	}
	return g.Wait()
}

// read reads an object by ranges of part bytes, parallel at once, and keeps
// nothing.
func (r *rawS3) read(ctx context.Context, o object, part int64, parallel int) error {
	var next atomic.Int64
	var g errgroup.Group
	for range parallel {
		g.Go(func() error {
			buf := make([]byte, part)
			for {
				off := next.Add(part) - part
				if off >= o.size {
					return nil
				}
				end := min(off+part, o.size)
				if err := r.get(ctx, &sliceWriter{buf: buf[:end-off]}, o.key, byteRange(off, end)); err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}

// sliceWriter fills a buffer straight from the connection.
type sliceWriter struct {
	buf []byte
	n   int
}

func (w *sliceWriter) Write(p []byte) (int, error) {
	n := copy(w.buf[w.n:], p)
	w.n += n
	return n, nil
}

// ReadFrom implements io.ReaderFrom.
func (w *sliceWriter) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.ReadFull(r, w.buf[w.n:])
	w.n += n
	return int64(n), err
}

func byteRange(from, to int64) string { return fmt.Sprintf("bytes=%d-%d", from, to-1) }

// getRanges is getEach for ranges of size bytes of one object.
func (r *rawS3) getRanges(ctx context.Context, key string, offsets []int64, size int64) (float64, error) {
	return medianOf(offsets, func(off int64) error { return r.get(ctx, io.Discard, key, byteRange(off, off+size)) })
}

// medianOf returns the median time of a call for each argument, in milliseconds.
func medianOf[T any](args []T, call func(T) error) (float64, error) {
	var times samples
	for _, arg := range args {
		start := time.Now()
		if err := call(arg); err != nil {
			return 0, err
		}
		times = append(times, time.Since(start).Seconds()*1e3)
	}
	return times.median(), nil
}

// size is that of an object as the server has it now.
func (r *rawS3) size(ctx context.Context, key string) (int64, error) {
	out, err := r.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &r.bucket, Key: &key})
	if err != nil {
		return 0, err
	}
	return aws.ToInt64(out.ContentLength), nil
}

// putPart is the size of an upload's parts.
const putPart = 16 << 20

// put stores a file, a large one in parts, four at once.
func (r *rawS3) put(ctx context.Context, key, name string) (err error) {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() <= putPart {
		_, err := r.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &r.bucket, Key: &key, Body: f})
		return err
	}
	upload, err := r.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &r.bucket, Key: &key})
	if err != nil {
		return err
	}
	parts := make([]types.CompletedPart, (info.Size()+putPart-1)/putPart)
	var g errgroup.Group
	g.SetLimit(4)
	for i := range parts {
		g.Go(func() error {
			off := int64(i) * putPart
			out, err := r.client.UploadPart(ctx, &s3.UploadPartInput{
				Bucket: &r.bucket, Key: &key, UploadId: upload.UploadId, PartNumber: aws.Int32(int32(i + 1)),
				Body: io.NewSectionReader(f, off, min(putPart, info.Size()-off)),
			})
			if err == nil {
				parts[i] = types.CompletedPart{PartNumber: aws.Int32(int32(i + 1)), ETag: out.ETag}
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	_, err = r.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &r.bucket, Key: &key, UploadId: upload.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	return err
}
