// Package ahead wraps a remote StorageDriver so that walking its tree costs a
// few flat listings instead of a request for each directory and file.
//
// Three directories listed in sequence are taken for a walk. From there on a
// stream lists flat, a page at a time and a bounded number of pages ahead of the
// walker, and what it has read answers the walker's listings, its look-ups and,
// where an ETag proves it, the content of small files. The stream stops when the
// walker leaves. A walker that jumps gets a new stream where it is: nothing is
// read to get there. One directory listed alone costs what it always did.
//
// A walk that asks only for the names of directories, under Names, has them listed
// one by one, the next ones before it asks: most of what a flat listing would read is
// below them.
//
// Programs that write, such as rsync, list nothing. They look up name after name,
// most of which are not there. StatNamed answers them from single pages, read where
// they are, from what it has found not to be there, and from what was written.
//
// # How old an answer may be
//
// The context says who asks. Without a mark every call goes to the driver
// inside: so does all that prepares a change. Under Adding, of a name about to be
// made, only the answer that there is none yet may be one of before. That, and any
// answer under Reading, is at most Options.TTL old; but that there is a directory,
// which any file below it shows, may be as old as the walk's listing. Under Listing
// an answer is as old as the walk's own listing, as that of any tool is, but no
// directory is listed twice from pages older than the TTL, so that a second walk
// sees what is there then.
//
// What is written through the Driver is seen at once: a page whose request began
// before the write had ended is not asked about what was written. What others
// write is seen by the rules above.
//
// # Bounds
//
// Options.MaxEntries files are held in all, the least recently used dropped
// first, and nothing once no walk has asked for some seconds.
package ahead
