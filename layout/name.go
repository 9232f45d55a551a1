package layout

import (
	_ "crypto/sha256" // sha256 digests
	_ "crypto/sha512" // sha384 and sha512 digests
	"fmt"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"
)

const (
	maxRepositoryName = 255
	component         = `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`
)

var componentRegexp = regexp.MustCompile(`^` + component + `$`)

// RepositoryName is a legal repository name, such as "library/alpine". The
// empty name stands for the top of the tree where a method says so.
type RepositoryName string

// ParseRepositoryName checks s against the distribution-spec's grammar of a
// name in a path: components joined by slashes, at most 255 bytes, and no
// domain with a port or upper case. The error is ErrNameInvalid.
func ParseRepositoryName(s string) (RepositoryName, error) {
	if len(s) > maxRepositoryName {
		return "", fmt.Errorf("repository name %.40q... of %d bytes: %w: at most %d bytes", s, len(s), ErrNameInvalid, maxRepositoryName)
	}
	for c := range strings.SplitSeq(s, "/") {
		if !ValidComponent(c) {
			return "", fmt.Errorf("repository name %q: %w: %q is no component of lower-case letters and digits joined by one '.', one or two '_' or any '-'", s, ErrNameInvalid, c)
		}
	}
	return RepositoryName(s), nil
}

// ValidComponent reports whether s can be one path component of a repository
// name. No such component begins with '_', so none hides what the registry
// keeps beside nested repositories.
func ValidComponent(s string) bool {
	return len(s) <= maxRepositoryName && componentRegexp.MatchString(s)
}

// Join is the name of child below n; ok tells whether that is a legal name.
func (n RepositoryName) Join(child string) (joined RepositoryName, ok bool) {
	s := child
	if n != "" {
		s = string(n) + "/" + child
	}
	return RepositoryName(s), ValidComponent(child) && len(s) <= maxRepositoryName
}

// Base is the last component of n.
func (n RepositoryName) Base() string {
	return string(n[strings.LastIndexByte(string(n), '/')+1:])
}

// TagName is a legal tag.
type TagName string

// ParseTagName checks s against the grammar of a tag. The error is
// ErrTagInvalid.
func ParseTagName(s string) (TagName, error) {
	if !isTag(s) {
		return "", fmt.Errorf("tag %.140q: %w: one letter, digit or '_', then up to 127 of those, '.' or '-'", s, ErrTagInvalid)
	}
	return TagName(s), nil
}

func isTag(s string) bool {
	const longest = 128
	for i, c := range []byte(s) {
		word := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
		if !word && (i == 0 || c != '.' && c != '-') {
			return false
		}
	}
	return s != "" && len(s) <= longest
}

// ParseHex makes a digest of a file name in a directory such as sha256: lower
// case and of the algorithm's length. The error is ErrDigestInvalid.
func ParseHex(alg digest.Algorithm, hex string) (digest.Digest, error) {
	d := digest.Digest(string(alg) + ":" + hex)
	if err := validate(d); err != nil {
		return "", fmt.Errorf("digest %.160q: %w: %w", d, ErrDigestInvalid, err)
	}
	return d, nil
}

// validate is d.Validate without a regular expression for what nearly every
// digest is: a listing asks it several times for each name.
func validate(d digest.Digest) error {
	const prefix = string(digest.SHA256) + ":"
	hex, ok := strings.CutPrefix(string(d), prefix)
	if !ok || len(hex) != 64 {
		return d.Validate()
	}
	for _, c := range []byte(hex) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return d.Validate()
		}
	}
	return nil
}
