package s3

import (
	"context"
	"maps"
	"sync"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
)

// requests counts what is sent to the store, by the names of its API.
type requests struct {
	mu    sync.Mutex // guards the following
	kinds map[string]int64
}

func (r *requests) count(ctx context.Context) {
	kind := awsmiddleware.GetOperationName(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kinds[kind]++
}

// Requests answers drivers.Requests.
func (d *Driver) Requests() map[string]int64 {
	d.requests.mu.Lock()
	defer d.requests.mu.Unlock()
	return maps.Clone(d.requests.kinds)
}
