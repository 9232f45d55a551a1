package gc

import (
	"iter"
	"strings"
)

// cursor goes through sorted lines once, by the word they begin with.
type cursor struct {
	next func() (string, error, bool)
	stop func()
	line string // not given out yet
	more bool
	err  error
}

func newCursor(lines iter.Seq2[string, error]) *cursor {
	c := &cursor{}
	c.next, c.stop = iter.Pull2(lines)
	c.advance()
	return c
}

func (c *cursor) advance() {
	var err error
	c.line, err, c.more = c.next()
	if err != nil {
		c.err, c.more = err, false
	}
}

// of returns the rest of each line that begins with key and a space, or is key.
// Keys must come in order. An error means that some may be missing.
func (c *cursor) of(key string) ([]string, error) {
	var rests []string
	for c.more {
		word, rest, _ := strings.Cut(c.line, " ")
		if word > key {
			break
		}
		if word == key {
			rests = append(rests, rest)
		}
		c.advance()
	}
	return rests, c.err
}

func (c *cursor) close() { c.stop() }
