package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
)

// Proxy is a proxy that listens. Its methods may be called in parallel.
type Proxy struct {
	address  string // of the target, HOST:PORT
	listener net.Listener
	counter  counter
	fates    fates
	done     sync.WaitGroup

	mu      sync.Mutex // guards the following
	options Options
	conns   map[net.Conn]struct{}
	closed  bool
}

// Start listens and serves until Close.
func Start(o Options) (*Proxy, error) {
	target, err := url.Parse(o.Target)
	if err != nil || target.Scheme != "http" || target.Host == "" {
		return nil, fmt.Errorf("proxy: target %q is no http://HOST:PORT", o.Target)
	}
	listen := o.Listen
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	p := &Proxy{address: target.Host, listener: l, options: o, conns: make(map[net.Conn]struct{})}
	p.counter.log = o.Log
	p.done.Go(p.accept)
	return p, nil
}

// Addr is the address that it listens on, HOST:PORT.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// URL is what a client is to be given instead of the target.
func (p *Proxy) URL() string { return "http://" + p.Addr() }

// Counts returns what has been asked and passed on since Start or Reset.
func (p *Proxy) Counts() Counts { return p.counter.counts() }

// Reset sets the counts to zero, and returns those that they were. The order of
// faults goes on.
func (p *Proxy) Reset() Counts { return p.counter.reset() }

// Change changes the options for requests that come after it. Target, Listen and
// Log stay as they are.
func (p *Proxy) Change(change func(*Options)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.options)
}

// Close ends all connections, those that hang included. It may be called again.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	errs := []error{ignoreClosed(p.listener.Close())}
	for c := range p.conns {
		errs = append(errs, ignoreClosed(c.Close()))
	}
	p.mu.Unlock()
	p.done.Wait()
	return errors.Join(errs...)
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return // closed; and no other error of a listener is worth a loop
		}
		p.done.Go(func() { p.serve(c.(*net.TCPConn)) })
	}
}

func (p *Proxy) current() Options {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.options
}

// hold remembers a connection that Close must end, and says whether it may begin.
func (p *Proxy) hold(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.conns[c] = struct{}{}
	}
	return !p.closed
}

// release closes a connection. There is nobody to tell that this failed.
func (p *Proxy) release(c net.Conn) {
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
	_ = c.Close()
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
