// Package layout reads and writes the registry's on-storage tree: blobs, links,
// manifests and tags.
//
// The tree is that of the CNCF distribution registry, byte for byte, so that a
// registry beside it serves what was written here:
//
//	/docker/registry/v2/
//	  blobs/<alg>/<first 2 hex>/<hex>/data
//	  repositories/<name>/
//	    _layers/<alg>/<hex>/link
//	    _manifests/revisions/<alg>/<hex>/link
//	    _manifests/tags/<tag>/current/link
//	    _manifests/tags/<tag>/index/<alg>/<hex>/link
//	    _uploads/<uuid>/{data,startedat}
//
// A link is a file that holds a digest and no newline. What it says counts, not
// what it is named: a blob known by its sha512 has a link of that name which
// holds the sha256 digest it is stored under.
//
// # Writing
//
// There is one way in: an Upload gathers the bytes, they are digested, verified
// and stored, and only then named, in the registry's order: blob, layer link,
// revision link, the tag's index link, the tag's current link. Whatever fails,
// and wherever, leaves at worst content nobody names, never a name without its
// content, and a tag points at the old manifest, whole, or the new. Every step
// can be repeated.
//
// What is stored already is not written again, but it is looked at: a manifest
// is compared byte for byte, a blob in a local store too, one in a remote store
// by size. Content that is damaged is replaced, which the registry never does.
//
// A manifest is checked by the rules of the registry's own parser and verifier.
// For a tag all it names must be there, by the rules of Options.
//
// # Refused
//
// Manifests of schema version 1, OCI artifact manifests, manifests by another
// digest than sha256, manifests that two parsers could read in two ways, and
// such of more than 4 MiB. They are shown and read where a registry has taken
// them in. Blobs are only unlinked, and deleted by package gc; RawTree removes anything.
//
// # Reading
//
// A listing shows what is there, and one odd or damaged name never fails it: a
// link that cannot be read or leads nowhere is a Descriptor with a Problem.
// Absence is always fs.ErrNotExist.
//
// # Cached
//
// Only what a digest decides: small manifests, what they say and name, 16 MiB
// in all. That a blob exists is believed for two seconds, so that a listing of
// tags asks once for each manifest. Tags and links are read every time.
//
// Of a remote store what a walk lists ahead answers the walk, and tags and links
// under Reading too if it is younger than the TTL: see package ahead. Without
// Reading or Listing, as in all that prepares a change, the store is asked; under
// Adding, for all but what is not there yet. The sizes of manifests and what they
// name are remembered by digest, in StateDir as well.
//
// Blobs of a remote store are also kept on disk, by package blobcache: what is
// there of a blob, or all, is not fetched again. Whether the blob exists is still
// asked of the store, but not by opening it. PastCaches reads the store's bytes.
package layout
