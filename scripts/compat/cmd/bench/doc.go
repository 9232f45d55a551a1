// Command bench measures registryfs against the native file system below it
// and against what FUSE itself costs (command floor), and prints a table:
//
//	./scripts/bench                       every task; about half an hour
//	./scripts/bench read put              two of them
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
// The ordinary user of read is nobody, who needs fusermount3 and a /dev/fuse that
// is open to all; without, a row says what is missing.
//
// Everything it makes lies in one temporary directory and is removed, mounts
// included, when it ends, fails or is interrupted.
package main
