package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// head is what comes before a body: a request's or an answer's.
type head struct {
	raw     []byte // as it was sent
	first   string // the request line or the status line
	length  int64  // of the body; -1: not said
	chunked bool
	close   bool
	expect  bool   // 100-continue
	span    string // the range that is asked for
}

// maxHead is more than any header of S3.
const maxHead = 1 << 20

func readHead(r *bufio.Reader) (*head, error) {
	h := &head{length: -1}
	for {
		line, err := r.ReadSlice('\n')
		h.raw = append(h.raw, line...)
		if len(h.raw) > maxHead {
			return nil, fmt.Errorf("proxy: a head of more than %d bytes", maxHead)
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil {
			return nil, err
		}
		if bytes.HasSuffix(h.raw, []byte("\r\n\r\n")) {
			return h, h.parse()
		}
	}
}

func (h *head) parse() error {
	text := string(h.raw)
	var fields string
	h.first, fields, _ = strings.Cut(text, "\r\n")
	for field := range strings.SplitSeq(fields, "\r\n") {
		name, value, _ := strings.Cut(field, ":")
		value = strings.TrimSpace(value)
		switch http.CanonicalHeaderKey(name) {
		case "Content-Length":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < 0 {
				return fmt.Errorf("proxy: Content-Length %q", value)
			}
			h.length = n
		case "Transfer-Encoding":
			h.chunked = strings.EqualFold(value, "chunked")
		case "Connection":
			h.close = strings.EqualFold(value, "close")
		case "Expect":
			h.expect = strings.EqualFold(value, "100-continue")
		case "Range":
			h.span = strings.TrimPrefix(value, "bytes=")
		}
	}
	return nil
}

// request returns the method and the target of a request line.
func (h *head) request() (method, target string) {
	method, rest, _ := strings.Cut(h.first, " ")
	target, _, _ = strings.Cut(rest, " ")
	return method, target
}

// status is the code of a status line; 0 if it is none.
func (h *head) status() int {
	_, rest, _ := strings.Cut(h.first, " ")
	code, _, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(code)
	if err != nil {
		return 0
	}
	return n
}

// hasBody reports whether the answer to a request of a method has a body.
func (h *head) hasBody(method string) bool {
	if s := h.status(); method == "HEAD" || s == http.StatusNoContent || s == http.StatusNotModified {
		return false
	}
	return h.chunked || h.length != 0
}
