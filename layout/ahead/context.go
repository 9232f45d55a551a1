package ahead

import "context"

// mark says what an access is part of, and so how old its answer may be.
type mark uint8

const (
	exact   mark = iota // asks the store
	adding              // asks it for what is there; that nothing is may be as old as under reading
	reading             // not older than the TTL
	listing             // as old as the listing of a live walk
	names               // listing, and of the directories in it for their names only
	whole               // listing, and of all that is below the directory
)

type markKey struct{}

// Adding marks what makes a name that it expects to be new. Others may make the
// same one at any time, so that to have looked a moment before is as good.
func Adding(ctx context.Context) context.Context {
	return context.WithValue(ctx, markKey{}, adding)
}

// Reading marks the accesses of somebody who looks a name up or reads a file.
func Reading(ctx context.Context) context.Context {
	return context.WithValue(ctx, markKey{}, reading)
}

// Listing marks the accesses of somebody who lists directories.
func Listing(ctx context.Context) context.Context {
	return context.WithValue(ctx, markKey{}, listing)
}

// Names marks a ListInfo that may be followed by those of the directories in it, and
// not by accesses to what else is below them. Without a mark before, it is none.
func Names(ctx context.Context) context.Context {
	if markOf(ctx) != listing {
		return ctx
	}
	return context.WithValue(ctx, markKey{}, names)
}

// Whole marks a ListInfo that is to be followed by accesses to all that is below
// the directory. Without a mark before, it is none.
func Whole(ctx context.Context) context.Context {
	if markOf(ctx) != listing {
		return ctx
	}
	return context.WithValue(ctx, markKey{}, whole)
}

func markOf(ctx context.Context) mark {
	m, _ := ctx.Value(markKey{}).(mark)
	return m
}
