package layout

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
)

// manifestSizes remembers how large manifests are, which their digests decide:
// a listing of the tags of a remote store shows it, and asking costs a request
// for each. Only what was read and verified is remembered, so that it holds for
// every store. The file is shared by all mounts: records are only appended, each
// by one write.
type manifestSizes struct {
	file string // "" keeps them as long as the process lives
	load sync.Once

	sizes *lru[digest.Digest, int64]
	read  *lru[digest.Digest, time.Time] // when the content was last read whole
}

const (
	sizesFile = "manifest-sizes"

	maxSizes = 50_000 // that are remembered

	// sizeRecord is a sha256 digest, a size and a checksum.
	sizeRecord = 32 + 8 + 4
	mostSizes  = 2 * maxSizes * sizeRecord // bytes of the file
)

func newManifestSizes(stateDir string) *manifestSizes {
	s := &manifestSizes{
		sizes: newLRU[digest.Digest, int64](maxSizes),
		read:  newLRU[digest.Digest, time.Time](cacheBytes / entryCost),
	}
	if stateDir != "" {
		s.file = filepath.Join(stateDir, sizesFile)
	}
	return s
}

func (s *manifestSizes) get(d digest.Digest) (int64, bool) {
	s.load.Do(s.readFile)
	return s.sizes.get(d)
}

// put remembers the size of content that has digest d.
func (s *manifestSizes) put(d digest.Digest, size int64) {
	if old, ok := s.get(d); ok && old == size {
		return
	}
	s.sizes.put(d, size, 1)
	if record := encodeSize(d, size); record != nil && s.file != "" {
		_ = appendRecord(s.file, record, mostSizes) // then it is asked for again after the next mount
	}
}

var sizeSum = crc32.MakeTable(crc32.Castagnoli)

// encodeSize is nil for a digest of another algorithm than manifests have.
func encodeSize(d digest.Digest, size int64) []byte {
	if d.Algorithm() != digest.SHA256 {
		return nil
	}
	record, err := hex.DecodeString(d.Encoded())
	if err != nil {
		return nil
	}
	record = binary.LittleEndian.AppendUint64(record, uint64(size))
	return binary.LittleEndian.AppendUint32(record, crc32.Checksum(record, sizeSum))
}

// readFile takes in what earlier mounts have remembered. What a crash has left
// half written is stepped over.
func (s *manifestSizes) readFile() {
	if s.file == "" {
		return
	}
	content, err := os.ReadFile(s.file)
	if err != nil {
		return // none yet, or none to be had
	}
	for b := content; len(b) >= sizeRecord; {
		body := b[:sizeRecord-4]
		size := int64(binary.LittleEndian.Uint64(b[32:]))
		if crc32.Checksum(body, sizeSum) != binary.LittleEndian.Uint32(b[sizeRecord-4:]) || size < 0 || size > MaxManifestSize {
			b = b[1:]
			continue
		}
		s.sizes.put(digest.NewDigestFromBytes(digest.SHA256, body[:32]), size, 1)
		b = b[sizeRecord:]
	}
}

// statManifest is statBlob for a tag's manifest. Of a remote store, when no
// change depends on it, the size is what is remembered or what a listing tells;
// else the manifest is read, which takes no longer than to ask for its size, so
// that opening it needs no request. The time is then not known.
func (r *Registry) statManifest(ctx context.Context, d digest.Digest) (blobStat, error) {
	if r.ahead == nil || !r.ahead.Serves(ctx) || validate(d) != nil {
		return r.statBlob(ctx, d)
	}
	if s, ok := r.cache.stat(d); ok {
		return s, nil
	}
	if size, ok := r.sizes.get(d); ok {
		return blobStat{size: size}, nil
	}
	if info, ok := r.ahead.Known(ctx, blobDataPath(d)); ok && !info.IsDir() {
		return blobStat{size: info.Size()}, nil
	}
	content, err := r.readManifest(ctx, d)
	if isAbsent(err) {
		return blobStat{}, BlobUnknownError{Digest: d}
	}
	if err != nil {
		return blobStat{}, fmt.Errorf("read manifest %s: %w", d, err)
	}
	if content == nil {
		return r.statBlobNow(ctx, d)
	}
	return blobStat{size: int64(len(content))}, nil
}

// readManifest reads a blob that should be a manifest. It is nil if it is too
// large for that or damaged.
func (r *Registry) readManifest(ctx context.Context, d digest.Digest) ([]byte, error) {
	body, err := drivers.ReadRange(ctx, r.driver, blobDataPath(d), 0, MaxManifestSize+1)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	_, err = io.Copy(&buf, body)
	if err := errors.Join(err, body.Close()); err != nil {
		return nil, err
	}
	content := bytes.Clone(buf.Bytes())
	if len(content) > MaxManifestSize || d.Algorithm().FromBytes(content) != d {
		return nil, nil
	}
	r.keepContent(ctx, d, content)
	r.cache.content.put(d, content, len(content)+entryCost)
	r.sizes.put(d, int64(len(content)))
	r.sizes.read.put(d, time.Now(), 1)
	return content, nil
}

// justRead is a manifest that was read so lately that it is taken to be there.
func (r *Registry) justRead(path string, size int64) ([]byte, bool) {
	d := blobFromPath(path)
	if d == "" {
		return nil, false
	}
	if at, ok := r.sizes.read.get(d); !ok || time.Since(at) > existenceTTL {
		return nil, false
	}
	content, ok := r.cache.content.get(d)
	return content, ok && int64(len(content)) == size
}
