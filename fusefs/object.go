package fusefs

import (
	"context"
	"io/fs"
	"iter"
	"time"
)

// object is what a node is. Its methods may run in parallel.
type object interface {
	attr(ctx context.Context) (attr, error)
}

// found is an object as a directory hands it out, with the identity and the
// attributes that were at hand anyway.
type found struct {
	key  key
	obj  object
	attr attr
}

// directory is an object with names in it. lookup answers fs.ErrNotExist for a
// name it does not have.
type directory interface {
	object
	lookup(ctx context.Context, name string) (found, error)

	// list yields the names, in the order in which rm -r should take them. An
	// entry whose obj is nil is looked up by whoever wants its attributes; one
	// that has gone by then was never there.
	list(ctx context.Context) iter.Seq2[entry, error]
}

// entry is one name of a listing.
type entry struct {
	name string
	found
}

// What else an object may be able to do. An object without the ability refuses
// with the reason that refusals.go gives.
type (
	// opener is a file that can be read.
	opener interface {
		open(ctx context.Context, n *node) (reader, uint32, error)
	}

	// glancer is a directory whose names take long to look up. A listing shows
	// what glance finds; without an obj that is the type of the file, and the
	// rest is looked up when somebody wants it.
	glancer interface {
		glance(ctx context.Context, name string) (found, error)
	}

	// container is a directory that new content can be put into.
	container interface {
		directory
		// place says what the name is for: what a commit makes of a draft
		// under it, or nil for a name that can only be staged. excl is for a
		// name that must be new.
		place(ctx context.Context, name string, excl bool) (place, error)
	}

	// remover is a directory whose names can be removed.
	remover interface {
		unlink(ctx context.Context, name string) error
	}

	// folder is a directory that directories can be made in and removed from.
	folder interface {
		mkdir(ctx context.Context, name string) (found, error)
		rmdir(ctx context.Context, name string) error
	}

	// renamer moves its own files to other names within itself.
	renamer interface {
		rename(ctx context.Context, oldName, newName string) error
	}

	// timeSetter keeps modification times. Others accept and forget them.
	timeSetter interface {
		setModTime(ctx context.Context, t time.Time) error
	}

	// linkTarget is a symbolic link.
	linkTarget interface {
		readlink(ctx context.Context) (string, error)
	}

	// attributed has user.oci.* attributes.
	attributed interface {
		xattrs(ctx context.Context, n *node) (map[string]string, error)
	}
)

var errNoEntry = fs.ErrNotExist
