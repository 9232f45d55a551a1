package fusefs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"registryfs/layout"
)

func TestErrno(t *testing.T) {
	for _, c := range []struct {
		err  error
		want syscall.Errno
	}{
		{nil, 0},
		{context.Canceled, syscall.EINTR},
		{context.DeadlineExceeded, syscall.EIO},
		{layout.ErrDigestMismatch, syscall.EBADMSG},
		{layout.ErrTooLarge, syscall.EFBIG},
		{layout.ErrInUse, syscall.EBUSY},
		{layout.ErrNotEmpty, syscall.ENOTEMPTY},
		{layout.ErrManifestInvalid, syscall.EINVAL},
		{layout.ErrManifestBlobUnknown, syscall.EINVAL},
		{layout.ErrLinkInvalid, syscall.EINVAL},
		{layout.ErrNameInvalid, syscall.EINVAL},
		{layout.ErrTagInvalid, syscall.EINVAL},
		{layout.ErrDigestInvalid, syscall.EINVAL},
		{layout.ErrOutOfOrder, syscall.EINVAL},
		{layout.ErrCorrupt, syscall.EIO},
		{syscall.ENOSPC, syscall.ENOSPC},
		{syscall.EDQUOT, syscall.EDQUOT},
		{syscall.EROFS, syscall.EROFS},
		{syscall.EMFILE, syscall.EMFILE},
		{syscall.ENFILE, syscall.ENFILE},
		{syscall.ENOMEM, syscall.ENOMEM},
		{syscall.ENAMETOOLONG, syscall.ENAMETOOLONG},
		{syscall.EFBIG, syscall.EFBIG},
		{syscall.ESTALE, syscall.ESTALE},
		{fs.ErrNotExist, syscall.ENOENT},
		{fs.ErrExist, syscall.EEXIST},
		{fs.ErrPermission, syscall.EACCES},
		{fs.ErrInvalid, syscall.EINVAL},
		{errors.ErrUnsupported, syscall.EOPNOTSUPP},

		// Absence and use have types of their own.
		{layout.RepositoryUnknownError{}, syscall.ENOENT},
		{layout.ManifestUnknownError{}, syscall.ENOENT},
		{layout.BlobUnknownError{}, syscall.ENOENT},
		{layout.TagUnknownError{}, syscall.ENOENT},
		{layout.RevisionTaggedError{}, syscall.EBUSY},
		{layout.BlobInUseError{}, syscall.EBUSY},

		// A driver's numbers mean something to the driver only.
		{syscall.ENOENT, syscall.ENOENT},
		{syscall.EACCES, syscall.EACCES},
		{syscall.EPERM, syscall.EACCES},
		{syscall.ENOSYS, syscall.EOPNOTSUPP},
		{syscall.ENOTSUP, syscall.EOPNOTSUPP},
		{syscall.EISDIR, syscall.EIO},
		{syscall.EAGAIN, syscall.EIO},
		{syscall.EINTR, syscall.EIO},
		{syscall.ECONNREFUSED, syscall.EIO},
		{io.ErrUnexpectedEOF, syscall.EIO},
		{errors.New("anything"), syscall.EIO},

		// Of several the kinds of layout count first.
		{errors.Join(fs.ErrNotExist, layout.ErrCorrupt), syscall.EIO},
		{errors.Join(fs.ErrInvalid, layout.ErrTooLarge), syscall.EFBIG},
		{&os.PathError{Op: "open", Path: "/x", Err: syscall.ENOSPC}, syscall.ENOSPC},
		{errNoDelete, syscall.EPERM},
		{errReadOnly, syscall.EROFS},
		{errCross, syscall.EXDEV},
		{refuse(syscall.EBUSY, fs.ErrNotExist.Error(), ""), syscall.EBUSY},
	} {
		if got := toErrno(c.err); got != c.want {
			t.Errorf("toErrno(%v) = %v, want %v", c.err, got, c.want)
		}
		if c.err == nil {
			continue
		}
		if got := toErrno(fmt.Errorf("put x: %w", errors.Join(c.err, errors.New("close")))); got != c.want {
			t.Errorf("toErrno(%v, wrapped) = %v, want %v", c.err, got, c.want)
		}
	}
}

// TestErrnoTable checks that no row hides a later one, and that nothing is ever
// answered that the kernel would not ask again after.
func TestErrnoTable(t *testing.T) {
	rows := append(append([]struct {
		err   error
		errno syscall.Errno
	}{}, errnos...), kinds...)
	for _, p := range passed {
		rows = append(rows, struct {
			err   error
			errno syscall.Errno
		}{p, p})
	}
	for _, r := range rows {
		if got := toErrno(r.err); got != r.errno {
			t.Errorf("toErrno(%v) = %v, want its row's %v", r.err, got, r.errno)
		}
		if r.errno == syscall.ENOSYS || r.errno == syscall.EAGAIN || r.errno == 0 {
			t.Errorf("the row of %v answers %v", r.err, r.errno)
		}
	}
}
