// Command bench measures registryfs against the native file system below it
// and against what FUSE itself costs (command floor), and prints a table:
//
//	./scripts/bench                       every task; about half an hour
//	./scripts/bench read put              two of them
//	./scripts/bench s3                    those on S3; an hour with the other programs
//	./scripts/bench --peers=false s3      without the other programs
//	./scripts/bench --runs 9 --verbose    the least, median and largest of nine runs
//	./scripts/bench --quick               small sizes: does it still work?
//
// Both sides of a ratio are taken in turn within each run, and the ratio is the
// median of the runs' ratios: what else the machine does, and does differently
// a minute later, cancels out.
//
// # Tasks
//
//	read    a blob of 1 GiB, by cat and in reads of 1 MiB, against the file itself:
//	        warm (in the page cache) and cold, as root and as an ordinary user
//	raw     ls -lR raw/ of 12,500 files in 22,300 directories, against the floor
//	tags    ls -lR repositories/ of 40,000 tags in 200 repositories
//	rsync   rsync -a raw/ to the local disk, against rsync of the directory; twice
//	memory  what is resident while 100,000 and 1,000,000 entries are listed
//	put     a manifest copied in, against a file written and fsynced
//	open    open, read and close of a tag and of a link file, against the floor
//
// Those on S3 measure near (on loopback) and far (20 ms before each answer), count
// the requests, and compare with a program on the SDK that does the least that
// does the task (command raw, a new process each time, as the mounts are), with
// rclone mount and with s3fs:
//
//	s3list     ls -lR of the store's own tree
//	s3digests  every repository, tag and digest
//	s3rsync    a backup of everything, and another one to the same place; its floor is
//	           the same of a tree in memory
//	s3read     a blob of 1 GiB from one end to the other; its floor is the raw program
//	           and a read of zeros through FUSE at once, and beside them a file being
//	           written if the mount has a disk cache
//	s3random   64 KiB here and there in a large blob
//	s3first    small files that nothing is known of yet, to their first byte
//	s3put      a blob of 256 MiB copied in; its floor is the raw program and, at once,
//	           cp through FUSE to what hashes
//	s3again    a blob that the disk cache has, against a local file
//	s3memory   what was resident at most in all tasks before it
//
// The ordinary user of read is nobody, who needs fusermount3 and a /dev/fuse that
// is open to all; without, a row says what is missing.
//
// Everything it makes lies in one temporary directory and is removed, mounts
// included, when it ends, fails or is interrupted.
package main
