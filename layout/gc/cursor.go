package gc

import "strings"

// cursor goes through sorted lines once, by the word they begin with.
type cursor struct {
	lines *reader
	line  string // not given out yet
	more  bool
	err   error
}

func newCursor(lines *reader) *cursor {
	c := &cursor{lines: lines}
	c.advance()
	return c
}

func (c *cursor) advance() { c.line, c.more, c.err = c.lines.next() }

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
