package fusefs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// timeLog keeps times in a file of the state directory, for the next mount of
// the same store. Records are only ever appended, each by one write under a lock
// of the file, so that several mounts may share it; a record that a crash left
// half written ends the file when the next one is appended. When too many have
// gathered the newest of each file are written anew, under the same lock.
type timeLog struct {
	name string
	most int // records to keep
}

// timeRecord says that a file is to be shown with a time.
type timeRecord struct {
	key  key
	kept keptTime
}

// recordSize is a key, two times, of which one is in nanoseconds, and a checksum.
const recordSize = 16 + 8 + 8 + 4 + 4

var recordSum = crc32.MakeTable(crc32.Castagnoli)

func (r *timeRecord) encode() []byte {
	b := make([]byte, 0, recordSize)
	b = append(b, r.key[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.kept.store))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.kept.sec))
	b = binary.LittleEndian.AppendUint32(b, r.kept.nsec)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, recordSum))
}

func decodeTime(b []byte) (timeRecord, bool) {
	body := b[:recordSize-4]
	if crc32.Checksum(body, recordSum) != binary.LittleEndian.Uint32(b[recordSize-4:]) {
		return timeRecord{}, false
	}
	return timeRecord{key(body[:16]), keptTime{
		store: int64(binary.LittleEndian.Uint64(body[16:])),
		sec:   int64(binary.LittleEndian.Uint64(body[24:])),
		nsec:  binary.LittleEndian.Uint32(body[32:]),
	}}, true
}

// load reads all records, the oldest first. There may be no file yet.
func (l *timeLog) load() ([]timeRecord, error) {
	text, err := os.ReadFile(l.name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the times that were set: %w", err)
	}
	return decodeTimes(text), nil
}

func decodeTimes(text []byte) []timeRecord {
	records := make([]timeRecord, 0, len(text)/recordSize)
	for ; len(text) >= recordSize; text = text[recordSize:] {
		if r, ok := decodeTime(text); ok {
			records = append(records, r)
		}
	}
	return records
}

// append adds a record.
func (l *timeLog) append(r timeRecord) error {
	f, size, err := l.open()
	if err != nil {
		return fmt.Errorf("write down the time that was set: %w", err)
	}
	defer f.Close() // and with it the lock
	if size >= 2*int64(l.most)*recordSize {
		return l.rewrite(f, r)
	}
	if torn := size % recordSize; torn != 0 {
		size -= torn
		if err := f.Truncate(size); err != nil {
			return err
		}
	}
	_, err = f.WriteAt(r.encode(), size)
	return err
}

// open opens the file, locked, and makes it when absent. Another mount may have
// put a new file in its place while we waited for the lock.
func (l *timeLog) open() (*os.File, int64, error) {
	for {
		f, err := os.OpenFile(l.name, os.O_RDWR|os.O_CREATE, 0o600)
		if errors.Is(err, os.ErrNotExist) {
			if err = os.MkdirAll(filepath.Dir(l.name), 0o700); err == nil {
				continue
			}
		}
		if err != nil {
			return nil, 0, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
			return nil, 0, errors.Join(err, f.Close())
		}
		locked, err := f.Stat()
		if err != nil {
			return nil, 0, errors.Join(err, f.Close())
		}
		if named, err := os.Stat(l.name); err == nil && os.SameFile(locked, named) {
			return f, locked.Size(), nil
		}
		if err := f.Close(); err != nil {
			return nil, 0, err
		}
	}
}

// rewrite replaces the file, which the caller has locked, by the newest record
// of each file, up to the most there may be, and r.
func (l *timeLog) rewrite(f *os.File, r timeRecord) error {
	text, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	all := append(decodeTimes(text), r)
	seen := make(map[key]bool, l.most)
	var newest []timeRecord
	for i := len(all) - 1; i >= 0 && len(newest) < l.most; i-- {
		if !seen[all[i].key] {
			seen[all[i].key] = true
			newest = append(newest, all[i])
		}
	}
	out := make([]byte, 0, len(newest)*recordSize)
	for i := len(newest) - 1; i >= 0; i-- {
		out = append(out, newest[i].encode()...)
	}
	tmp := l.name + ".new" // ours alone, as the lock is
	if err := os.WriteFile(tmp, out, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, l.name)
}
