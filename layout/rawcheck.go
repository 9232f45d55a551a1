package layout

import (
	"fmt"
	"strings"
)

// Check says whether the store can hold a file of that path: ErrNameInvalid
// names the part of it that is not legal there.
func (t RawTree) Check(p RawPath) error {
	if p == "/" {
		return nil
	}
	for _, part := range strings.Split(strings.TrimPrefix(string(p), "/"), "/") {
		if part == "" || part == "." || part == ".." || strings.IndexFunc(part, illegalInRaw) >= 0 {
			return fmt.Errorf("%q in %s: a name in the store has only letters, digits, '.', '_' and '-': %w", part, p, ErrNameInvalid)
		}
	}
	return nil
}

func illegalInRaw(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-')
}
