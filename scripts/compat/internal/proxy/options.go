package proxy

import (
	"io"
	"time"
)

// Options say where a proxy leads and what it does on the way. A fault that is
// one in 0 never happens.
type Options struct {
	Target string    // http://HOST:PORT
	Listen string    // HOST:PORT; default: a free port of 127.0.0.1
	Log    io.Writer // gets a line for each request; nil: none

	Delay time.Duration // before each answer
	Rate  int64         // of one answer, in bytes a second; 0: as fast as it goes

	Fail  int // one in so many requests is answered 503 SlowDown and does not reach the target
	Cut   int // one in so many bodies of answers ends early, and the connection with it
	Stall int // one in so many answers stops, before or in its body, until the client gives up

	// Seed gives the order of the faults: the n-th request meets the same fate
	// in each run with the same seed.
	Seed uint64
}
