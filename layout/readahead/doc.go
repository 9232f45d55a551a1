// Package readahead reads files of a remote store by ranges, ahead of whoever
// reads them in order and exactly where they do not.
//
// A Pool is a store and the memory for reading it; a File is one open file of
// it. Each read of a File either belongs to a window or is a request of its own:
//
//   - A window begins at the beginning of the file, or where a second read goes
//     on where one has ended. It is fetched in parts, which are requests of
//     their own and are read while they come in. It holds a little more than is
//     read at first. More parts at once are under way each time its reader has
//     to wait, and larger ones the longer it goes on.
//   - All else is read by ranges of just what is asked, into the reader's own
//     buffer. Nothing is held of it.
//
// # Memory
//
// All that is held is taken from a drivers.Budget. Parts that a reader waits for
// are demanded, those ahead of it are only tried for; and what nobody has read
// for a moment is given back when somebody else waits for memory, the longest
// idle File first, its furthest bytes first. A read that gets no memory at all
// is a request of its own, so that it never waits for another reader or writer.
//
// # Faults
//
// A body that breaks or stalls is gone on with by another request from where it
// broke, a few times, with pauses. A request that the driver refuses is not
// repeated: it has been already. A file that ends before its size is ErrShort.
// A read that is interrupted gives up; what it waited for goes on for a moment,
// for the caller to come back, and is then cancelled. Close cancels all.
package readahead
