package blobcache

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
)

// block is what is kept and checked as one.
const block = 64 << 10

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const (
	sumsMagic  = "rfsblob1"
	sumsHeader = len(sumsMagic) + 8 // and the blob's size
	sumsRecord = 8
)

// sums is the file of a blob's checksums: a header, then for each block its
// checksum and a checksum of that, or zeros while the block is not there. After
// them comes the identity of the file that was hashed, when it is whole.
type sums struct {
	f      *os.File
	header [sumsHeader]byte
}

func newSums(f *os.File, size int64) *sums {
	s := &sums{f: f}
	copy(s.header[:], sumsMagic)
	binary.LittleEndian.PutUint64(s.header[len(sumsMagic):], uint64(size))
	return s
}

// openSums opens an existing file. It is fs.ErrNotExist, or errBadSums if it is
// not such a file.
func openSums(path string, flag int) (*sums, int64, error) {
	f, err := os.OpenFile(path, flag, 0)
	if err != nil {
		return nil, 0, err
	}
	var header [sumsHeader]byte
	if _, err := f.ReadAt(header[:], 0); err != nil || string(header[:len(sumsMagic)]) != sumsMagic {
		f.Close()
		return nil, 0, errBadSums
	}
	size := int64(binary.LittleEndian.Uint64(header[len(sumsMagic):]))
	if size <= 0 {
		f.Close()
		return nil, 0, errBadSums
	}
	return newSums(f, size), size, nil
}

var errBadSums = errors.New("not a file of checksums")

// createSums makes a file without any checksums.
func createSums(path string, size int64) (*sums, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	s := newSums(f, size)
	if _, err := f.WriteAt(s.header[:], 0); err != nil {
		f.Close()
		return nil, err
	}
	return s, nil
}

// get returns the checksums of n blocks from first on, and ok if there are all.
// have tells which there are.
func (s *sums) get(first int64, n int) (crcs []uint32, have []bool, ok bool) {
	buf := make([]byte, n*sumsRecord)
	got, err := s.f.ReadAt(buf, int64(sumsHeader)+first*sumsRecord)
	if err != nil && err != io.EOF {
		got = 0
	}
	crcs, have, ok = make([]uint32, n), make([]bool, n), true
	for i := range n {
		if r := buf[i*sumsRecord:]; (i+1)*sumsRecord <= got && binary.LittleEndian.Uint64(r) != 0 {
			crcs[i] = binary.LittleEndian.Uint32(r)
			have[i] = binary.LittleEndian.Uint32(r[4:]) == s.check(first+int64(i), crcs[i])
		}
		ok = ok && have[i]
	}
	return crcs, have, ok
}

func (s *sums) set(first int64, crcs []uint32) error {
	buf := make([]byte, 0, len(crcs)*sumsRecord)
	for i, crc := range crcs {
		buf = binary.LittleEndian.AppendUint32(buf, crc)
		buf = binary.LittleEndian.AppendUint32(buf, s.check(first+int64(i), crc))
	}
	_, err := s.f.WriteAt(buf, int64(sumsHeader)+first*sumsRecord)
	return err
}

func (s *sums) clear(i int64) error {
	_, err := s.f.WriteAt(make([]byte, sumsRecord), int64(sumsHeader)+i*sumsRecord)
	return err
}

// vouch notes that the file with this identity was hashed and is safe on the disk.
func (s *sums) vouch(id identity) error {
	_, err := s.f.WriteAt(s.voucher(id), s.end())
	return err
}

// vouched reports whether that was noted.
func (s *sums) vouched(id identity) bool {
	want := s.voucher(id)
	got := make([]byte, len(want))
	_, err := s.f.ReadAt(got, s.end())
	return err == nil && bytes.Equal(got, want)
}

func (s *sums) voucher(id identity) []byte {
	b := append([]byte(nil), s.header[:]...)
	for _, n := range []int64{id.ino, id.mtime, id.size} {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// end is where the checksums end.
func (s *sums) end() int64 {
	size := int64(binary.LittleEndian.Uint64(s.header[len(sumsMagic):]))
	return int64(sumsHeader) + blocks(size)*sumsRecord
}

// check guards a record against a torn write and against being another's.
func (s *sums) check(i int64, crc uint32) uint32 {
	var b [sumsHeader + 12]byte
	copy(b[:], s.header[:])
	binary.LittleEndian.PutUint64(b[sumsHeader:], uint64(i))
	binary.LittleEndian.PutUint32(b[sumsHeader+8:], crc)
	return crc32.Checksum(b[:], castagnoli)
}

// blocks is how many a blob of that size has.
func blocks(size int64) int64 { return (size + block - 1) / block }

// blockSize is that of block i, the last of which may be short.
func blockSize(i, size int64) int64 { return min(block, size-i*block) }
