package filesystem

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strings"
)

const (
	tempPrefix    = ".registryfs-"
	tempSuffix    = ".tmp"
	partialSuffix = ".registryfs-partial"
	maxName       = 255 // bytes, NAME_MAX of every file system in use
)

// tempName returns a name for a temporary file that most likely is free.
func tempName() string {
	return fmt.Sprintf("%s%016x%s", tempPrefix, rand.Uint64(), tempSuffix)
}

// partialName returns the name under which an unfinished write of name waits.
func partialName(name string) string {
	if len(name)+1+len(partialSuffix) > maxName {
		name = fmt.Sprintf("%x", sha256.Sum256([]byte(name)))
	}
	return "." + name + partialSuffix
}

// isHidden reports whether a file of this name is a temporary one or an
// unfinished write, of this driver or of a registry's.
func isHidden(name string) bool {
	if name[0] == '.' && strings.HasSuffix(name, partialSuffix) {
		return true
	}
	stem, ok := strings.CutSuffix(name, tempSuffix)
	if !ok {
		return false
	}
	return strings.HasPrefix(stem, tempPrefix) || endsInUUID(stem)
}

// endsInUUID reports whether stem is a name, a dot and a UUID, as in what the
// registry appends ".tmp" to since v3.1.0.
func endsInUUID(stem string) bool {
	const uuid = len("00000000-0000-0000-0000-000000000000")
	dot := len(stem) - uuid - 1
	if dot < 1 || stem[dot] != '.' {
		return false
	}
	for i, c := range []byte(stem[dot+1:]) {
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}
