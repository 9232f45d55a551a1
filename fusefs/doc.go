// Package fusefs shows a registry's storage as a mounted file system.
//
// The tree:
//
//	README.txt
//	repositories/<name...>/_blobs/sha256/<hex>      layers and configs linked here
//	repositories/<name...>/_manifests/sha256/<hex>  every revision, tagged or not
//	repositories/<name...>/_tags/<tag>              the tag's manifest
//	info/<name...>/_descriptors/<tag>               what is in the manifest and behind it, in JSON
//	info/<name...>/_digests/<tag>                   symlink to the manifest
//	info/<name...>/_history/<tag>/<time>-<digest>   what the tag has pointed to
//	info/<name...>/_referrers/sha256/<hex>/<hex>    symlinks to what has the first as its subject
//	info/<name...>/_uploads/<id>                    uploads in progress
//	blobs/sha256/<first two hex>/<hex>              the whole store
//	lost/{untagged,unreferenced,dangling,corrupt}/  what the newest check has found
//	raw/                                            the storage driver's own tree
//	.registryfs/{stats,errors,uploads,config}       not listed, there by name
//
// An entry of lost/ is named by its path in repositories/ or blobs/ with '+' for
// '/', and holds what is stored: a manifest, a blob, or the link that leads
// nowhere. A listing shows the record of the check, for one request. Whoever looks
// at an entry does not find it if it is no longer so, as far as few requests tell,
// and then it is gone from the listing too. Removing an entry looks thoroughly and
// unlinks the manifest, deletes the blob, or removes the link or tag.
//
// # Nodes
//
// What the kernel knows by a number is a node; what it is, is an object: one
// type for each kind of directory or file, in the file named after it. An
// object knows names and digests of the registry and never a driver's path.
// Nodes are identified by a keyed hash (ident.go): all names of one digest are
// one node, a tag is a new node whenever it points to something else.
//
// # Writes
//
// A file being written is a draft (draft.go) with a node of its own, so that
// neither its size nor its bytes can be seen through the file it is to replace.
// For a new name the kernel gets that node from CREATE. For a name that exists,
// OPEN answers ESTALE once; the kernel then looks the name up again, which the
// caller is answered with the draft and everybody else with the file as it is.
// A draft is committed by FLUSH, FSYNC or, if it is staged, by RENAME, and only
// the layout package decides whether its bytes may become content.
//
// # Caching in the kernel
//
// Digest-named files are cached for long, tags and listings for Options.TagTTL,
// drafts not at all. A commit queues notifications for the names it changed;
// one goroutine that holds no lock sends them (notify.go).
//
// # Limitations
//
// Bytes read by passthrough, straight from the local file, are not hashed
// again; the registry does not do so either. Renames across repositories or
// kinds, symbolic links, device files and fallocate are refused. A memory map
// of a file being written is not supported. A tag with the name of one of a
// repository's directories in info/ is not shown there.
package fusefs
