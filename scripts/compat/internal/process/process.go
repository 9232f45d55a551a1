// Package process has what the tests need to run a server as a process of its
// own.
package process

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync"
)

// FreeAddress is a loopback address that nobody listens on in this moment.
func FreeAddress(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// Output is what a process prints. It may be read while the process writes.
type Output struct {
	mu  sync.Mutex // guards the following
	buf bytes.Buffer
}

// Write implements io.Writer.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

// String is what was printed so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
