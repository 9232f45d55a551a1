package s3

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// withFastListings reads the answers to ListObjectsV2 with parseListing. The SDK
// needs 20 ms for a page, most of what a walk of a bucket costs this machine; it
// still reads all that parseListing does not.
func withFastListings(o *s3.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		sdk, ok := stack.Deserialize.Get("OperationDeserializer")
		if !ok {
			return nil
		}
		_, err := stack.Deserialize.Swap("OperationDeserializer", &listingDeserializer{sdk})
		return err
	})
}

type listingDeserializer struct {
	sdk middleware.DeserializeMiddleware
}

// ID implements middleware.DeserializeMiddleware.
func (*listingDeserializer) ID() string { return "OperationDeserializer" }

// HandleDeserialize implements middleware.DeserializeMiddleware.
func (l *listingDeserializer) HandleDeserialize(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
	out, metadata, err := next.HandleDeserialize(ctx, in)
	resp, ok := out.RawResponse.(*smithyhttp.Response)
	if err == nil && ok && resp.StatusCode == 200 {
		body, readErr := readBody(resp)
		if readErr != nil {
			return out, metadata, &smithy.DeserializationError{Err: readErr}
		}
		if page, parseErr := parseListing(body); parseErr == nil {
			out.Result = page
			return out, metadata, nil
		}
		if !isListing(body) {
			return out, metadata, &smithy.DeserializationError{Err: notListing(body)}
		}
		resp.Body = io.NopCloser(bytes.NewReader(body))
	}
	return l.sdk.HandleDeserialize(ctx, in, middleware.DeserializeHandlerFunc(
		func(context.Context, middleware.DeserializeInput) (middleware.DeserializeOutput, middleware.Metadata, error) {
			return out, metadata, err
		}))
}

// errNotListing is an answer that says OK and is no listing. To the SDK that is an
// empty one, and so the absence of everything.
var errNotListing = errors.New("the answer is no listing")

// notListing is the error of such an answer. One of nothing was cut short.
func notListing(body []byte) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return fmt.Errorf("%w: %w", errNotListing, io.ErrUnexpectedEOF)
	}
	return errNotListing
}

// isListing reports whether the SDK may look for a listing, or for an error, in
// the body.
func isListing(body []byte) bool {
	decoder := xml.NewDecoder(bytes.NewReader(body))
	for {
		token, err := decoder.Token()
		if err != nil {
			return false
		}
		if start, ok := token.(xml.StartElement); ok {
			return start.Name.Local == "ListBucketResult" || start.Name.Local == "Error"
		}
	}
}

// readBody reads an answer to its end, so that its connection can be used again.
func readBody(resp *smithyhttp.Response) ([]byte, error) {
	var b bytes.Buffer
	if n := resp.ContentLength; n > 0 && n < 16<<20 {
		b.Grow(int(n) + bytes.MinRead)
	}
	_, err := b.ReadFrom(resp.Body)
	return b.Bytes(), errors.Join(err, resp.Body.Close())
}

// errNotPlain is of XML that a listing may be and parseListing does not know.
var errNotPlain = errors.New("not the plain XML of a listing")

// parseListing reads a page of a listing. Of XML it knows elements, the
// attributes of which it skips, and text with its entities; anything else is
// errNotPlain.
func parseListing(doc []byte) (*s3.ListObjectsV2Output, error) {
	x := &scanner{rest: doc}
	if i := bytes.Index(doc, []byte("?>")); i >= 0 && bytes.HasPrefix(bytes.TrimLeft(doc, "\xef\xbb\xbf \r\n"), []byte("<?xml")) {
		x.rest = doc[i+2:]
	}
	if x.open() != "ListBucketResult" {
		return nil, errNotPlain
	}
	out := new(s3.ListObjectsV2Output)
	for x.err == nil && !x.closed() {
		switch x.open() {
		case "Contents":
			out.Contents = append(out.Contents, x.object())
		case "CommonPrefixes":
			out.CommonPrefixes = append(out.CommonPrefixes, x.commonPrefix())
		case "IsTruncated":
			truncated := x.text() == "true"
			out.IsTruncated = &truncated
		case "NextContinuationToken":
			token := x.text()
			out.NextContinuationToken = &token
		case "EncodingType":
			out.EncodingType = types.EncodingType(x.text())
		default:
			x.skip()
		}
	}
	if len(bytes.TrimSpace(x.rest)) > 0 || out.IsTruncated == nil {
		return nil, errNotPlain
	}
	return out, x.err
}

func (x *scanner) object() types.Object {
	var o types.Object
	for x.err == nil && !x.closed() {
		switch x.open() {
		case "Key":
			key := x.text()
			o.Key = &key
		case "ETag":
			etag := x.text()
			o.ETag = &etag
		case "Size":
			size, err := strconv.ParseInt(x.text(), 10, 64)
			if err != nil {
				x.err = errNotPlain
			}
			o.Size = &size
		case "LastModified":
			t, err := time.Parse(time.RFC3339, x.text())
			if err != nil {
				x.err = errNotPlain
			}
			o.LastModified = &t
		default:
			x.skip()
		}
	}
	return o
}

func (x *scanner) commonPrefix() types.CommonPrefix {
	var p types.CommonPrefix
	for x.err == nil && !x.closed() {
		if x.open() != "Prefix" {
			x.skip()
			continue
		}
		prefix := x.text()
		p.Prefix = &prefix
	}
	return p
}

// scanner reads XML from its beginning. The first error stays.
type scanner struct {
	rest  []byte
	stack []string // the elements that are open
	empty bool     // the last one to be opened has no end tag
	err   error
}

// open reads a start tag and returns its name.
func (x *scanner) open() string {
	x.rest = bytes.TrimLeft(x.rest, " \t\r\n")
	end := bytes.IndexByte(x.rest, '>')
	if x.err != nil || end < 2 || x.rest[0] != '<' || strings.IndexByte("/!?", x.rest[1]) >= 0 {
		x.err = errNotPlain
		return ""
	}
	tag := x.rest[1:end]
	x.rest = x.rest[end+1:]
	if x.empty = tag[len(tag)-1] == '/'; x.empty {
		tag = tag[:len(tag)-1]
	}
	if i := bytes.IndexAny(tag, " \t\r\n"); i >= 0 {
		if bytes.Count(tag, []byte(`"`))%2 != 0 { // an attribute with a > in it
			x.err = errNotPlain
		}
		tag = tag[:i]
	}
	x.stack = append(x.stack, string(tag))
	return x.stack[len(x.stack)-1]
}

// closed reads the end tag of the innermost element if it is next.
func (x *scanner) closed() bool {
	if x.err != nil {
		return false
	}
	name := x.stack[len(x.stack)-1]
	if !x.empty {
		rest := bytes.TrimLeft(x.rest, " \t\r\n")
		if !bytes.HasPrefix(rest, []byte("</")) {
			return false
		}
		end := bytes.IndexByte(rest, '>')
		if end < 0 || string(bytes.TrimRight(rest[2:end], " \t\r\n")) != name {
			x.err = errNotPlain
			return false
		}
		x.rest = rest[end+1:]
	}
	x.empty = false
	x.stack = x.stack[:len(x.stack)-1]
	return true
}

// text reads an element that holds nothing else, to its end.
func (x *scanner) text() string {
	if x.empty {
		x.closed()
		return ""
	}
	end := bytes.IndexByte(x.rest, '<')
	if x.err != nil || end < 0 {
		x.err = errNotPlain
		return ""
	}
	text := x.rest[:end]
	x.rest = x.rest[end:]
	if !x.closed() {
		x.err = errNotPlain
		return ""
	}
	return x.unescape(text)
}

// skip reads an element to its end, whatever it holds.
func (x *scanner) skip() {
	for depth := len(x.stack); x.err == nil && len(x.stack) >= depth; {
		if x.closed() {
			continue
		}
		if i := bytes.IndexByte(x.rest, '<'); i >= 0 && !x.empty {
			x.rest = x.rest[i:]
		}
		if !bytes.HasPrefix(x.rest, []byte("</")) {
			x.open()
		}
	}
}

func (x *scanner) unescape(text []byte) string {
	if bytes.IndexByte(text, '&') < 0 && bytes.IndexByte(text, '\r') < 0 {
		return string(text)
	}
	var b strings.Builder
	for len(text) > 0 {
		i := bytes.IndexByte(text, '&')
		if i < 0 {
			b.Write(text)
			break
		}
		b.Write(text[:i])
		end := bytes.IndexByte(text, ';')
		if end < i {
			x.err = errNotPlain
			return ""
		}
		switch entity := string(text[i+1 : end]); entity {
		case "lt":
			b.WriteByte('<')
		case "gt":
			b.WriteByte('>')
		case "amp":
			b.WriteByte('&')
		case "quot", "#34":
			b.WriteByte('"')
		case "apos", "#39":
			b.WriteByte('\'')
		default:
			x.err = errNotPlain
			return ""
		}
		text = text[end+1:]
	}
	return b.String()
}
