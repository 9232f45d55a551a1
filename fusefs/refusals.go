package fusefs

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"time"

	"registryfs/layout"
)

// refusal is an error that the user must be able to read: the kernel passes on
// no more than a number.
type refusal struct {
	errno  syscall.Errno
	reason string
	remedy string
}

func (r *refusal) Error() string { return r.reason }

func refuse(errno syscall.Errno, reason, remedy string) error {
	return &refusal{errno, reason, remedy}
}

// The refusals that more than one kind of directory has.
var (
	errReadOnly = refuse(syscall.EROFS, "the mount is read-only",
		"mount it without ro, on a store whose config.yml has no maintenance.readonly")
	errNoDelete = refuse(syscall.EPERM, "deletes are off",
		"mount with --allow-delete, or set storage.delete.enabled in the registry's config.yml")
	errDerived = refuse(syscall.EROFS, "what is below info/ is derived and cannot be written",
		"write into repositories/")
	errLost = refuse(syscall.EPERM, "lost/ shows what the newest check has found and takes no new names",
		"write into repositories/, and run registryfs check for what is lost now")
	errStore = refuse(syscall.EPERM, "blobs/ shows the whole store and takes no new names",
		"copy the file into repositories/<name>/_blobs or into raw/")
	errCollected = refuse(syscall.EPERM, "a blob of the store is not removed by hand, others may use it",
		"remove it from the repository's _blobs and let garbage collection free it")
	errFixed = refuse(syscall.EPERM, "this name is part of the mount",
		"README.txt at the top of the mount says where content goes")
	errCross     = refuse(syscall.EXDEV, "a rename stays within one directory of one kind", "copy the file, then remove the old name")
	errNoDevice  = refuse(syscall.EPERM, "a registry has only files and directories", "write a regular file")
	errNoSetAttr = refuse(syscall.EOPNOTSUPP, "attributes are made from the manifests and cannot be set", "put annotations into the manifest")
	errNoSymlink = refuse(syscall.EPERM, "a registry has no symbolic links", "copy the file, or ln it, to make a tag")
)

// refusals keeps the newest errors for .registryfs/errors and logs each once.
type refusals struct {
	log *slog.Logger

	mu     sync.Mutex // guards the following
	newest []string   // a ring
	next   int
}

const keptRefusals = 256

// quiet errors are answers, not refusals: programs ask to find out.
func quiet(errno syscall.Errno) bool {
	switch errno {
	case syscall.ENOENT, syscall.EEXIST, syscall.EINTR, syscall.ENODATA, syscall.ERANGE, syscall.ENOTEMPTY, syscall.ESTALE:
		return true
	}
	return false
}

// note records err, which became errno, and returns errno.
func (r *refusals) note(op, path string, err error) syscall.Errno {
	errno := toErrno(err)
	if !quiet(errno) {
		remedy := layout.Remedy(err)
		var own *refusal
		if errors.As(err, &own) {
			remedy = own.remedy
		}
		if remedy == "" {
			remedy = systemRemedies[errno]
		}
		r.record(op, path, errno.Error(), err.Error(), remedy)
	}
	return errno
}

// systemRemedies are for what the store refuses, or its own file system, and for
// errors without a remedy of their own.
var systemRemedies = map[syscall.Errno]string{
	syscall.ENOSPC: "free space in the store, then copy the file again",
	syscall.EDQUOT: "free space or raise the quota of the store's owner, then copy the file again",
	syscall.EACCES: "give the user who mounts, or the credentials, the right to read and write the store",
	syscall.EROFS:  "the store itself is on a read-only file system",
	syscall.EMFILE: "raise the limit of open files (ulimit -n) of the mounting process",
	syscall.ENFILE: "close files, or raise the limit of open files",

	syscall.EIO:          "see that the store can be reached and is whole (registryfs check), then try again",
	syscall.ENOMEM:       "free memory on this machine, then try again",
	syscall.ENAMETOOLONG: "use a shorter name",
	syscall.EFBIG:        "the store's own file system takes no larger files: move the store to one that does",
	syscall.EINVAL:       "README.txt at the top of the mount says what goes where",
	syscall.EBUSY:        "remove what uses it first",
	syscall.EOPNOTSUPP:   "the store cannot do that: copy the file and remove the old one",
}

// record keeps one line for .registryfs/errors and logs it.
func (r *refusals) record(op, path, answer, reason, remedy string) {
	line := fmt.Sprintf("%s %s %s: %s: %s", time.Now().UTC().Format(time.RFC3339), op, path, answer, reason)
	if remedy != "" {
		line += "; " + remedy
	}
	line = strings.ReplaceAll(line, "\n", " ") + "\n"
	r.log.Warn("refused", "op", op, "path", path, "answer", answer, "reason", reason, "remedy", remedy)

	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.newest) < keptRefusals {
		r.newest = append(r.newest, line)
		return
	}
	r.newest[r.next] = line
	r.next = (r.next + 1) % keptRefusals
}

// text is the content of .registryfs/errors, the oldest line first.
func (r *refusals) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.newest[r.next:], "") + strings.Join(r.newest[:r.next], "")
}
