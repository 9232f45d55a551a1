// Package copier copies a registry's store, or some of its repositories, into
// another store: from disk to S3 and back, from bucket to bucket.
//
// Links and tags of a repository are read before its content is copied and written
// after it, so a source that a registry writes to at the same time gives a copy in
// which every tag is whole. In the copy a tag appears, or moves, only when all that
// it needs is there; one whose closure the source lacks is left out and named, and
// the rest goes on. Nothing is ever removed from the destination.
//
// # Again
//
// What was interrupted is begun again and finds what was done: nothing has its
// final name before it is whole. Content named by a digest is copied once; what is
// there in the same size is taken to be the same, which command check can prove.
// Links are compared by what they say, so a second run costs listings only. Files
// that a registry of version 3 does not know are copied as they are, again if size
// or time differ.
//
// # What is left out
//
// Uploads, unless they are asked for. Links of layers that lead nowhere, as a
// registry's own garbage collection leaves them, and tags that have a past and no
// present; both are counted. Empty directories, temporary files, what jobs keep in
// registryfs/, and files with names that a registry's driver does not allow.
//
// A repository whose name is not legal here, such as Example.com/app, is copied as
// files after all blobs, its tags last; whether they are whole is not looked at. That
// is with the whole store only: no pattern names it.
//
// # Memory
//
// A blob takes 90 to 135 bytes while a whole store is copied. The links of four
// repositories are held at once.
//
// # Times
//
// A destination that can keeps the time of every file. In an object store the
// entries of a tag's index are put in the order of their times, which is the history
// of the tag; two of one second may change places.
package copier
