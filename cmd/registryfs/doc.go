// Command registryfs mounts the storage of a container registry.
//
//	registryfs mount [SOURCE] MOUNTPOINT [-o OPTION,...] [--OPTION...]
//	registryfs umount MOUNTPOINT [--lazy]
//	registryfs du SOURCE [REPOSITORY...]
//	registryfs copy SOURCE DEST
//	registryfs version
//
// # SOURCE
//
// A directory is a registry's root directory: it contains docker/registry/v2,
// or will. A file is a registry's config.yml; its storage section is read by
// the registry's rules, REGISTRY_STORAGE_... variables included. Without a
// SOURCE it is the user's own store, registryfs/store in the data directory,
// which is made when absent; nothing else is ever made but the directory DEST of a copy. "inmemory:" is a store
// that ends with the mount, for tests.
//
// # Options
//
// Each is a flag, a word of -o and a variable: --tag-ttl, -o tag_ttl= and
// REGISTRYFS_TAG_TTL. The command line goes before the environment, and a later
// word before an earlier one. A configuration's read-only mode holds whatever
// the options say. Installed as /sbin/mount.registryfs the command is a helper
// of mount(8), so that a line in fstab is enough.
//
// # Life of a mount
//
// The command returns once the mount answers, and a process of its own serves
// it. SIGINT and SIGTERM unmount; a mount that is in use is detached, and
// the process ends with the last file that is closed, or with a second signal.
// What a killed process left at the mount point is cleared by the next mount.
//
// # Exit status
//
// 0 for success, 1 for a failure, 2 for wrong usage. As a mount helper, 32 and
// 1, as mount(8) wants it.
package main
