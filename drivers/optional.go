package drivers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"time"
)

// InfoLister is the ability to stream a directory with sizes and times.
type InfoLister interface {
	ListInfo(ctx context.Context, dir string) iter.Seq2[FileInfo, error]
}

// ListPaths is List of a driver that has ListInfo.
func ListPaths(ctx context.Context, l InfoLister, dir string) ([]string, error) {
	paths := []string{}
	for info, err := range l.ListInfo(ctx, dir) {
		if err != nil {
			return nil, err
		}
		paths = append(paths, info.Path())
	}
	return paths, nil
}

// ListInfo yields the direct children of dir, in no order. An error ends it.
// Size and time may be looked up only when asked for; a child that has gone by
// then has size 0 and the zero time. Fallback: List, then Stat of each child.
func ListInfo(ctx context.Context, d StorageDriver, dir string) iter.Seq2[FileInfo, error] {
	if l, ok := d.(InfoLister); ok {
		return l.ListInfo(ctx, dir)
	}
	return func(yield func(FileInfo, error) bool) {
		paths, err := d.List(ctx, dir)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, path := range paths {
			info, err := d.Stat(ctx, path)
			if isOdd(err) {
				continue
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(info, nil) {
				return
			}
		}
	}
}

// isOdd reports whether a child's error is its own: it has vanished, its name
// cannot be asked for, or it is nobody's to see. One such child must not fail
// the listing. A store that does not answer is another matter: leaving out what
// is there would let a sync tool delete it on the other side.
func isOdd(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) || errors.Is(err, fs.ErrPermission)
}

// InfoWalker is the ability to stream a whole subtree's files.
type InfoWalker interface {
	WalkInfo(ctx context.Context, from, startAfter string) iter.Seq2[FileInfo, error]
}

// WalkInfo yields every file (no directories) below from in the byte order of
// the full paths, which is that of an object store and not that of Walk, leaving
// out all up to and including startAfter if it is not empty. An error ends it.
// If from is not a directory it is a PathNotFoundError; after a startAfter there
// may be nothing instead. Fallback: ListInfo of each directory.
func WalkInfo(ctx context.Context, d StorageDriver, from, startAfter string) iter.Seq2[FileInfo, error] {
	if w, ok := d.(InfoWalker); ok {
		return w.WalkInfo(ctx, from, startAfter)
	}
	return func(yield func(FileInfo, error) bool) {
		if err := walkFlat(ctx, d, from, startAfter, yield); err != nil && !errors.Is(err, errStopWalk) {
			yield(nil, err)
		}
	}
}

// PageWalker is the ability to list flat one page at a time.
type PageWalker interface {
	WalkPage(ctx context.Context, from, startAfter string) (files []FileInfo, next string, err error)
}

// walkPageSize is how many files a page of the fallback has at most.
const walkPageSize = 1000

// WalkPage returns the next files that WalkInfo would yield, as many as one
// request gives, asked for in this call and not before. next is what to start
// the next page after, or "" if this was the last; a page may be empty and not
// the last. What is below from, if that is no directory, is nothing and no error.
// Fallback: WalkInfo, cut off.
func WalkPage(ctx context.Context, d StorageDriver, from, startAfter string) (files []FileInfo, next string, err error) {
	if w, ok := d.(PageWalker); ok {
		return w.WalkPage(ctx, from, startAfter)
	}
	for info, err := range WalkInfo(ctx, d, from, startAfter) {
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, "", err
		}
		if files = append(files, info); len(files) == walkPageSize {
			return files, info.Path(), nil
		}
	}
	return files, "", nil
}

// IsRemote reports whether each call to d is a request over a network: then
// listings are worth reading ahead and content worth keeping near. A driver says
// so by a method IsRemote() bool. Fallback: it is not.
func IsRemote(d StorageDriver) bool {
	r, ok := d.(interface{ IsRemote() bool })
	return ok && r.IsRemote()
}

// Requests is how many requests over a network d has made, by their kind in the
// store's own words; those made again count again. A driver says so by a method
// Requests() map[string]int64. Fallback: nil.
func Requests(d StorageDriver) map[string]int64 {
	if r, ok := d.(interface{ Requests() map[string]int64 }); ok {
		return r.Requests()
	}
	return nil
}

// Reloader is the ability to go on with other credentials.
type Reloader interface {
	Reload(ctx context.Context, params map[string]any) error
}

// Reload looks for the credentials again, in params and wherever else the driver
// has found them at first, for all requests from now on. On an error it goes on
// with those it has. A driver without any answers errors.ErrUnsupported.
func Reload(ctx context.Context, d StorageDriver, params map[string]any) error {
	if r, ok := d.(Reloader); ok {
		return r.Reload(ctx, params)
	}
	return ErrUnsupportedMethod{DriverName: d.Name()}
}

// ETag is the store's entity tag of the file that info describes, without
// quotes, or "" where there is none. That of a small object put whole is often
// the MD5 of its content, in hex, and then it proves a guess of the content; it
// may be anything else. A FileInfo carries it by a method ETag() string.
func ETag(info FileInfo) string {
	if t, ok := info.(interface{ ETag() string }); ok {
		return t.ETag()
	}
	return ""
}

// First is a file in the directory that info describes, the first one in the order
// of WalkInfo, if the store has told of it along with the directory; else nil. A
// FileInfo carries it by a method First() FileInfo.
func First(info FileInfo) FileInfo {
	if d, ok := info.(interface{ First() FileInfo }); ok {
		return d.First()
	}
	return nil
}

// ContentInfoGetter is the ability to get a file and its FileInfo at once.
type ContentInfoGetter interface {
	GetContentInfo(ctx context.Context, path string) ([]byte, FileInfo, error)
}

// GetContentInfo returns the whole file and its description, of one moment
// where the driver can do that. Fallback: Stat, then GetContent.
func GetContentInfo(ctx context.Context, d StorageDriver, path string) ([]byte, FileInfo, error) {
	if g, ok := d.(ContentInfoGetter); ok {
		return g.GetContentInfo(ctx, path)
	}
	info, err := d.Stat(ctx, path)
	if err != nil {
		return nil, nil, err
	}
	content, err := d.GetContent(ctx, path)
	if err != nil {
		return nil, nil, err
	}
	return content, info, nil
}

// FileOpener is the ability to hand out a local descriptor.
type FileOpener interface {
	OpenFile(ctx context.Context, path string) (*os.File, error)
}

// OpenFile opens the local file behind path for reading. A driver without one
// answers errors.ErrUnsupported.
func OpenFile(ctx context.Context, d StorageDriver, path string) (*os.File, error) {
	if o, ok := d.(FileOpener); ok {
		return o.OpenFile(ctx, path)
	}
	return nil, ErrUnsupportedMethod{DriverName: d.Name()}
}

// ConditionalPutter is the ability to create a file only if it is absent.
type ConditionalPutter interface {
	PutContentIfAbsent(ctx context.Context, path string, content []byte) error
}

// PutContentIfAbsent is PutContent for a path that must not exist: else the
// error is fs.ErrExist. Fallback: Stat, then PutContent, which two callers can
// both pass.
func PutContentIfAbsent(ctx context.Context, d StorageDriver, path string, content []byte) error {
	if p, ok := d.(ConditionalPutter); ok {
		return p.PutContentIfAbsent(ctx, path, content)
	}
	if !ValidPath(path) { // Stat takes the root
		return InvalidPathError{Path: path, DriverName: d.Name()}
	}
	_, err := d.Stat(ctx, path)
	if err == nil {
		return Error{DriverName: d.Name(), Detail: &fs.PathError{Op: "put", Path: path, Err: fs.ErrExist}}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return d.PutContent(ctx, path, content)
}

// Content is one whole file.
type Content struct {
	Path  string
	Bytes []byte
}

// BatchPutter is the ability to put several files at the price of about one.
type BatchPutter interface {
	PutContents(ctx context.Context, files []Content) error
}

// PutContents puts the files in the order given: when one is visible all before
// it are. All are durable when it returns nil; on an error a prefix of them may
// have been put. Fallback: PutContent one by one.
func PutContents(ctx context.Context, d StorageDriver, files []Content) error {
	if p, ok := d.(BatchPutter); ok {
		return p.PutContents(ctx, files)
	}
	for _, f := range files {
		if err := d.PutContent(ctx, f.Path, f.Bytes); err != nil {
			return err
		}
	}
	return nil
}

// RangeReader is the ability to read a bounded range with one request.
type RangeReader interface {
	ReadRange(ctx context.Context, path string, offset, length int64) (io.ReadCloser, error)
}

// ReadRange reads length bytes from offset on, fewer at the end of the file.
// A negative length is fs.ErrInvalid. Fallback: Reader, cut off.
func ReadRange(ctx context.Context, d StorageDriver, path string, offset, length int64) (io.ReadCloser, error) {
	if length < 0 {
		return nil, Error{DriverName: d.Name(), Detail: fmt.Errorf("read %s: length %d: %w", path, length, fs.ErrInvalid)}
	}
	if r, ok := d.(RangeReader); ok {
		return r.ReadRange(ctx, path, offset, length)
	}
	r, err := d.Reader(ctx, path, offset)
	if err != nil {
		return nil, err
	}
	return rangeBody{io.LimitReader(r, length), r}, nil
}

type rangeBody struct {
	io.Reader
	io.Closer
}

// CopySource is what the store behind d calls the file at path, for CopyFrom of
// another driver; nil if there is no such name. A driver says it by a method
// CopySource(path string) any.
func CopySource(d StorageDriver, path string) any {
	if s, ok := d.(interface{ CopySource(path string) any }); ok {
		return s.CopySource(path)
	}
	return nil
}

// ServerCopier is the ability to have a file copied within the store.
type ServerCopier interface {
	CopyFrom(ctx context.Context, source any, path string) error
}

// CopyFrom makes the file at path of d the same as source, a CopySource of another
// driver or of d itself, without a byte of it coming here. What the store tells of
// both, such as size and checksum, has been compared when it returns nil. A driver
// that cannot, or whose store is not that of source or has not the same user,
// answers errors.ErrUnsupported.
func CopyFrom(ctx context.Context, d StorageDriver, source any, path string) error {
	if c, ok := d.(ServerCopier); ok && source != nil {
		return c.CopyFrom(ctx, source, path)
	}
	return ErrUnsupportedMethod{DriverName: d.Name()}
}

// TimeSetter is the ability to set a file's or directory's modification time.
type TimeSetter interface {
	Chtimes(ctx context.Context, path string, mtime time.Time) error
}

// Chtimes sets the modification time. A driver that cannot answers
// errors.ErrUnsupported.
func Chtimes(ctx context.Context, d StorageDriver, path string, mtime time.Time) error {
	if s, ok := d.(TimeSetter); ok {
		return s.Chtimes(ctx, path, mtime)
	}
	return ErrUnsupportedMethod{DriverName: d.Name()}
}

// FSInfo is how much room a driver's storage has.
type FSInfo struct {
	BlockSize               int64 // bytes
	Blocks, Free, Available uint64
	Files, FilesFree        uint64
}

// SpaceReporter is the ability to tell how much room there is.
type SpaceReporter interface {
	StatFS(ctx context.Context) (FSInfo, error)
}

// StatFS reports the room in d. A driver that has no bounds answers
// errors.ErrUnsupported.
func StatFS(ctx context.Context, d StorageDriver) (FSInfo, error) {
	if s, ok := d.(SpaceReporter); ok {
		return s.StatFS(ctx)
	}
	return FSInfo{}, ErrUnsupportedMethod{DriverName: d.Name()}
}

// Leftovers are the files that writes have left which never ended: a driver does
// not show them anywhere else. So are, where a driver has any, empty directories.
type Leftovers interface {
	// All yields those below a directory, with size and time, in no order. An
	// error ends it; where there is no such directory there are none.
	All(ctx context.Context, from string) iter.Seq2[FileInfo, error]
	// Open reads one. It is fs.ErrNotExist if it is no leftover.
	Open(ctx context.Context, path string) (io.ReadCloser, error)
	// Remove removes one. It is fs.ErrNotExist if it is no leftover.
	Remove(ctx context.Context, path string) error
	// RemoveDir removes a directory if nothing at all is in it, and tells whether it
	// did: what somebody puts there meanwhile is not lost.
	RemoveDir(ctx context.Context, path string) (bool, error)
}

// LeftoversOf are the leftovers of a driver that says so by a method Leftovers()
// Leftovers. Fallback: there are none.
func LeftoversOf(d StorageDriver) Leftovers {
	if l, ok := d.(interface{ Leftovers() Leftovers }); ok {
		return l.Leftovers()
	}
	return noLeftovers{d.Name()}
}

type noLeftovers struct{ driver string }

func (noLeftovers) All(context.Context, string) iter.Seq2[FileInfo, error] {
	return func(func(FileInfo, error) bool) {}
}

func (n noLeftovers) Open(_ context.Context, path string) (io.ReadCloser, error) {
	return nil, PathNotFoundError{Path: path, DriverName: n.driver}
}

func (n noLeftovers) Remove(_ context.Context, path string) error {
	return PathNotFoundError{Path: path, DriverName: n.driver}
}

func (n noLeftovers) RemoveDir(context.Context, string) (bool, error) { return false, nil }
