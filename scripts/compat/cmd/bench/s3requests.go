package main

import (
	"strings"
	"time"

	"registryfs/scripts/compat/internal/proxy"
)

// requests counts since the last call: by the proxy if the server is far, else
// by the server's log, so that nothing stands in the way of what is measured.
func (e *s3Env) requests(far bool) (proxy.Counts, error) {
	if far {
		return e.far.Reset(), nil
	}
	time.Sleep(50 * time.Millisecond) // a request is logged after its answer
	now, err := e.server.Requests()
	if err != nil {
		return proxy.Counts{}, err
	}
	c := proxy.Counts{Requests: map[string]int64{}}
	for operation, n := range now {
		if more := n - e.seen[operation]; more > 0 {
			c.Requests[kindOf(operation)] += int64(more)
		}
	}
	e.seen = now
	return c, nil
}

// kindOf is the kind of request that an operation is, as package proxy names it.
func kindOf(operation string) string {
	switch {
	case strings.HasPrefix(operation, "List"):
		return "LIST"
	case strings.HasPrefix(operation, "Head"):
		return "HEAD"
	case strings.HasPrefix(operation, "Get"):
		return "GET"
	case strings.HasPrefix(operation, "Put"), strings.HasPrefix(operation, "UploadPart"), strings.HasPrefix(operation, "Copy"):
		return "PUT"
	case strings.HasPrefix(operation, "DeleteObjects"):
		return "POST"
	case strings.HasPrefix(operation, "Delete"), strings.HasPrefix(operation, "Abort"):
		return "DELETE"
	}
	return "POST"
}
