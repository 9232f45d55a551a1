package layout

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
)

// BlobStore is every blob of the registry, linked by a repository or not. What
// its tree holds beside blobs of known algorithms is seen in RawTree only.
type BlobStore struct {
	r *Registry
}

// Algorithms lists the digest algorithms of the store, sorted. sha256 is always
// there.
func (s BlobStore) Algorithms(ctx context.Context) ([]string, error) {
	algs, err := s.r.algorithms(ctx, blobsPath)
	names := make([]string, len(algs))
	for i, a := range algs {
		names[i] = string(a)
	}
	return names, err
}

// Shards yields the directories of an algorithm, named after the first two
// letters of what is in them, in no order.
func (s BlobStore) Shards(ctx context.Context, alg string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for info, err := range drivers.ListInfo(ctx, s.r.driver, blobAlgorithmPath(alg)) {
			if isAbsent(err) {
				return
			}
			if err != nil {
				yield(Entry{}, fmt.Errorf("list shards of %s: %w", alg, err))
				return
			}
			if !info.IsDir() || !isShard(baseName(info.Path())) {
				continue
			}
			if !yield(entryOf(info), nil) {
				return
			}
		}
	}
}

// Shard describes one of them. It is fs.ErrNotExist if there is none.
func (s BlobStore) Shard(ctx context.Context, alg, name string) (Entry, error) {
	if !isShard(name) {
		return Entry{}, fmt.Errorf("shard %q of %s: %w", name, alg, fs.ErrNotExist)
	}
	info, err := s.r.driver.Stat(ctx, blobShardPath(alg, name))
	if err != nil {
		return Entry{}, fmt.Errorf("stat shard of %s: %w", alg, err)
	}
	if !info.IsDir() {
		return Entry{}, fmt.Errorf("shard %q of %s: %w", name, alg, fs.ErrNotExist)
	}
	return entryOf(info), nil
}

// All yields the blobs of one shard, in order. It is one streaming walk, so
// sizes and times cost no request each.
func (s BlobStore) All(ctx context.Context, alg, shard string) iter.Seq2[Descriptor, error] {
	return func(yield func(Descriptor, error) bool) {
		if !isShard(shard) || !digest.Algorithm(alg).Available() {
			return
		}
		for info, err := range drivers.WalkInfo(ctx, s.r.driver, blobShardPath(alg, shard), "") {
			if isAbsent(err) {
				return
			}
			if err != nil {
				yield(Descriptor{}, fmt.Errorf("list blobs of %s/%s: %w", alg, shard, err))
				return
			}
			d := blobFromPath(info.Path())
			if d == "" {
				continue
			}
			if !yield(Descriptor{Digest: d, Size: info.Size(), ModTime: info.ModTime()}, nil) {
				return
			}
		}
	}
}

// Each yields every blob of all algorithms, in one streaming walk.
func (s BlobStore) Each(ctx context.Context) iter.Seq2[Descriptor, error] {
	return func(yield func(Descriptor, error) bool) {
		for f, err := range s.r.Raw().Walk(ctx, RawBlobs) {
			if err != nil {
				yield(Descriptor{}, err)
				return
			}
			if f.Blob != "" && !yield(Descriptor{Digest: f.Blob, Size: f.Size, ModTime: f.ModTime}, nil) {
				return
			}
		}
	}
}

// Stat describes a blob. The error is BlobUnknownError if there is none.
func (s BlobStore) Stat(ctx context.Context, d digest.Digest) (Descriptor, error) {
	b, err := s.r.statBlob(ctx, d)
	if err != nil {
		return Descriptor{}, err
	}
	return Descriptor{Digest: d, Size: b.size, ModTime: b.modTime}, nil
}

// Open opens a blob for reading. The error is BlobUnknownError if there is
// none. The bytes are the stored ones, not verified.
func (s BlobStore) Open(ctx context.Context, d digest.Digest) (*BlobReader, error) {
	return s.open(ctx, d, s.r.openFile)
}

// OpenSized is Open for a blob of known size: in a remote store that is no
// request, and that there is none, fs.ErrNotExist, may come of the first read.
func (s BlobStore) OpenSized(ctx context.Context, d digest.Digest, size int64) (*BlobReader, error) {
	return s.open(ctx, d, func(ctx context.Context, path string) (*BlobReader, error) {
		return s.r.openSized(ctx, path, size)
	})
}

func (s BlobStore) open(ctx context.Context, d digest.Digest, openFile func(context.Context, string) (*BlobReader, error)) (*BlobReader, error) {
	if err := validate(d); err != nil {
		return nil, BlobUnknownError{Digest: d}
	}
	b, err := openFile(ctx, blobDataPath(d))
	if isAbsent(err) {
		s.r.cache.forget(d)
		return nil, BlobUnknownError{Digest: d}
	}
	if err != nil {
		return nil, fmt.Errorf("open blob %s: %w", d, err)
	}
	return b, nil
}

// SetModTime sets the time of a blob's data, where the store can.
func (s BlobStore) SetModTime(ctx context.Context, d digest.Digest, t time.Time) error {
	if err := validate(d); err != nil {
		return BlobUnknownError{Digest: d}
	}
	err := drivers.Chtimes(ctx, s.r.driver, blobDataPath(d), t)
	s.r.cache.stats.forget(d)
	if isAbsent(err) {
		return BlobUnknownError{Digest: d}
	}
	if err != nil {
		return fmt.Errorf("set time of blob %s: %w", d, err)
	}
	return nil
}

func isShard(name string) bool {
	return len(name) == 2 && strings.Trim(name, "0123456789abcdef") == ""
}

// statBlob is the size and time of a blob's data, not older than existenceTTL.
func (r *Registry) statBlob(ctx context.Context, d digest.Digest) (blobStat, error) {
	if err := validate(d); err != nil {
		return blobStat{}, BlobUnknownError{Digest: d}
	}
	if s, ok := r.cache.stat(d); ok {
		return s, nil
	}
	return r.statBlobNow(ctx, d)
}

// statBlobNow is statBlob past the cache.
func (r *Registry) statBlobNow(ctx context.Context, d digest.Digest) (blobStat, error) {
	seen := time.Now()
	info, err := r.driver.Stat(ctx, blobDataPath(d))
	if isAbsent(err) || err == nil && info.IsDir() {
		r.cache.forget(d)
		return blobStat{}, BlobUnknownError{Digest: d}
	}
	if err != nil {
		return blobStat{}, fmt.Errorf("stat blob %s: %w", d, err)
	}
	s := blobStat{size: info.Size(), modTime: info.ModTime(), seen: seen}
	r.cache.putStat(d, s)
	return s, nil
}

// maxInMemory is how large a blob may be to be read whole.
const maxInMemory = 64 << 20

// readBlob reads a whole blob and verifies it. The error is BlobUnknownError if
// there is none, ErrCorrupt if its bytes are others. They are shared: the caller
// must not change them.
func (r *Registry) readBlob(ctx context.Context, d digest.Digest) ([]byte, error) {
	s, err := r.statBlob(ctx, d)
	if err != nil {
		return nil, err
	}
	return r.readSized(ctx, d, s.size)
}

// readSized is readBlob of a blob whose size is known.
func (r *Registry) readSized(ctx context.Context, d digest.Digest, size int64) ([]byte, error) {
	if size > maxInMemory {
		return nil, fmt.Errorf("read blob %s of %d bytes: %w", d, size, ErrTooLarge)
	}
	if content, ok := r.cache.content.get(d); ok && int64(len(content)) == size {
		return content, nil
	}
	if content := r.cachedContent(ctx, d, size); d.Algorithm().FromBytes(content) == d {
		r.cache.content.put(d, content, len(content)+entryCost)
		return content, nil
	}
	content, err := r.driver.GetContent(ctx, blobDataPath(d))
	if isAbsent(err) {
		r.cache.forget(d)
		return nil, BlobUnknownError{Digest: d}
	}
	if err != nil {
		return nil, fmt.Errorf("read blob %s: %w", d, err)
	}
	if got := d.Algorithm().FromBytes(content); got != d {
		r.cache.forget(d)
		return nil, fmt.Errorf("blob %s: %w: its %d bytes have digest %s", d, ErrCorrupt, len(content), got)
	}
	r.keepContent(ctx, d, content)
	r.cache.content.put(d, content, len(content)+entryCost)
	return content, nil
}

// readSmall is readBlob for what should be a manifest or a config: larger ones than
// a manifest may be are ErrTooLarge. Of a remote store it is one request, and none
// for what is on disk; that the blob is there still is then not asked.
func (r *Registry) readSmall(ctx context.Context, d digest.Digest) ([]byte, error) {
	if !r.IsRemote() {
		return r.readSmallNow(ctx, d)
	}
	if validate(d) != nil {
		return nil, BlobUnknownError{Digest: d}
	}
	if content, ok := r.cache.content.get(d); ok {
		return content, nil
	}
	if content := r.cachedContent(ctx, d, -1); d.Algorithm().FromBytes(content) == d {
		r.cache.content.put(d, content, len(content)+entryCost)
		return content, nil
	}
	content, err := r.readManifest(ctx, d)
	if isAbsent(err) {
		return nil, BlobUnknownError{Digest: d}
	}
	if err != nil {
		return nil, fmt.Errorf("read blob %s: %w", d, err)
	}
	if content == nil {
		return r.readSmallNow(ctx, d) // which tells what is wrong with it
	}
	return content, nil
}

func (r *Registry) readSmallNow(ctx context.Context, d digest.Digest) ([]byte, error) {
	s, err := r.statBlob(ctx, d)
	if err != nil {
		return nil, err
	}
	if s.size > MaxManifestSize {
		return nil, fmt.Errorf("read blob %s of %d bytes: %w", d, s.size, ErrTooLarge)
	}
	return r.readBlob(ctx, d)
}
