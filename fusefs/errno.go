package fusefs

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"registryfs/layout"
)

// errnos is the one table from errors to numbers; the first match counts. It
// holds kinds only: lower packages know nothing of numbers.
var errnos = []struct {
	err   error
	errno syscall.Errno
}{
	{context.Canceled, syscall.EINTR},
	{context.DeadlineExceeded, syscall.EIO},     // the store does not answer
	{layout.ErrDigestMismatch, syscall.EBADMSG}, // as ext4 and XFS say for a bad checksum
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
}

// passed are the numbers of the local system that mean to our caller what they
// meant to the driver.
var passed = []syscall.Errno{
	syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EMFILE, syscall.ENFILE,
	syscall.ENOMEM, syscall.ENAMETOOLONG, syscall.EFBIG, syscall.ESTALE,
}

// kinds come last: an error of the tables above may be one of them as well.
var kinds = []struct {
	err   error
	errno syscall.Errno
}{
	{fs.ErrNotExist, syscall.ENOENT},
	{fs.ErrExist, syscall.EEXIST},
	{fs.ErrPermission, syscall.EACCES},
	{fs.ErrInvalid, syscall.EINVAL},
	{errors.ErrUnsupported, syscall.EOPNOTSUPP}, // never ENOSYS: the kernel would not ask again
}

// toErrno is what the kernel is told of err. go-fuse's own ToErrno does not
// unwrap and answers ENOSYS for what it does not know.
func toErrno(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	var own *refusal
	if errors.As(err, &own) {
		return own.errno
	}
	for _, row := range errnos {
		if errors.Is(err, row.err) {
			return row.errno
		}
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		for _, p := range passed {
			if errno == p {
				return p
			}
		}
	}
	for _, row := range kinds {
		if errors.Is(err, row.err) {
			return row.errno
		}
	}
	return syscall.EIO
}
