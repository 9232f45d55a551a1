// Package blobcache keeps blobs of a remote store on the local disk, by digest.
//
// Content is a matter of the digest, so nothing in here grows stale; whether a
// blob exists is for the store to say and not for this package. Any number of
// processes of one user share a directory, and any of them may be killed at any
// moment.
//
//	<dir>/v1/lock                       held while something is evicted
//	<dir>/v1/sha256/ab/<hex>            a whole blob
//	<dir>/v1/sha256/ab/<hex>.part       a sparse file with some of its blocks
//	<dir>/v1/sha256/ab/<hex>.map        checksums of the blocks that are there
//
// # Rules
//
// A .part is written by the one process that has it locked. A block's checksum
// is written after the block, is itself checked, and is compared at each read
// of a blob that is not verified: a crash loses blocks and never makes wrong
// ones. When all blocks are there the blob is hashed, in the background, with low
// priority and after a reader's burst, renamed and synced, and the .map says so of
// the file with this inode, size and time. A whole blob of which it does not is
// served by checksums at first and hashed meanwhile; from then on its file is
// handed out. Small ones are hashed at once.
//
// A reader never waits for the cache. What is read is copied to a bounded queue
// and left out if that is full, if the disk is, or if another process is filling
// the same blob. Of reads here and there the blocks are kept that they have whole.
// What was left out of a blob that was read for the most part is fetched again
// when nobody reads it. Whoever has a file open keeps it when it is evicted.
//
// The access times of the files are set by hand and say what was used last.
//
// # Refused
//
// A directory of somebody else, one that others can write to, and a symbolic
// link in its place. Blobs larger than half of the cache are not kept, nor are
// those of other algorithms than sha256.
package blobcache
