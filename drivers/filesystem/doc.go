// Package filesystem is the storage driver for a directory of the local disk,
// in the tree and with the parameters of the registry's own:
//
//	rootdirectory  where the tree begins; made when first written to
//	               (default /var/lib/registry)
//	maxthreads     how many calls run at once (default 100, at least 25)
//
// # Writes
//
// What is written goes into a temporary file beside the target, is synced, and
// renamed over it; then the directory is synced, and so is each directory in
// which a missing one had to be made. A crash leaves the old file or the new
// one, and at most a temporary file. A symbolic link at the target is replaced,
// not followed. Modes are 0666 and 0777 less the umask.
//
// Delete and Chtimes are not synced, as rm and touch are not.
//
// # Uploads that go on
//
// A Writer that is closed without Commit leaves its bytes beside the target as
// .<name>.registryfs-partial, which no method shows. An appending Writer takes
// that file over: no two writers ever share a file, and what a crash interrupts
// while it is open is lost. If there is none, it goes on after a copy of the
// file at the target. That is how the uploads of a registry look, which writes
// <uuid>/data in place, and whoever reads the target sees no change before
// Commit. Putting, moving or deleting a file throws its unfinished write away.
//
// # What is not shown
//
// Neither the driver's temporary files nor those of a registry, which after a
// crash lie around as <name>.<uuid>.tmp, can be seen by any method; writing
// under such a name is an InvalidPathError. Delete of their directory removes
// them. A symbolic link stands for what it points to, and is left out if that
// is nothing, or a directory the link lies in. So are sockets, pipes, devices.
package filesystem
