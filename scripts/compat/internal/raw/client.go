package raw

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

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"registryfs/scripts/compat/internal/s3server"
)

// Client works on one bucket.
type Client struct {
	client *s3.Client
	bucket string
}

// New makes a client for a bucket of a server.
func New(endpoint, bucket string) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	transport.ReadBufferSize = 64 << 10
	transport.DisableCompression = true
	return &Client{
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

// connect asks for something small.
func (c *Client) connect(ctx context.Context) error {
	_, err := c.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &c.bucket, MaxKeys: aws.Int32(1)})
	return err
}

// list returns the keys of all that lies below a prefix.
func (c *Client) list(ctx context.Context, prefix string) (keys []string, err error) {
	pages := s3.NewListObjectsV2Paginator(c.client, &s3.ListObjectsV2Input{Bucket: &c.bucket, Prefix: &prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			keys = append(keys, aws.ToString(o.Key))
		}
	}
	return keys, nil
}

// directories are the common prefixes right below a prefix.
func (c *Client) directories(ctx context.Context, prefix string) (names []string, err error) {
	pages := s3.NewListObjectsV2Paginator(c.client, &s3.ListObjectsV2Input{
		Bucket: &c.bucket, Prefix: &prefix, Delimiter: aws.String("/"),
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
func (c *Client) tags(ctx context.Context, prefix string) error {
	names, err := c.directories(ctx, prefix)
	if err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(16)
	for _, name := range names {
		switch {
		case strings.HasSuffix(name, "/_manifests/"):
			g.Go(func() error {
				_, err := c.list(ctx, name+"tags/")
				return err
			})
		case !strings.HasPrefix(filepath.Base(name), "_"):
			g.Go(func() error { return c.tags(ctx, name) })
		}
	}
	return g.Wait()
}

// get writes a range of an object, or all of it if span is "".
func (c *Client) get(ctx context.Context, w io.Writer, key, span string) error {
	in := &s3.GetObjectInput{Bucket: &c.bucket, Key: &key}
	if span != "" {
		in.Range = &span
	}
	out, err := c.client.GetObject(ctx, in)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, out.Body)
	return errors.Join(err, out.Body.Close())
}

// backup lists all objects, and writes those that hold more than a digest to
// files in dir.
func (c *Client) backup(ctx context.Context, dir string) error {
	keys, err := c.list(ctx, "")
	if err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(16)
	for i, key := range keys {
		if strings.HasSuffix(key, "/link") {
			continue
		}
		g.Go(func() error {
			f, err := os.Create(filepath.Join(dir, fmt.Sprint(i)))
			if err != nil {
				return err
			}
			return errors.Join(c.get(ctx, f, key, ""), f.Close())
		})
	}
	return g.Wait()
}

// read reads an object of size bytes by ranges of part bytes, parallel at once, and
// keeps nothing.
func (c *Client) read(ctx context.Context, key string, size, part int64, parallel int) error {
	var next atomic.Int64
	var g errgroup.Group
	for range parallel {
		g.Go(func() error {
			buf := make([]byte, part)
			for {
				off := next.Add(part) - part
				if off >= size {
					return nil
				}
				end := min(off+part, size)
				if err := c.get(ctx, &sliceWriter{buf: buf[:end-off]}, key, byteRange(off, end)); err != nil {
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

// Size is that of an object as the server has it now.
func (c *Client) Size(ctx context.Context, key string) (int64, error) {
	out, err := c.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &c.bucket, Key: &key})
	if err != nil {
		return 0, err
	}
	return aws.ToInt64(out.ContentLength), nil
}

// putPart is the size of an upload's parts.
const putPart = 16 << 20

// Put stores a file, a large one in parts, four at once.
func (c *Client) Put(ctx context.Context, key, name string) (err error) {
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
		_, err := c.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &c.bucket, Key: &key, Body: f})
		return err
	}
	upload, err := c.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &c.bucket, Key: &key})
	if err != nil {
		return err
	}
	parts := make([]types.CompletedPart, (info.Size()+putPart-1)/putPart)
	var g errgroup.Group
	g.SetLimit(4)
	for i := range parts {
		g.Go(func() error {
			off := int64(i) * putPart
			out, err := c.client.UploadPart(ctx, &s3.UploadPartInput{
				Bucket: &c.bucket, Key: &key, UploadId: upload.UploadId, PartNumber: aws.Int32(int32(i + 1)),
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
	_, err = c.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &c.bucket, Key: &key, UploadId: upload.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	return err
}
