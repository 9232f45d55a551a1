package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"registryfs/drivers"
)

// random returns n bytes, the same in every run.
func random(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(b) // never fails
	return b
}

// everyCall is every call a driver has, on what putSome has put.
func everyCall(d drivers.StorageDriver) map[string]func(ctx context.Context) error {
	list := func(infos func(yield func(drivers.FileInfo, error) bool)) error {
		for _, err := range infos {
			if err != nil {
				return err
			}
		}
		return nil
	}
	write := func(ctx context.Context, size int) error {
		w, err := d.Writer(ctx, "/written", false)
		if err != nil {
			return err
		}
		if _, err = w.Write(make([]byte, size)); err == nil {
			err = w.Commit(ctx)
		}
		return errors.Join(err, w.Close())
	}
	return map[string]func(ctx context.Context) error{
		"GetContent": func(ctx context.Context) error { _, err := d.GetContent(ctx, "/dir/file"); return err },
		"PutContent": func(ctx context.Context) error { return d.PutContent(ctx, "/dir/put", []byte("put")) },
		"PutContentIfAbsent": func(ctx context.Context) error {
			return drivers.PutContentIfAbsent(ctx, d, "/dir/absent", []byte("put"))
		},
		"Reader": func(ctx context.Context) error {
			r, err := d.Reader(ctx, "/dir/file", 2)
			if err != nil {
				return err
			}
			_, err = io.ReadAll(r)
			return errors.Join(err, r.Close())
		},
		"Stat":         func(ctx context.Context) error { _, err := d.Stat(ctx, "/dir/file"); return err },
		"Stat leaf":    func(ctx context.Context) error { _, err := d.Stat(ctx, "/_uploads/data"); return err },
		"Stat root":    func(ctx context.Context) error { _, err := d.Stat(ctx, "/"); return err },
		"List":         func(ctx context.Context) error { _, err := d.List(ctx, "/dir"); return err },
		"List root":    func(ctx context.Context) error { _, err := d.List(ctx, "/"); return err },
		"WalkInfo":     func(ctx context.Context) error { return list(drivers.WalkInfo(ctx, d, "/", "")) },
		"Writer small": func(ctx context.Context) error { return write(ctx, 10) },
		"Writer large": func(ctx context.Context) error { return write(ctx, minChunkSize+1) },
		"Writer append": func(ctx context.Context) error {
			w, err := d.Writer(ctx, "/dir/file", true)
			if err != nil {
				return err
			}
			return errors.Join(w.Cancel(ctx), w.Close())
		},
		"Move":        func(ctx context.Context) error { return d.Move(ctx, "/moved", "/to") },
		"Move dir":    func(ctx context.Context) error { return d.Move(ctx, "/movedir", "/todir") },
		"Delete":      func(ctx context.Context) error { return d.Delete(ctx, "/deleted") },
		"Delete leaf": func(ctx context.Context) error { return d.Delete(ctx, "/_deleted/link") },
	}
}

func (s *fakeStore) putSome() {
	for _, path := range []string{"dir/file", "_uploads/data", "moved", "movedir/a", "movedir/b/c", "deleted/a", "deleted/b", "_deleted/link"} {
		s.put("root/"+path, path)
	}
}

func smallChunks(p *Parameters) { p.ChunkSize = minChunkSize }

// TestRetries lets every other request fail, in several ways.
func TestRetries(t *testing.T) {
	for name, fail := range map[string]func(w http.ResponseWriter){
		"503": func(w http.ResponseWriter) { refuse(w, http.StatusServiceUnavailable, "SlowDown") },
		"500": func(w http.ResponseWriter) { refuse(w, http.StatusInternalServerError, "InternalError") },
		"429": func(w http.ResponseWriter) { refuse(w, http.StatusTooManyRequests, "Busy") },
		"cut": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFakeStore(t)
			s.putSome()
			var n atomic.Int64
			s.fault = func(w http.ResponseWriter, r *http.Request, kind string) bool {
				if n.Add(1)%2 == 1 {
					fail(w)
					return true
				}
				return false
			}
			// One call after the other, or they would take each other's turns.
			for name, call := range everyCall(s.wrapped(func(p *Parameters) { smallChunks(p); p.Retries = 50 })) {
				if err := call(t.Context()); err != nil {
					t.Errorf("%s = %v", name, err)
				}
			}
			if n := s.openUploads(); n != 0 {
				t.Errorf("%d uploads are left", n)
			}
		})
	}
}

// TestRefusedIsNotAbsent: whoever takes the one for the other deletes what he
// may not see.
func TestRefusedIsNotAbsent(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		code   string
		is     error
		says   string
	}{
		{"forbidden", http.StatusForbidden, "AccessDenied", fs.ErrPermission, "permission"},
		{"archived", http.StatusForbidden, "InvalidObjectState", fs.ErrPermission, "archive"},
		{"wrong key", http.StatusForbidden, "InvalidAccessKeyId", fs.ErrPermission, "access key"},
		{"throttled", http.StatusServiceUnavailable, "SlowDown", nil, "SlowDown"},
		{"broken", http.StatusInternalServerError, "InternalError", nil, "InternalError"},
		{"elsewhere", http.StatusMovedPermanently, "PermanentRedirect", nil, "region"},
		{"a proxy's 404", http.StatusNotFound, "", nil, "404"},
		{"no bucket", http.StatusNotFound, "NoSuchBucket", nil, "bucket's name"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newFakeStore(t)
			s.putSome()
			s.fault = func(w http.ResponseWriter, r *http.Request, kind string) bool {
				refuse(w, test.status, test.code)
				return true
			}
			for name, call := range everyCall(s.wrapped(func(p *Parameters) { smallChunks(p); p.Retries = -1 })) {
				err := call(t.Context())
				if err == nil || errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s = %v, want an error that is not absence", name, err)
					continue
				}
				if test.is != nil && !errors.Is(err, test.is) {
					t.Errorf("%s = %v, want %v", name, err, test.is)
				}
				// The answer to a HEAD has no body to name a reason in.
				if !strings.Contains(err.Error(), test.says) && test.code != "InvalidAccessKeyId" && !strings.Contains(err.Error(), "stat ") {
					t.Errorf("%s = %v, want a word about %q", name, err, test.says)
				}
			}
		})
	}
}

// cutting sends only the first half of what is asked for.
func (s *fakeStore) cutting(times int64) {
	var n atomic.Int64
	s.fault = func(w http.ResponseWriter, r *http.Request, kind string) bool {
		if kind != "GET" || n.Add(1) > times {
			return false
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		half := &halfWriter{ResponseWriter: w}
		s.get(half, r, strings.TrimPrefix(r.URL.Path, "/"+testBucket+"/"))
		panic(http.ErrAbortHandler)
	}
}

type halfWriter struct{ http.ResponseWriter }

func (w *halfWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p[:len(p)/2])
	if err == nil {
		w.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

func TestBodyCutShort(t *testing.T) {
	s := newFakeStore(t)
	content := random(30_000)
	s.put("root/file", string(content))
	d := s.driver(nil)
	for _, read := range []struct {
		name string
		do   func() ([]byte, error)
		want []byte
	}{
		{"GetContent", func() ([]byte, error) { return d.GetContent(t.Context(), "/file") }, content},
		{"Reader", func() ([]byte, error) { return readAll(d.Reader(t.Context(), "/file", 10)) }, content[10:]},
		{"ReadRange", func() ([]byte, error) { return readAll(d.ReadRange(t.Context(), "/file", 10, 20_000)) }, content[10:20_010]},
		{"ReadRange to the end", func() ([]byte, error) { return readAll(d.ReadRange(t.Context(), "/file", 10, 40_000)) }, content[10:]},
	} {
		s.cutting(3)
		s.made()
		got, err := read.do()
		if err != nil || !bytes.Equal(got, read.want) {
			t.Errorf("%s of what is cut short gave %d bytes, %v, want %d", read.name, len(got), err, len(read.want))
		}
		if made := s.made(); len(made) != 4 {
			t.Errorf("%s made %q, want 4 requests", read.name, made)
		}
		if s.header("GET").Get("If-Match") == "" || s.header("GET").Get("Range") == "" {
			t.Errorf("%s asks for the rest of anything: %v", read.name, s.header("GET"))
		}
	}
	s.cutting(1000)
	d.Retries = -1
	if got, err := d.GetContent(t.Context(), "/file"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("GetContent = %d bytes, %v, want io.ErrUnexpectedEOF", len(got), err)
	}
}

func readAll(r io.ReadCloser, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

// TestReplacedWhileRead: bytes of two files are never mixed.
func TestReplacedWhileRead(t *testing.T) {
	s := newFakeStore(t)
	s.put("root/file", strings.Repeat("a", 10_000))
	d := s.driver(nil)
	s.cutting(1)
	fault := s.fault
	s.fault = func(w http.ResponseWriter, r *http.Request, kind string) bool {
		defer s.put("root/file", strings.Repeat("b", 20_000))
		return fault(w, r, kind)
	}
	if _, err := readAll(d.Reader(t.Context(), "/file", 0)); !errors.Is(err, errReplaced) {
		t.Errorf("Reader of a replaced file = %v, want %v", err, errReplaced)
	}
	s.put("root/file", strings.Repeat("a", 10_000))
	s.cutting(1)
	if got, err := d.GetContent(t.Context(), "/file"); err != nil || len(got) != 10_000 {
		t.Errorf("GetContent = %d bytes, %v", len(got), err)
	}
}

// TestListingCutShort: half of a listing must not look like all of it.
func TestListingCutShort(t *testing.T) {
	s := newFakeStore(t)
	for i := range 100 {
		s.put(fmt.Sprintf("root/dir/%02d", i), "")
	}
	var n atomic.Int64
	s.fault = func(w http.ResponseWriter, r *http.Request, kind string) bool {
		if n.Add(1) > 2 {
			return false
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.list(&halfWriter{w}, r.URL.Query())
		return true
	}
	d := s.driver(nil)
	paths, err := d.List(t.Context(), "/dir")
	if err != nil || len(paths) != 100 {
		t.Errorf("List = %d paths, %v, want 100", len(paths), err)
	}
}

// TestListingOfAnotherKind: a gateway may say OK to everything, and a proxy to
// nothing. That is no empty store.
func TestListingOfAnotherKind(t *testing.T) {
	for name, body := range map[string]string{
		"nothing":      "",
		"a page":       "<!DOCTYPE html><html><body>log in</body></html>",
		"another kind": `{"keys": []}`,
		"an error":     "<Error><Code>SlowDown</Code></Error>",
	} {
		t.Run(name, func(t *testing.T) {
			s := newFakeStore(t)
			s.putSome()
			s.fault = func(w http.ResponseWriter, r *http.Request, kind string) bool {
				if kind == "List" {
					fmt.Fprint(w, body)
				}
				return kind == "List"
			}
			d := s.wrapped(func(p *Parameters) { p.Retries = -1 })
			calls := everyCall(d)
			calls["Stat dir"] = func(ctx context.Context) error { _, err := d.Stat(ctx, "/dir"); return err }
			calls["WalkPage"] = func(ctx context.Context) error { _, _, err := drivers.WalkPage(ctx, d, "/", ""); return err }
			for _, call := range []string{"List", "List root", "Stat root", "Stat dir", "WalkInfo", "WalkPage", "Delete"} {
				if err := calls[call](t.Context()); err == nil || errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s = %v, want an error that is not absence", call, err)
				}
			}
		})
	}
}

// TestStalledServer: a server that does nothing any more ends every call, in
// about the time-out.
func TestStalledServer(t *testing.T) {
	s := newFakeStore(t)
	s.putSome()
	s.fault = func(w http.ResponseWriter, r *http.Request, kind string) bool {
		<-r.Context().Done()
		return true
	}
	d := s.wrapped(func(p *Parameters) { smallChunks(p); p.Timeout = 300 * time.Millisecond })
	for name, call := range everyCall(d) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			err := call(t.Context())
			if !errors.Is(err, syscall.ETIMEDOUT) || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s of a server that stalls = %v, want ETIMEDOUT", name, err)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("%s took %v", name, took)
			}
		})
	}
}

func TestStalledBody(t *testing.T) {
	s := newFakeStore(t)
	content := random(100_000)
	s.put("root/file", string(content))
	var stalls atomic.Int64
	s.fault = func(w http.ResponseWriter, r *http.Request, kind string) bool {
		if kind != "GET" || stalls.Add(-1) < 0 {
			return false
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		w.Header().Set("ETag", `"`+s.objects["root/file"].etag+`"`)
		_, _ = w.Write(content[:10])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return true
	}
	d := s.driver(func(p *Parameters) { p.Timeout = 300 * time.Millisecond })
	stalls.Store(1)
	got, err := d.GetContent(t.Context(), "/file")
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("GetContent after a stall = %d bytes, %v", len(got), err)
	}
	stalls.Store(1 << 30)
	if _, err := d.GetContent(t.Context(), "/file"); err == nil {
		t.Error("GetContent of a body that stalls = nil, want an error")
	}
}

// TestErrorAfterStatus: what takes long is answered with 200 at first.
func TestErrorAfterStatus(t *testing.T) {
	s := newFakeStore(t)
	s.put("root/src", "content")
	var n atomic.Int64
	s.fault = func(w http.ResponseWriter, r *http.Request, kind string) bool {
		if kind != "Complete" && kind != "Copy" || n.Add(1)%2 == 0 {
			return false
		}
		refuse(w, http.StatusOK, "InternalError")
		return true
	}
	d := s.driver(smallChunks)
	if err := writeFile(t, d, "/file", random(minChunkSize+1)); err != nil {
		t.Errorf("a write = %v", err)
	}
	if err := d.Move(t.Context(), "/src", "/dst"); err != nil {
		t.Errorf("Move = %v", err)
	}
	if made := s.made(); count(made, "Complete") != 2 || count(made, "Copy") != 2 {
		t.Errorf("made %q, want each twice", made)
	}
	for _, path := range []string{"/file", "/dst"} {
		if _, err := d.Stat(t.Context(), path); err != nil {
			t.Errorf("Stat(%q) = %v", path, err)
		}
	}
}

// TestAnswerOfAnotherKind: OK alone does not make a file, nor a copy, whose source
// would then be deleted.
func TestAnswerOfAnotherKind(t *testing.T) {
	for name, body := range map[string]string{"nothing": "", "a page": "<html><body>log in</body></html>"} {
		t.Run(name, func(t *testing.T) {
			s := newFakeStore(t)
			s.put("root/src", "content")
			s.put("root/large", string(random(2*minChunkSize)))
			s.fault = func(w http.ResponseWriter, r *http.Request, kind string) bool {
				answered := kind == "Put" || kind == "Complete" || kind == "Copy" || kind == "CopyPart"
				if answered {
					fmt.Fprint(w, body)
				}
				return answered
			}
			d := s.driver(func(p *Parameters) { smallChunks(p); p.CopyThreshold = minChunkSize; p.Retries = -1 })
			for _, size := range []int{10, minChunkSize + 1} {
				if err := writeFile(t, d, "/file", random(size)); err == nil {
					t.Errorf("a write of %d bytes = nil, want an error", size)
				}
			}
			for _, path := range []string{"/src", "/large"} {
				if err := d.Move(t.Context(), path, "/dst"); err == nil {
					t.Errorf("Move(%q) = nil, want an error", path)
				}
			}
			if keys := s.keys(); !slices.Equal(keys, []string{"root/large", "root/src"}) || s.openUploads() != 0 {
				t.Errorf("left %q and %d uploads", keys, s.openUploads())
			}
		})
	}
}

// TestSlowIsNotStalled: as long as something moves, no time-out counts.
func TestSlowIsNotStalled(t *testing.T) {
	s := newFakeStore(t)
	s.fault = func(w http.ResponseWriter, r *http.Request, kind string) bool {
		w.Header().Set("Content-Length", "10")
		for range 10 {
			_, _ = w.Write([]byte("x"))
			w.(http.Flusher).Flush()
			time.Sleep(50 * time.Millisecond)
		}
		return true
	}
	d := s.driver(func(p *Parameters) { p.Timeout = 450 * time.Millisecond })
	if got, err := d.GetContent(t.Context(), "/file"); err != nil || len(got) != 10 {
		t.Errorf("GetContent = %q, %v", got, err)
	}
	if made := s.made(); len(made) != 1 {
		t.Errorf("made %q, want one request", made)
	}
}

// TestCancelEndsRequest: who stops waiting stops the transfer.
func TestCancelEndsRequest(t *testing.T) {
	s := newFakeStore(t)
	gone := make(chan struct{}, 10)
	s.fault = func(w http.ResponseWriter, r *http.Request, kind string) bool {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte("begin"))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		gone <- struct{}{}
		return true
	}
	d := s.driver(nil)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := d.Reader(ctx, "/file", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := r.Read(make([]byte, 5)); !errors.Is(err, context.Canceled) {
		t.Errorf("Read after cancel = %v, want context.Canceled", err)
	}
	<-gone
	if err := r.Close(); err != nil {
		t.Errorf("Close = %v", err)
	}
	r, err = d.Reader(t.Context(), "/file", 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Errorf("Close half-way = %v", err)
	}
	<-gone
	if made := s.made(); !slices.Equal(made, []string{"GET", "GET"}) {
		t.Errorf("made %q, want two GETs", made)
	}
}

// TestBackoff: more and more, but never in step.
func TestBackoff(t *testing.T) {
	for n := range 100 {
		for range 20 {
			if d := backoff(n); d < firstBackoff/2 || d > maxBackoff {
				t.Fatalf("backoff(%d) = %v", n, d)
			}
		}
	}
	if backoff(8) < time.Second || backoff(1) > firstBackoff {
		t.Errorf("backoff goes from %v to %v", backoff(1), backoff(8))
	}
}
