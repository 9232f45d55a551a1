package fusefs

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"registryfs/layout"
)

// rootDir is the top of the mount.
type rootDir struct{ s *fsys }

var rootNames = []string{"README.txt", "blobs", "info", "lost", "raw", "repositories"}

func (d *rootDir) attr(context.Context) (attr, error) {
	k := d.s.dirKey("/")
	return dirAttr(d.s.times.or(k, epoch), fixed), nil
}

func (d *rootDir) lookup(ctx context.Context, name string) (found, error) {
	switch name {
	case "README.txt":
		return d.s.text("/README.txt", func() string { return readme })
	case "repositories":
		return d.s.dir(ctx, "/repositories", &namesDir{d.s, ""})
	case "info":
		return d.s.dir(ctx, "/info", &infoNamesDir{d.s, ""})
	case "blobs":
		return d.s.dir(ctx, "/blobs", &storeDir{s: d.s})
	case "lost":
		return d.s.dir(ctx, "/lost", &lostDir{d.s})
	case "raw":
		return d.s.dir(ctx, "/raw", &rawDir{d.s, layout.RawPath("/")})
	case ".registryfs":
		return d.s.dir(ctx, "/.registryfs", &controlDir{d.s})
	}
	return found{}, errNoEntry
}

func (d *rootDir) list(context.Context) iter.Seq2[entry, error] { return listNames(rootNames) }

// listNames is a listing of names that are looked up one by one.
func listNames(names []string) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		for _, name := range names {
			if !yield(entry{name: name}, nil) {
				return
			}
		}
	}
}

// dir is a directory with its identity, which is its path in the mount.
func (s *fsys) dir(ctx context.Context, path string, d directory) (found, error) {
	a, err := d.attr(ctx)
	return found{key: s.dirKey(path), obj: d, attr: a}, err
}

const readme = `This is the storage of a container registry, mounted by registryfs.

repositories/<name>/_tags/<tag>              the tag's manifest (a regular file)
repositories/<name>/_manifests/sha256/<hex>  every manifest, tagged or not
repositories/<name>/_blobs/sha256/<hex>      layers and configs of the repository
info/<name>/_descriptors/<tag>               platforms, sizes, annotations ... for jq
info/<name>/_digests/<tag>                   symlink to the manifest: ls -l shows digests
info/<name>/_history/<tag>/                  what the tag has pointed to
info/<name>/_referrers/sha256/<hex>/         signatures, SBOMs ... of that manifest
info/<name>/_uploads/                        uploads in progress
blobs/sha256/<xx>/<hex>                      all blobs of the store
lost/{untagged,unreferenced,dangling,corrupt}/   what the newest "registryfs check" has found; empty before one
raw/                                         the storage tree itself: back this up

cp m.json repositories/app/_tags/v2          checks the manifest and sets the tag
cp repositories/a/_tags/v1 repositories/b/_tags/v1     promotes: links, no bytes move
rsync -a raw/ /backup/                       a registry can be started on the backup
rsync -a repositories/app/ /backup/app/      one repository; the same way back restores it
cp info/app/_history/v1/<entry> repositories/app/_tags/v1     rolls a tag back

rm lost/untagged/*                           where deletes are allowed: what is still so goes
cat blobs/$(echo <entry> | tr + /)           an entry of lost/ is a path in blobs/ or repositories/

A refused write says only "Invalid argument" or the like:
the reason and the remedy are the last lines of .registryfs/errors.
.registryfs/stats, uploads and config tell about this mount.
`

// textFile is a file whose content is made when it is opened.
type textFile struct {
	s    *fsys
	make func() string
}

func (s *fsys) text(path string, make func() string) (found, error) {
	f := &textFile{s, make}
	a, err := f.attr(context.Background())
	return found{key: s.secret.of("file", path), obj: f, attr: a}, err
}

func (f *textFile) attr(context.Context) (attr, error) {
	return readOnlyAttr(int64(len(f.make())), f.s.stats.start, mutable), nil
}

func (f *textFile) open(context.Context, *node) (reader, uint32, error) {
	// Direct: the text may be longer by now than the size the kernel knows.
	return textReader(f.make()), fuse.FOPEN_DIRECT_IO, nil
}

// controlDir is .registryfs: for people and scripts, hidden from listings so
// that rsync does not copy it.
type controlDir struct{ s *fsys }

var controlNames = []string{"config", "errors", "stats", "uploads"}

func (d *controlDir) attr(context.Context) (attr, error) { return dirAttr(epoch, fixed), nil }

func (d *controlDir) lookup(_ context.Context, name string) (found, error) {
	switch name {
	case "stats":
		return d.s.text("/.registryfs/stats", d.s.statsText)
	case "errors":
		return d.s.text("/.registryfs/errors", d.s.refused.text)
	case "config":
		return d.s.text("/.registryfs/config", func() string { return d.s.opts.Config })
	case "uploads":
		return d.s.text("/.registryfs/uploads", d.s.uploadsText)
	}
	return found{}, errNoEntry
}

// uploadsText names the files that are open for writing, one a line.
func (s *fsys) uploadsText() string {
	var b strings.Builder
	for _, path := range s.handles.uploading(s) {
		fmt.Fprintln(&b, path)
	}
	return b.String()
}

func (d *controlDir) list(context.Context) iter.Seq2[entry, error] { return listNames(controlNames) }

// StatFs implements fuse.RawFileSystem. Storage without bounds shows large
// ones: programs refuse to write to a full disk of 0 bytes.
func (s *fsys) StatFs(cancel <-chan struct{}, in *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	defer s.stats.done(opStatfs, s.stats.begin())
	space, err := s.reg.StatFS(request(cancel, in))
	if err != nil {
		const blocks = 1 << 38 // 1 PiB of 4 KiB
		space = layout.Space{BlockSize: 4096, Blocks: blocks, Free: blocks, Available: blocks, Files: 1 << 40, FilesFree: 1 << 40}
	}
	out.Bsize, out.Frsize = uint32(space.BlockSize), uint32(space.BlockSize)
	out.Blocks, out.Bfree, out.Bavail = space.Blocks, space.Free, space.Available
	out.Files, out.Ffree = space.Files, space.FilesFree
	out.NameLen = 255
	return fuse.OK
}

// Access implements fuse.RawFileSystem. With default_permissions the kernel
// does not ask; without, only the mounting user gets here.
func (s *fsys) Access(<-chan struct{}, *fuse.AccessIn) fuse.Status {
	return fuse.Status(syscall.ENOSYS)
}
