package fusefs

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// key identifies a node: equal keys are one file. Its first half is the inode
// number, so two different files never have the same one.
type key [16]byte

// ino is the inode number. The top bit stays clear for programs that keep
// inode numbers in signed integers.
func (k key) ino() uint64 {
	n := binary.LittleEndian.Uint64(k[:8]) &^ (1 << 63)
	if n <= 1 { // 0 is no inode, 1 is the root
		return n + 2
	}
	return n
}

// secret is a key of this machine. Without it nobody can make two blobs that
// tools like tar and rsync -H would take for one.
type secret [32]byte

// of hashes the parts; no two different lists of parts have the same input.
func (s *secret) of(parts ...string) key {
	var stack [320]byte
	buf := append(stack[:0], s[:]...)
	for _, p := range parts {
		buf = binary.LittleEndian.AppendUint32(buf, uint32(len(p)))
		buf = append(buf, p...)
	}
	sum := sha256.Sum256(buf)
	return key(sum[:16])
}

const secretFile = "inode-key"

// loadSecret reads the key from dir, or makes one there. Without a dir the key
// lives as long as the mount.
func loadSecret(dir string) (*secret, error) {
	var s secret
	if dir == "" {
		_, err := rand.Read(s[:])
		return &s, err
	}
	name := filepath.Join(dir, secretFile)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		if text, err = makeSecret(dir, name); err != nil {
			return nil, fmt.Errorf("make the key of the inode numbers: %w", err)
		}
	} else if err != nil {
		return nil, fmt.Errorf("read the key of the inode numbers: %w", err)
	}
	raw, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(raw) != len(s) {
		return nil, fmt.Errorf("%s is not a key of %d hex digits: remove it, a new one is made", name, 2*len(s))
	}
	copy(s[:], raw)
	return &s, nil
}

// makeSecret creates the file whole or not at all, so that two mounts that
// start at once agree on one key.
func makeSecret(dir, name string) ([]byte, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	tmp, err := os.CreateTemp(dir, secretFile+".*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(tmp.Name())
	var raw [32]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return nil, errors.Join(err, tmp.Close())
	}
	_, err = fmt.Fprintln(tmp, hex.EncodeToString(raw[:]))
	if err = errors.Join(err, tmp.Close()); err != nil {
		return nil, err
	}
	if err := os.Link(tmp.Name(), name); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return os.ReadFile(name)
}
