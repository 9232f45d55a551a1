package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// maxStalls is how often a server may let a call stand still, each time for the
// same part of its time-out.
const maxStalls = 3

// stallError says that nothing has moved for too long. It is ETIMEDOUT.
type stallError struct {
	limit time.Duration
	times int
}

func (e *stallError) Error() string {
	return fmt.Sprintf("the server did not answer for %v (try %d): see whether it is up, or raise the parameter timeout", e.limit, e.times)
}

// Is reports that the error is a time-out.
func (e *stallError) Is(target error) bool {
	return target == syscall.ETIMEDOUT || target == context.DeadlineExceeded
}

// watchedClient ends a request when neither its bytes nor those of its answer
// have moved for limit. A slow connection is not a stalled one, however long it
// takes; and while nobody reads the answer, no time passes.
type watchedClient struct {
	client    aws.HTTPClient
	counts    *requests
	limit     time.Duration
	userAgent string // put behind the SDK's
}

type patienceKey struct{}

// withPatience allows the server more time before it begins to answer: copying
// and putting together take long.
func withPatience(ctx context.Context) context.Context {
	return context.WithValue(ctx, patienceKey{}, true)
}

// Do implements aws.HTTPClient.
func (c *watchedClient) Do(req *http.Request) (*http.Response, error) {
	if c.userAgent != "" {
		req.Header.Set("User-Agent", req.Header.Get("User-Agent")+" "+c.userAgent)
	}
	c.counts.count(req.Context())
	limit := c.limit
	if req.Context().Value(patienceKey{}) != nil {
		limit *= maxStalls
	}
	ctx, cancel := context.WithCancel(req.Context())
	w := &watch{cancel: cancel, attempts: attemptsOf(ctx)}
	if w.attempts == nil {
		w.attempts = new(attempts)
	}
	w.attempts.made++
	w.timer = time.AfterFunc(limit, w.expire)
	req = req.WithContext(ctx)
	if req.Body != nil && req.Body != http.NoBody {
		req.Body = &watchedRequest{req.Body, w, limit}
	}
	resp, err := c.client.Do(req)
	w.timer.Stop()
	if err != nil {
		cancel()
		return nil, w.explain(err, limit)
	}
	// The request's body may still be read: the server need not wait for its end.
	resp.Body = &watchedBody{resp.Body, w, c.limit}
	return resp, nil
}

// watch is the clock of one request.
type watch struct {
	cancel   context.CancelFunc
	timer    *time.Timer
	expired  atomic.Bool
	attempts *attempts
}

func (w *watch) expire() {
	w.expired.Store(true)
	w.cancel()
}

// explain puts the stall in the place of the cancelling that followed it.
func (w *watch) explain(err error, limit time.Duration) error {
	if err == nil || errors.Is(err, io.EOF) || !w.expired.Load() {
		return err
	}
	w.attempts.stalls++
	return &stallError{limit: limit, times: w.attempts.stalls}
}

// watchedRequest starts the clock again with each piece of the body sent.
type watchedRequest struct {
	io.ReadCloser
	w     *watch
	limit time.Duration
}

func (r *watchedRequest) Read(p []byte) (int, error) {
	r.w.timer.Reset(r.limit)
	return r.ReadCloser.Read(p)
}

// watchedBody runs the clock while somebody waits for bytes.
type watchedBody struct {
	io.ReadCloser
	w     *watch
	limit time.Duration
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.w.timer.Reset(b.limit)
	n, err := b.ReadCloser.Read(p)
	b.w.timer.Stop()
	return n, b.w.explain(err, b.limit)
}

func (b *watchedBody) Close() error {
	err := b.ReadCloser.Close()
	b.w.cancel()
	return err
}
