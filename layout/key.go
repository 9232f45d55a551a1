package layout

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"

	"github.com/opencontainers/go-digest"
)

// Key stands for a digest in a quarter of its room, where millions are held.
type Key [sha256.Size]byte

// KeyOf is the key of a digest that was checked.
func KeyOf(d digest.Digest) (k Key) {
	if d.Algorithm() != digest.SHA256 {
		return sha256.Sum256([]byte(d))
	}
	_, _ = hex.Decode(k[:], []byte(d.Encoded())) // it was checked
	return k
}

// SHA256 is the digest of which k is the key, if it is a sha256 one.
func (k Key) SHA256() digest.Digest { return digest.NewDigestFromBytes(digest.SHA256, k[:]) }

// Compare orders keys.
func (k Key) Compare(other Key) int { return bytes.Compare(k[:], other[:]) }
