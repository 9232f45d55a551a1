package s3

import (
	"bytes"
	"crypto/md5"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"registryfs/drivers"
)

const testBucket = "bucket"

// fakeStore is as much of S3 as the driver asks for. What a real server cannot
// be made to do, a test does in fault.
type fakeStore struct {
	t   *testing.T
	url string

	// fault may answer a request itself, and says so.
	fault func(w http.ResponseWriter, r *http.Request, kind string) bool

	mu       sync.Mutex // guards the following
	objects  map[string]fakeObject
	uploads  map[string]map[int]fakeObject
	targets  map[string]string // the keys of uploads
	requests []string          // their kinds
	headers  map[string]http.Header
	nextID   int
}

type fakeObject struct {
	content []byte
	etag    string
	mtime   time.Time
}

func newFakeStore(t *testing.T) *fakeStore {
	s := &fakeStore{t: t, objects: map[string]fakeObject{}, uploads: map[string]map[int]fakeObject{}, targets: map[string]string{}, headers: map[string]http.Header{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// driver returns a driver for the store, with the registry in root.
func (s *fakeStore) driver(change func(*Parameters)) *Driver {
	s.t.Helper()
	p := Parameters{
		AccessKey: "key", SecretKey: "secret", Bucket: testBucket, RegionEndpoint: s.url, ForcePathStyle: true,
		RootDirectory: "root", Timeout: time.Minute, // a busy machine is no stalled server
		CopyThreshold: defaultCopySize,
	}
	if change != nil {
		change(&p)
	}
	d, err := newDriver(s.t.Context(), p)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

func (s *fakeStore) wrapped(change func(*Parameters)) drivers.StorageDriver {
	s.t.Helper()
	d := s.driver(change)
	w, err := New(s.t.Context(), d.Parameters)
	if err != nil {
		s.t.Fatal(err)
	}
	return w
}

// put stores an object under a key of the bucket.
func (s *fakeStore) put(key, content string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store(key, []byte(content), "")
}

func (s *fakeStore) store(key string, content []byte, etag string) fakeObject {
	if etag == "" {
		etag = fmt.Sprintf("%x", md5.Sum(content))
	}
	o := fakeObject{content, etag, time.Now().UTC()}
	s.objects[key] = o
	return o
}

func (s *fakeStore) keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := []string{}
	for key := range s.objects {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func (s *fakeStore) openUploads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.uploads)
}

// made returns the requests since the last call, and header those of the last
// of a kind.
func (s *fakeStore) made() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	made := s.requests
	s.requests = nil
	return made
}

func (s *fakeStore) header(kind string) http.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.headers[kind]
}

func kindOf(r *http.Request, key string) string {
	q := r.URL.Query()
	switch {
	case r.Method == "GET" && q.Has("uploads"):
		return "ListUploads"
	case r.Method == "GET" && q.Has("uploadId"):
		return "ListParts"
	case r.Method == "GET" && key == "":
		return "List"
	case r.Method == "GET" || r.Method == "HEAD":
		return r.Method
	case r.Method == "POST" && q.Has("delete"):
		return "DeleteObjects"
	case r.Method == "POST" && q.Has("uploads"):
		return "Create"
	case r.Method == "POST":
		return "Complete"
	case r.Method == "DELETE" && q.Has("uploadId"):
		return "Abort"
	case r.Method == "DELETE":
		return "Delete"
	case q.Has("uploadId") && r.Header.Get("X-Amz-Copy-Source") != "":
		return "CopyPart"
	case q.Has("uploadId"):
		return "Part"
	case r.Header.Get("X-Amz-Copy-Source") != "":
		return "Copy"
	}
	return "Put"
}

func (s *fakeStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	kind := kindOf(r, key)
	s.mu.Lock()
	s.requests = append(s.requests, kind)
	s.headers[kind] = r.Header
	s.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil || s.fault != nil && s.fault(w, r, kind) {
		return
	}
	if bucket != testBucket {
		refuse(w, http.StatusNotFound, "NoSuchBucket")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch kind {
	case "List":
		s.list(w, r.URL.Query())
	case "ListUploads":
		s.listUploads(w, r.URL.Query())
	case "GET", "HEAD":
		s.get(w, r, key)
	case "Put":
		if _, there := s.objects[key]; there && r.Header.Get("If-None-Match") == "*" {
			refuse(w, http.StatusPreconditionFailed, "PreconditionFailed")
			return
		}
		w.Header().Set("ETag", `"`+s.store(key, body, "").etag+`"`)
	case "Delete":
		delete(s.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case "DeleteObjects":
		var in struct{ Object []struct{ Key string } }
		if err := xml.Unmarshal(body, &in); err != nil {
			s.t.Error(err)
		}
		for _, o := range in.Object {
			delete(s.objects, o.Key)
		}
		fmt.Fprint(w, "<DeleteResult/>")
	case "Copy":
		src, ok := s.source(w, r)
		if ok {
			fmt.Fprintf(w, `<CopyObjectResult><ETag>"%s"</ETag></CopyObjectResult>`, s.store(key, src, "").etag)
		}
	default:
		s.multipart(w, r, kind, key, body)
	}
}

func (s *fakeStore) multipart(w http.ResponseWriter, r *http.Request, kind, key string, body []byte) {
	q := r.URL.Query()
	id := q.Get("uploadId")
	if kind == "Create" {
		s.nextID++
		id = fmt.Sprint("upload-", s.nextID)
		s.uploads[id] = map[int]fakeObject{}
		s.targets[id] = key
		fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>", id)
		return
	}
	parts, ok := s.uploads[id]
	if !ok {
		refuse(w, http.StatusNotFound, "NoSuchUpload")
		return
	}
	n, _ := strconv.Atoi(q.Get("partNumber"))
	switch kind {
	case "ListParts":
		fmt.Fprint(w, "<ListPartsResult>")
		for n, p := range parts {
			fmt.Fprintf(w, "<Part><PartNumber>%d</PartNumber><Size>%d</Size><LastModified>%s</LastModified></Part>", n, len(p.content), p.mtime.Format(time.RFC3339))
		}
		fmt.Fprint(w, "</ListPartsResult>")
	case "CopyPart":
		if body, ok = s.source(w, r); !ok {
			return
		}
		parts[n] = fakeObject{content: body, etag: fmt.Sprintf("%x", md5.Sum(body))}
		fmt.Fprintf(w, `<CopyPartResult><ETag>"%s"</ETag></CopyPartResult>`, parts[n].etag)
	case "Part":
		parts[n] = fakeObject{content: body, etag: fmt.Sprintf("%x", md5.Sum(body))}
		w.Header().Set("ETag", `"`+parts[n].etag+`"`)
	case "Abort":
		delete(s.uploads, id)
		w.WriteHeader(http.StatusNoContent)
	case "Complete":
		var in struct {
			Part []struct {
				PartNumber int
				ETag       string
			}
		}
		if err := xml.Unmarshal(body, &in); err != nil {
			s.t.Error(err)
		}
		var content []byte
		for i, p := range in.Part {
			part, ok := parts[p.PartNumber]
			if !ok || part.etag != strings.Trim(p.ETag, `"`) || i > 0 && p.PartNumber <= in.Part[i-1].PartNumber {
				refuse(w, http.StatusBadRequest, "InvalidPart")
				return
			}
			if i < len(in.Part)-1 && len(part.content) < minChunkSize {
				refuse(w, http.StatusBadRequest, "EntityTooSmall")
				return
			}
			content = append(content, part.content...)
		}
		delete(s.uploads, id)
		o := s.store(key, content, fmt.Sprintf("%x-%d", md5.Sum(content), len(in.Part)))
		fmt.Fprintf(w, `<CompleteMultipartUploadResult><ETag>"%s"</ETag></CompleteMultipartUploadResult>`, o.etag)
	}
}

// listUploads lists two uploads a page.
func (s *fakeStore) listUploads(w http.ResponseWriter, q url.Values) {
	ids := slices.Sorted(maps.Keys(s.uploads))
	ids = slices.DeleteFunc(ids, func(id string) bool {
		return !strings.HasPrefix(s.targets[id], q.Get("prefix")) || id <= q.Get("upload-id-marker")
	})
	more := len(ids) > 2
	ids = ids[:min(2, len(ids))]
	fmt.Fprintf(w, "<ListMultipartUploadsResult><IsTruncated>%v</IsTruncated><EncodingType>url</EncodingType>", more)
	for i, id := range ids {
		key := url.QueryEscape(s.targets[id])
		if more && i == 1 {
			fmt.Fprintf(w, "<NextKeyMarker>%s</NextKeyMarker><NextUploadIdMarker>%s</NextUploadIdMarker>", key, id)
		}
		fmt.Fprintf(w, "<Upload><Key>%s</Key><UploadId>%s</UploadId><Initiated>2024-01-01T00:00:00Z</Initiated></Upload>", key, id)
	}
	fmt.Fprint(w, "</ListMultipartUploadsResult>")
}

// source is what a copy is made of.
func (s *fakeStore) source(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	name, err := url.PathUnescape(r.Header.Get("X-Amz-Copy-Source"))
	src, ok := s.objects[strings.TrimPrefix(name, testBucket+"/")]
	if err != nil || !ok {
		refuse(w, http.StatusNotFound, "NoSuchKey")
		return nil, false
	}
	var first, last int
	if _, err := fmt.Sscanf(r.Header.Get("X-Amz-Copy-Source-Range"), "bytes=%d-%d", &first, &last); err == nil {
		return src.content[first : last+1], true
	}
	return src.content, true
}

func (s *fakeStore) get(w http.ResponseWriter, r *http.Request, key string) {
	o, ok := s.objects[key]
	if !ok {
		refuse(w, http.StatusNotFound, "NoSuchKey")
		return
	}
	if r.Header.Get("Range") != "" && len(o.content) == 0 {
		refuse(w, http.StatusRequestedRangeNotSatisfiable, "InvalidRange")
		return
	}
	w.Header().Set("ETag", `"`+o.etag+`"`)
	http.ServeContent(w, r, "", o.mtime, bytes.NewReader(o.content))
}

// fakePage is an answer to ListObjectsV2.
type fakePage struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	EncodingType          string   `xml:",omitempty"`
	IsTruncated           bool
	NextContinuationToken string `xml:",omitempty"`
	Contents              []fakeContent
	CommonPrefixes        []fakePrefix
}

type fakeContent struct {
	Key, ETag    string
	Size         int
	LastModified string
}

type fakePrefix struct{ Prefix string }

func (s *fakeStore) list(w http.ResponseWriter, q url.Values) {
	most := 1000
	if n, err := strconv.Atoi(q.Get("max-keys")); err == nil {
		most = n
	}
	after := max(q.Get("start-after"), q.Get("continuation-token"))
	prefix, delimiter := q.Get("prefix"), q.Get("delimiter")
	var keys []string
	for key := range s.objects {
		if strings.HasPrefix(key, prefix) && key > after {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	page := fakePage{EncodingType: "url"}
	last, common, n := "", "\x00", 0
	for _, key := range keys {
		if strings.HasPrefix(key, common) {
			continue
		}
		if n == most {
			page.IsTruncated, page.NextContinuationToken = true, last
			break
		}
		n++
		last = key
		if rest := key[len(prefix):]; delimiter != "" && strings.Contains(rest, delimiter) {
			common = prefix + rest[:strings.Index(rest, delimiter)+1]
			last = common + "\U0010FFFF"
			page.CommonPrefixes = append(page.CommonPrefixes, fakePrefix{url.QueryEscape(common)})
			continue
		}
		o := s.objects[key]
		page.Contents = append(page.Contents, fakeContent{url.QueryEscape(key), `"` + o.etag + `"`, len(o.content), o.mtime.Format(time.RFC3339Nano)})
	}
	if err := xml.NewEncoder(w).Encode(page); err != nil {
		s.t.Error(err)
	}
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	if code == "" {
		fmt.Fprint(w, "<html>nothing here</html>")
		return
	}
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>no</Message></Error>", code)
}
