package s3

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go/middleware"
)

const (
	firstBackoff = 50 * time.Millisecond
	maxBackoff   = 5 * time.Second
)

// backoff is how long to wait before the n-th try after the first: twice as long
// each time, and up to half of it less, so that those who failed together do not
// come back together.
func backoff(n int) time.Duration {
	d := maxBackoff
	if n < 8 {
		d = min(d, firstBackoff<<max(n-1, 0))
	}
	return d/2 + rand.N(d/2)
}

// newRetryer makes requests again within their context. There is no limit over
// all of them: each has its own, and a mount that goes on is worth the load.
func newRetryer(retries int) aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = 1 + max(retries, 0)
		o.RateLimiter = ratelimit.None
		o.Backoff = retry.BackoffDelayerFunc(func(n int, _ error) (time.Duration, error) { return backoff(n), nil })
		o.Retryables = append([]retry.IsErrorRetryable{
			retry.IsErrorRetryableFunc(retryable),
			retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{
				http.StatusRequestTimeout:  {},
				http.StatusTooManyRequests: {},
			}},
			retry.RetryableErrorCode{Codes: map[string]struct{}{
				"ConditionalRequestConflict": {},
				"OperationAborted":           {},
				"IncompleteBody":             {}, // what a cut connection left of ours
			}},
		}, o.Retryables...)
	})
}

// retryable knows what the SDK does not: an answer that was cut short, and a
// server that has stalled too often.
func retryable(err error) aws.Ternary {
	var stall *stallError
	switch {
	case errors.As(err, &stall):
		return aws.BoolTernary(stall.times < maxStalls)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return aws.TrueTernary
	}
	return aws.UnknownTernary
}

// attempts is what became of the tries of one call so far.
type attempts struct {
	made, stalls int
}

type attemptsKey struct{}

// withAttempts lets the caller see how often a request was made: an answer that
// was lost has had its effect all the same.
func withAttempts(ctx context.Context) (context.Context, *attempts) {
	a := new(attempts)
	return context.WithValue(ctx, attemptsKey{}, a), a
}

func attemptsOf(ctx context.Context) *attempts {
	a, _ := ctx.Value(attemptsKey{}).(*attempts)
	return a
}

// countAttempts is the middleware that gives each call its attempts.
func countAttempts(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("registryfsAttempts",
		func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
			if attemptsOf(ctx) == nil {
				ctx, _ = withAttempts(ctx)
			}
			return next.HandleInitialize(ctx, in)
		}), middleware.Before)
}

// sleep waits before the n-th try, as long as ctx lives.
func sleep(ctx context.Context, n int) error {
	t := time.NewTimer(backoff(n))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
