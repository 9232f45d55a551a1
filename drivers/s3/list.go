package s3

import (
	"context"
	"fmt"
	"iter"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"registryfs/drivers"
)

// List implements drivers.StorageDriver.
func (d *Driver) List(ctx context.Context, dir string) ([]string, error) {
	return drivers.ListPaths(ctx, d, dir)
}

// ListInfo implements drivers.InfoLister.
func (d *Driver) ListInfo(ctx context.Context, dir string) iter.Seq2[drivers.FileInfo, error] {
	return func(yield func(drivers.FileInfo, error) bool) {
		prefix, met := d.dirKey(dir), false
		for page, err := range d.pages(ctx, dir, prefix, "/", "") {
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range page.Contents {
				met = true
				object := &page.Contents[i]
				name := (*object.Key)[len(prefix):]
				if name == "" || isPartial(name) { // the directory's marker
					continue
				}
				if !yield(d.info(object), nil) {
					return
				}
			}
			for _, common := range page.CommonPrefixes {
				met = true
				name := (*common.Prefix)[len(prefix) : len(*common.Prefix)-1]
				if name != "" && !yield(dirInfo(d.path(prefix+name)), nil) {
					return
				}
			}
		}
		if !met && dir != "/" {
			yield(nil, drivers.PathNotFoundError{Path: dir})
		}
	}
}

// WalkInfo implements drivers.InfoWalker. It is the listing of the store.
func (d *Driver) WalkInfo(ctx context.Context, from, startAfter string) iter.Seq2[drivers.FileInfo, error] {
	return func(yield func(drivers.FileInfo, error) bool) {
		prefix, met := d.dirKey(from), false
		after, beyond := d.startAfter(prefix, startAfter)
		if beyond {
			return
		}
		for page, err := range d.pages(ctx, from, prefix, "", after) {
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range page.Contents {
				met = true
				object := &page.Contents[i]
				path := d.path(*object.Key)
				if path <= startAfter || !isShown(path) {
					continue
				}
				if !yield(d.info(object), nil) {
					return
				}
			}
		}
		if !met && from != "/" && startAfter == "" {
			yield(nil, drivers.PathNotFoundError{Path: from})
		}
	}
}

// WalkPage implements drivers.PageWalker.
func (d *Driver) WalkPage(ctx context.Context, from, startAfter string) (files []drivers.FileInfo, next string, err error) {
	prefix := d.dirKey(from)
	after, beyond := d.startAfter(prefix, startAfter)
	if beyond {
		return nil, "", nil
	}
	in := &s3.ListObjectsV2Input{Bucket: &d.bucket, Prefix: aws.String(prefix), EncodingType: types.EncodingTypeUrl}
	if after != "" {
		in.StartAfter = aws.String(after)
	}
	for {
		page, err := d.page(ctx, from, in)
		if err != nil {
			return nil, "", err
		}
		for i := range page.Contents {
			object := &page.Contents[i]
			path := d.path(*object.Key)
			if path > startAfter && isShown(path) {
				files = append(files, d.info(object))
			}
		}
		if !aws.ToBool(page.IsTruncated) {
			return files, "", nil
		}
		if len(files) > 0 {
			return files, files[len(files)-1].Path(), nil
		}
		// Nothing of it is shown: no path is there to go on after.
		if err := goesOn(from, in, page); err != nil {
			return nil, "", err
		}
		in.ContinuationToken, in.StartAfter = page.NextContinuationToken, nil
	}
}

// isShown reports whether a flat listing has the file: no marker of a directory, nor
// what is kept for an appending writer.
func isShown(path string) bool {
	return drivers.ValidPath(path) && !isPartial(path[strings.LastIndexByte(path, '/')+1:])
}

// startAfter turns a path after which to start, or any other string, into the
// key to ask the store for: "" if all keys with the prefix come after it. It
// reports whether none of them does.
//
// Only ASCII is in a path. So what comes after a string with a control character
// comes after what is before that; and a store that wants valid UTF-8 gets the
// last character there is for a byte greater than all of ASCII.
func (d *Driver) startAfter(prefix, path string) (key string, beyond bool) {
	if path == "" || path[0] < '/' {
		return "", false
	}
	if path[0] > '/' {
		return "", true
	}
	key = d.prefix + path[1:]
	for i := len(d.prefix); i < len(key); i++ {
		if c := key[i]; c < ' ' {
			key = key[:i]
		} else if c > '~' {
			key = key[:i] + "\U0010FFFF"
			break
		}
	}
	if strings.HasPrefix(key, prefix) {
		return key, false
	}
	return "", key > prefix
}

func (d *Driver) info(object *types.Object) *fileInfo {
	return newFileInfo(d.path(*object.Key), object.Size, object.LastModified, object.ETag)
}

// Walk implements drivers.StorageDriver. It lists directory by directory, since
// its order is not that of keys and its caller may skip what is large.
func (d *Driver) Walk(ctx context.Context, from string, fn drivers.WalkFn, options ...func(*drivers.WalkOptions)) error {
	return drivers.Walk(ctx, d, from, fn, options...)
}

// pages lists the keys that begin with prefix, a thousand at a time. With a
// delimiter those that go on beyond it are one common prefix. The next page is
// fetched while the caller is busy with one.
func (d *Driver) pages(ctx context.Context, dir, prefix, delimiter, startAfter string) iter.Seq2[*s3.ListObjectsV2Output, error] {
	return func(yield func(*s3.ListObjectsV2Output, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		in := &s3.ListObjectsV2Input{
			Bucket:       &d.bucket,
			Prefix:       aws.String(prefix),
			EncodingType: types.EncodingTypeUrl, // XML cannot say every key
		}
		if delimiter != "" {
			in.Delimiter = aws.String(delimiter)
		}
		if startAfter != "" {
			in.StartAfter = aws.String(startAfter)
		}
		page, err := d.page(ctx, dir, in)
		for {
			if err != nil {
				yield(nil, err)
				return
			}
			if !aws.ToBool(page.IsTruncated) {
				yield(page, nil)
				return
			}
			if err := goesOn(dir, in, page); err != nil {
				yield(nil, err)
				return
			}
			next := *in
			next.ContinuationToken = page.NextContinuationToken
			next.StartAfter = nil
			in = &next
			fetched := make(chan fetchedPage, 1)
			go func() {
				page, err := d.page(ctx, dir, &next)
				fetched <- fetchedPage{page, err}
			}()
			if !yield(page, nil) {
				return
			}
			f := <-fetched
			page, err = f.page, f.err
		}
	}
}

// goesOn reports whether the page, which is not the last, tells how to get another
// one. Some stores have given the same one for ever.
func goesOn(dir string, in *s3.ListObjectsV2Input, page *s3.ListObjectsV2Output) error {
	switch aws.ToString(page.NextContinuationToken) {
	case "":
		return fmt.Errorf("list %s: the store says that there is more and not how to get it", dir)
	case aws.ToString(in.ContinuationToken):
		return fmt.Errorf("list %s: the store gives the same page again and again", dir)
	}
	return nil
}

type fetchedPage struct {
	page *s3.ListObjectsV2Output
	err  error
}

// page gets one page and leaves out of it what does not begin with the prefix,
// or could not be told.
func (d *Driver) page(ctx context.Context, dir string, in *s3.ListObjectsV2Input) (*s3.ListObjectsV2Output, error) {
	out, err := d.client.ListObjectsV2(ctx, in, withFastListings)
	if err != nil {
		return nil, d.explain(ctx, "list", dir, err)
	}
	d.answered.Store(true)
	decode := func(s *string) *string { return s }
	if out.EncodingType == types.EncodingTypeUrl {
		decode = decodeKey
	}
	contents := out.Contents[:0]
	for _, object := range out.Contents {
		if object.Key = decode(object.Key); object.Key != nil && strings.HasPrefix(*object.Key, *in.Prefix) {
			contents = append(contents, object)
		}
	}
	out.Contents = contents
	prefixes := out.CommonPrefixes[:0]
	for _, common := range out.CommonPrefixes {
		if common.Prefix = decode(common.Prefix); common.Prefix != nil && len(*common.Prefix) > len(*in.Prefix) && strings.HasPrefix(*common.Prefix, *in.Prefix) {
			prefixes = append(prefixes, common)
		}
	}
	out.CommonPrefixes = prefixes
	return out, nil
}

// decodeKey undoes the encoding of a listing. Most keys have nothing to undo.
func decodeKey(key *string) *string {
	if key == nil || !strings.ContainsAny(*key, "%+") {
		return key
	}
	decoded, err := url.QueryUnescape(*key)
	if err != nil {
		return nil
	}
	return &decoded
}
