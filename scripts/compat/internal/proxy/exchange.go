package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// link is a client's connection with the one to the target that belongs to it.
type link struct {
	*Proxy
	client *peer
	target *peer // nil until the first request
}

// errEnd ends a connection as it is meant to end.
var errEnd = errors.New("the connection ends here")

// serve passes on one request after the other. What fails ends both connections:
// to a client that is the server's doing.
func (p *Proxy) serve(c *net.TCPConn) {
	if !p.hold(c) {
		_ = c.Close()
		return
	}
	defer p.release(c)
	l := &link{Proxy: p, client: newPeer(c)}
	defer l.hangUp()
	for {
		if err := l.exchange(); err != nil {
			return
		}
	}
}

// exchange is one request with its answer.
type exchange struct {
	*link
	options Options
	fate    fate
	method  string
	request *head
	answer  *head
	down    flow
}

func (l *link) exchange() (err error) {
	request, err := readHead(l.client.r)
	if err != nil {
		return err
	}
	o := l.current()
	x := &exchange{link: l, options: o, fate: l.fates.draw(o), request: request, down: flow{rate: o.Rate, moved: &l.counter.down}}
	var target string
	x.method, target = request.request()
	kind, began := kindOf(x.method, target), time.Now()
	l.counter.request(kind)
	defer func() {
		status := 0
		if x.answer != nil {
			status = x.answer.status()
		}
		end := ""
		if err != nil {
			end = err.Error()
		}
		l.counter.line(began, kind, status, x.down.copied, request.span, target, end)
	}()
	if x.fate.fail {
		return x.fail()
	}
	if err := x.ask(); err != nil {
		return err
	}
	if x.fate.stall && (x.fate.early || x.answer.length <= 0 || !x.answer.hasBody(x.method)) {
		return x.stall()
	}
	time.Sleep(o.Delay)
	return x.reply()
}

// ask sends the request and reads the head of its answer, once more if the
// target has closed a connection that was idle.
func (x *exchange) ask() error {
	idle := x.target != nil
	err := x.askOnce()
	if err != nil && x.answer == nil && idle && !x.request.withBody() {
		x.hangUp()
		err = x.askOnce()
	}
	return err
}

func (x *exchange) askOnce() (err error) {
	if err := x.dial(); err != nil {
		return err
	}
	if _, err := x.target.Write(x.request.raw); err != nil {
		return err
	}
	if x.request.expect {
		if x.answer, err = readHead(x.target.r); err != nil {
			return err
		}
		if x.answer.status() != http.StatusContinue {
			x.answer.close = true // the body may or may not follow
			return nil
		}
		time.Sleep(x.options.Delay)
		if _, err := x.client.Write(x.answer.raw); err != nil {
			return err
		}
		x.answer = nil
	}
	// A target that does not want all of the body has an answer all the same; if
	// it is the client that is gone, there will be none.
	broken := x.passBody()
	if broken != nil {
		if err := x.target.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			return errors.Join(broken, err)
		}
	}
	for {
		if x.answer, err = readHead(x.target.r); err != nil {
			return errors.Join(broken, err)
		}
		if x.answer.status() >= 200 {
			x.answer.close = x.answer.close || broken != nil
			return nil
		}
		if _, err := x.client.Write(x.answer.raw); err != nil {
			return err
		}
	}
}

// passBody sends the request's body to the target.
func (x *exchange) passBody() error {
	up := flow{moved: &x.counter.up}
	if x.request.chunked {
		return up.chunks(x.target, x.client)
	}
	return up.exactly(x.target, x.client, max(0, x.request.length))
}

// reply sends the answer to the client.
func (x *exchange) reply() error {
	a := x.answer
	x.down.began = time.Now()
	if !a.hasBody(x.method) {
		return x.sendHead()
	}
	whole := a.length
	if a.length > 0 && (x.fate.cut || x.fate.stall) {
		whole = int64(x.fate.part * float64(a.length))
	}
	// A small answer is one packet.
	if n := int64(x.target.r.Buffered()); !a.chunked && whole >= 0 && n >= whole {
		data, err := x.target.r.Peek(int(whole))
		if err != nil {
			return err
		}
		a.raw = append(a.raw, data...)
		if err := discard(x.target.r, len(data)); err != nil {
			return err
		}
		x.down.copied = whole
		x.counter.down.Add(whole)
	}
	err := x.sendHead()
	switch {
	case err != nil && !errors.Is(err, errEnd):
		return err
	case a.chunked:
		err = errors.Join(err, x.down.chunks(x.client, x.target))
	case a.length < 0:
		return errors.Join(errEnd, x.down.rest(x.client, x.target))
	default:
		err = errors.Join(err, x.down.exactly(x.client, x.target, whole))
	}
	switch {
	case whole == a.length:
		return err
	case x.fate.stall:
		return x.stall()
	}
	x.counter.cut.Add(1)
	return fmt.Errorf("cut at %d of %d", whole, a.length)
}

// sendHead sends the answer's head, and returns errEnd if the connection is to
// end after it.
func (x *exchange) sendHead() error {
	if _, err := x.client.Write(x.answer.raw); err != nil {
		return err
	}
	if x.answer.close || x.request.close {
		return errEnd
	}
	return nil
}

// fail answers for the target.
func (x *exchange) fail() error {
	x.counter.failed.Add(1)
	const body = `<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`
	if x.request.expect {
		x.request.close = true // the body does not follow
	} else if err := x.swallow(); err != nil {
		return err
	}
	raw := fmt.Sprintf("HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n", len(body))
	if x.request.close {
		raw += "Connection: close\r\n"
	}
	raw += "\r\n"
	if x.method != "HEAD" {
		raw += body
	}
	x.answer = &head{raw: []byte(raw), first: "HTTP/1.1 503", length: int64(len(body))}
	time.Sleep(x.options.Delay)
	return x.sendHead()
}

// swallow reads the request's body.
func (x *exchange) swallow() error {
	if x.request.chunked {
		x.request.close = true // simpler than to find its end
		return nil
	}
	_, err := io.CopyN(io.Discard, x.client.r, max(0, x.request.length))
	return err
}

// stall waits until the client has closed its connection.
func (x *exchange) stall() error {
	x.counter.stalled.Add(1)
	_, err := x.client.r.Peek(1)
	return errors.Join(errors.New("stalled"), err)
}

func (l *link) dial() error {
	if l.target != nil {
		return nil
	}
	c, err := net.Dial("tcp", l.address)
	if err != nil {
		return err
	}
	if !l.hold(c) {
		_ = c.Close()
		return net.ErrClosed
	}
	l.target = newPeer(c.(*net.TCPConn))
	return nil
}

func (l *link) hangUp() {
	if l.target != nil {
		l.release(l.target.TCPConn)
		l.target = nil
	}
}

func (h *head) withBody() bool { return h.chunked || h.length > 0 }
