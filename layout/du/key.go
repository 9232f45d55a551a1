package du

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"

	"github.com/opencontainers/go-digest"
)

// key stands for a digest in a quarter of its room.
type key [sha256.Size]byte

func keyOf(d digest.Digest) (k key) {
	if d.Algorithm() != digest.SHA256 {
		return sha256.Sum256([]byte(d))
	}
	_, _ = hex.Decode(k[:], []byte(d.Encoded())) // whoever has a digest has checked it
	return k
}

func compareKeys(a, b key) int { return bytes.Compare(a[:], b[:]) }
