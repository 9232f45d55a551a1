package proxy

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// start puts a proxy before a handler, and returns it with a client.
func start(t *testing.T, o Options, handler http.HandlerFunc) (*Proxy, *http.Client) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	o.Target = server.URL
	p, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	transport := &http.Transport{ExpectContinueTimeout: time.Minute, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return p, &http.Client{Transport: transport}
}

func get(t *testing.T, c *http.Client, url string) (int, []byte, error) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, data, err
}

func TestPassesBodiesOn(t *testing.T) {
	large := make([]byte, 3<<20+17)
	if _, err := rand.Read(large); err != nil {
		t.Fatal(err)
	}
	echo := func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if r.URL.Path != "/chunked" {
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		}
		w.Header().Set("Asked", r.Host+" "+r.Header.Get("X-Signed"))
		for piece := range slices.Chunk(data, 1<<20) {
			if _, err := w.Write(piece); err != nil {
				t.Error(err)
			}
			if r.URL.Path == "/chunked" {
				w.(http.Flusher).Flush()
			}
		}
	}
	p, c := start(t, Options{}, echo)
	for _, tt := range []struct {
		name, path string
		body       []byte
		unsized    bool
		expect     bool
	}{
		{name: "empty", path: "/length"},
		{name: "small", path: "/length", body: []byte("sha256")},
		{name: "large", path: "/length", body: large},
		{name: "large, expect", path: "/length", body: large, expect: true},
		{name: "chunked both ways", path: "/chunked", body: large, unsized: true},
		{name: "again", path: "/length", body: large},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p.Reset()
			var body io.Reader = bytes.NewReader(tt.body)
			if tt.unsized {
				body = struct{ io.Reader }{body}
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.URL()+tt.path, body)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Signed", "a  b")
			req.Host = "bucket.example"
			if tt.expect {
				req.Header.Set("Expect", "100-continue")
			}
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if err != nil || !bytes.Equal(got, tt.body) {
				t.Errorf("%d bytes came back, %v, want %d", len(got), err, len(tt.body))
			}
			if got, want := resp.Header.Get("Asked"), "bucket.example a  b"; got != want {
				t.Errorf("the server saw %q, want %q", got, want)
			}
			n := int64(len(tt.body))
			// What is passed on is counted behind it, and may be here before.
			counted := func(c Counts) bool { return c.Up == n && c.Down == n && c.Requests["PUT"] == 1 }
			for end := time.Now().Add(time.Minute); !counted(p.Counts()) && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
			}
			if c := p.Counts(); !counted(c) {
				t.Errorf("counts %+v, want 1 PUT and %d bytes up and down", c, n)
			}
		})
	}
}

func TestKinds(t *testing.T) {
	for _, tt := range []struct{ method, target, want string }{
		{"GET", "/bucket?list-type=2&prefix=docker%2F", "LIST"},
		{"GET", "/bucket/?delimiter=%2F", "LIST"},
		{"GET", "/bucket?uploads", "LIST"},
		{"GET", "/bucket?location=", "GET"},
		{"GET", "/bucket/docker/registry", "GET"},
		{"GET", "/bucket/key?uploadId=3", "LIST"},
		{"HEAD", "/bucket", "HEAD"},
		{"POST", "/bucket/key?uploads", "POST"},
		{"DELETE", "/bucket/key", "DELETE"},
	} {
		if got := kindOf(tt.method, tt.target); got != tt.want {
			t.Errorf("kindOf(%q, %q) = %q, want %q", tt.method, tt.target, got, tt.want)
		}
	}
	c := Counts{Requests: map[string]int64{"LIST": 2, "GET": 40}}
	if got, want := c.String(), "42 (40 GET, 2 LIST)"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
}

func TestDelayAndRate(t *testing.T) {
	body := bytes.Repeat([]byte("x"), 1<<20)
	p, c := start(t, Options{Delay: 30 * time.Millisecond}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		if _, err := w.Write(body); err != nil {
			t.Error(err)
		}
	})
	for _, tt := range []struct {
		rate  int64
		least time.Duration
	}{
		{0, 30 * time.Millisecond},
		{10 << 20, 130 * time.Millisecond},
	} {
		p.Change(func(o *Options) { o.Rate = tt.rate })
		start := time.Now()
		if _, data, err := get(t, c, p.URL()); err != nil || len(data) != len(body) {
			t.Fatalf("%d bytes, %v", len(data), err)
		}
		if took := time.Since(start); took < tt.least {
			t.Errorf("at %d bytes a second it took %v, want at least %v", tt.rate, took, tt.least)
		}
	}
}

// fatesOf asks n times and says how each of them ended.
func fatesOf(t *testing.T, o Options, n int) (string, Counts) {
	t.Helper()
	p, c := start(t, o, func(w http.ResponseWriter, _ *http.Request) {
		if _, err := w.Write(bytes.Repeat([]byte("x"), 1000)); err != nil {
			t.Error(err)
		}
	})
	c.Timeout = 200 * time.Millisecond
	var out strings.Builder
	for range n {
		status, data, err := get(t, c, p.URL()+"/bucket/key")
		var timeout interface{ Timeout() bool }
		switch {
		case err == nil && status == http.StatusServiceUnavailable && bytes.Contains(data, []byte("<Code>SlowDown</Code>")):
			out.WriteByte('f')
		case err == nil && status == http.StatusOK && len(data) == 1000:
			out.WriteByte('.')
		case errors.As(err, &timeout) && timeout.Timeout():
			out.WriteByte('s')
		case errors.Is(err, io.ErrUnexpectedEOF) && len(data) < 1000:
			out.WriteByte('c')
		default:
			t.Fatalf("status %d, %d bytes, %v", status, len(data), err)
		}
	}
	return out.String(), p.Counts()
}

func TestFaults(t *testing.T) {
	o := Options{Fail: 5, Cut: 7, Stall: 20, Seed: 1}
	first, counts := fatesOf(t, o, 100)
	for kind, want := range map[string]int64{"f": counts.Failed, "c": counts.Cut, "s": counts.Stalled} {
		if got := int64(strings.Count(first, kind)); got != want || got == 0 || got > 40 {
			t.Errorf("%d times %q in %s, counted %d", got, kind, first, want)
		}
	}
	if again, _ := fatesOf(t, o, 100); again != first {
		t.Errorf("with the same seed:\n%s, want\n%s", again, first)
	}
	o.Seed = 2
	if other, _ := fatesOf(t, o, 100); other == first {
		t.Error("another seed makes no other order")
	}
	o.Cut, o.Stall, o.Seed = 0, 0, 1
	only, _ := fatesOf(t, o, 100)
	for i := range first {
		if (first[i] == 'f') != (only[i] == 'f') {
			t.Fatalf("other faults move those of Fail:\n%s\n%s", first, only)
		}
	}
}

// A failed upload is read to its end, so that the client sees the answer.
func TestFailAnswersUploads(t *testing.T) {
	p, c := start(t, Options{Fail: 1}, func(http.ResponseWriter, *http.Request) { t.Error("it reached the server") })
	for _, expect := range []bool{false, true, false} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.URL(), bytes.NewReader(make([]byte, 8<<20)))
		if err != nil {
			t.Fatal(err)
		}
		if expect {
			req.Header.Set("Expect", "100-continue")
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("status %d, want 503", resp.StatusCode)
		}
	}
}

// A server that goes away takes the connections with it, and is found again.
func TestServerRestarts(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	server := httptest.NewServer(handler)
	p, err := Start(Options{Target: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c := &http.Client{Transport: &http.Transport{}}
	defer c.CloseIdleConnections()
	if _, data, err := get(t, c, p.URL()); err != nil || string(data) != "ok" {
		t.Fatalf("%q, %v", data, err)
	}
	address := server.Listener.Addr().String()
	server.Close()
	if _, _, err := get(t, c, p.URL()); err == nil {
		t.Fatal("an answer without a server")
	}
	server = httptest.NewUnstartedServer(handler)
	server.Listener.Close()
	if server.Listener, err = listen(address); err != nil {
		t.Fatal(err)
	}
	server.Start()
	defer server.Close()
	if _, data, err := get(t, c, p.URL()); err != nil || string(data) != "ok" {
		t.Fatalf("%q, %v", data, err)
	}
}

func TestCloseEndsStalls(t *testing.T) {
	p, c := start(t, Options{Stall: 1}, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	ended := make(chan error, 1)
	go func() {
		_, _, err := get(t, c, p.URL())
		ended <- err
	}()
	for p.Counts().Stalled == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("an answer that stalls has come")
	}
}

func TestLog(t *testing.T) {
	var log bytes.Buffer
	p, c := start(t, Options{Log: &log}, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	if _, _, err := get(t, c, p.URL()+"/bucket?list-type=2"); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{" LIST ", " 200 ", " 2 ", "/bucket?list-type=2"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in the log: %s", want, log.String())
		}
	}
}

func TestTargetMustBeHTTP(t *testing.T) {
	for _, target := range []string{"", "https://127.0.0.1:1", "127.0.0.1:1", "http://"} {
		if p, err := Start(Options{Target: target}); err == nil {
			p.Close()
			t.Errorf("Start with target %q: no error", target)
		}
	}
}

func listen(address string) (l net.Listener, err error) {
	for range 50 { // the address is not free at once
		if l, err = net.Listen("tcp", address); err == nil {
			return l, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, err
}
