package drivers

import (
	"context"
	"errors"
	"io"
	"time"
)

// StorageDriver keeps a registry's content as files addressed by absolute,
// slash-separated paths. The duties of both sides are in the package comment.
type StorageDriver interface {
	// Name is the name the driver was registered under.
	Name() string

	// GetContent returns the whole file. It is meant for small files.
	GetContent(ctx context.Context, path string) ([]byte, error)

	// PutContent makes content the whole of the file at path, creating parents.
	// Readers see the old bytes or the new ones, never a mixture.
	PutContent(ctx context.Context, path string, content []byte) error

	// Reader returns the file's bytes from offset on. An offset at or beyond
	// the end gives an empty reader; a negative one an InvalidOffsetError.
	Reader(ctx context.Context, path string, offset int64) (io.ReadCloser, error)

	// Writer writes the file at path. Nothing is visible there before Commit.
	// With append it goes on after what an earlier Writer left by Close without
	// Commit, or after an empty file.
	Writer(ctx context.Context, path string, append bool) (FileWriter, error)

	// Stat describes a file or directory. On error the FileInfo is nil.
	Stat(ctx context.Context, path string) (FileInfo, error)

	// List returns the full paths of dir's direct children, in no order.
	List(ctx context.Context, dir string) ([]string, error)

	// Move renames a file or a whole directory, replacing a file at dst.
	Move(ctx context.Context, src, dst string) error

	// Delete removes path and all below it, and nothing that merely shares a
	// prefix of its name.
	Delete(ctx context.Context, path string) error

	// Walk calls fn for every file and directory below from, each directory
	// before its content and the children of one sorted by name.
	Walk(ctx context.Context, from string, fn WalkFn, options ...func(*WalkOptions)) error
}

// FileInfo describes a file or a directory.
type FileInfo interface {
	// Path is the full path.
	Path() string
	// Size is in bytes; 0 for a directory.
	Size() int64
	// ModTime is when the content last changed; the zero time if not known.
	ModTime() time.Time
	// IsDir tells a directory from a file.
	IsDir() bool
}

// FileWriter is one file being written. It is not safe for concurrent use.
type FileWriter interface {
	io.WriteCloser

	// Size counts all bytes, those of earlier Writers included.
	Size() int64

	// Cancel throws away what was written. It is an error after Close or Commit.
	Cancel(ctx context.Context) error

	// Commit makes the bytes visible at the path, durably. Close must follow.
	Commit(ctx context.Context) error
}

// WalkFn is called for each entry of a walk. ErrSkipDir keeps the walk out of
// the directory it was called for, ErrFilledBuffer ends it without an error,
// and any other error ends it and is what Walk returns.
type WalkFn func(info FileInfo) error

// ErrSkipDir and ErrFilledBuffer are the results of a WalkFn with a meaning.
var (
	ErrSkipDir      = errors.New("skip this directory")
	ErrFilledBuffer = errors.New("we have enough entries")
)

// WalkOptions are the settings of one Walk.
type WalkOptions struct {
	// StartAfterHint lets a walk leave out all up to and including this path
	// in walk order.
	StartAfterHint string
}

// WithStartAfterHint sets WalkOptions.StartAfterHint.
func WithStartAfterHint(path string) func(*WalkOptions) {
	return func(o *WalkOptions) { o.StartAfterHint = path }
}

// FileInfoFields is a FileInfo made of plain fields.
type FileInfoFields struct {
	FullPath string
	Bytes    int64
	Modified time.Time
	Dir      bool
}

// Path implements FileInfo.
func (f FileInfoFields) Path() string { return f.FullPath }

// Size implements FileInfo.
func (f FileInfoFields) Size() int64 { return f.Bytes }

// ModTime implements FileInfo.
func (f FileInfoFields) ModTime() time.Time { return f.Modified }

// IsDir implements FileInfo.
func (f FileInfoFields) IsDir() bool { return f.Dir }
