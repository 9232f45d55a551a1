package s3server

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
)

// operation is the operation in a line of the access log.
var operation = regexp.MustCompile(` s3_([A-Za-z0-9]+) `)

// Requests counts the requests since the server was first started, by
// operation: "ListObjectsV2", "GetObject". The server logs one after it has
// answered it.
func (s *Server) Requests() (map[string]int, error) {
	counts := map[string]int{}
	f, err := os.Open(s.log())
	if errors.Is(err, fs.ErrNotExist) {
		return counts, nil
	}
	if err != nil {
		return nil, fmt.Errorf("count requests: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if m := operation.FindSubmatch(lines.Bytes()); m != nil {
			counts[string(m[1])]++
		}
	}
	return counts, lines.Err()
}
