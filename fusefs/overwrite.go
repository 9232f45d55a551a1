package fusefs

import (
	"context"
	"crypto/rand"
	"regexp"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"
)

// newDraft makes a draft under a name of a directory. It is not registered:
// that is for names that do not exist otherwise.
func (s *fsys) newDraft(dir key, name string, p place) *draft {
	var k key
	rand.Read(k[:])
	return &draft{s: s, key: k, born: time.Now(), dir: dir, name: name, place: p}
}

// overwrite makes the draft for a file that is opened for writing.
func overwrite(ctx context.Context, parent *node, dir directory, name string, f *found) (*draft, error) {
	c, ok := dir.(container)
	if !ok {
		return nil, errFixed
	}
	p, err := c.place(ctx, name, false)
	if err != nil {
		return nil, err
	}
	src, ok := f.obj.(replaceable)
	if !ok {
		return nil, errFixed
	}
	in, named := src.content()
	b := &base{found: *f, digest: in.digest, named: named, mtime: f.attr.mtime, in: in}
	s := src.system()
	d := s.newDraft(parent.key, name, p)
	d.base = b
	return d, nil
}

// replaceable is a file whose content may be replaced. named says that its
// name is its digest.
type replaceable interface {
	object
	content() (in *lazyReader, named bool)
	system() *fsys
}

// staged tells a file that is to be renamed from one with its final name: it
// has mkstemp's signature. Names do not tell: sedXXXXXX is a legal tag. The
// umask is taken off the mode already; sed makes its files under one of 0700.
// Under a umask that leaves only the owner something, such as 077, every new
// file may look like that, so there it says nothing.
func staged(flags, mode, umask uint32) bool {
	const mkstemp = syscall.O_RDWR | syscall.O_EXCL
	const others = 0o044
	return flags&(syscall.O_ACCMODE|syscall.O_EXCL) == mkstemp && mode&0o777 == 0o600&^umask && umask&others != others
}

// temporary tells names that programs give to files they rename or remove:
// rsync's .NAME.XXXXXX, vim's .NAME.swp and NAME~. None is legal as a tag.
func temporary(name string) bool {
	return name[0] == '.' || name[len(name)-1] == '~'
}

var rsyncTemp = regexp.MustCompile(`^\.([0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128})\.[0-9A-Za-z]{6}$`)

// stagedWant guesses what a staged file will be named: rsync's temporary name
// has the final name in it, and in raw/ the directory has the digest.
func (s *fsys) stagedWant(dir key, name string) digest.Digest {
	n := s.nodes.find(dir)
	if n == nil {
		return ""
	}
	_, obj := s.nodes.get(n.id)
	if r, ok := obj.(*rawDir); ok {
		return s.reg.Raw().Want(r.path.Join("data"))
	}
	m := rsyncTemp.FindStringSubmatch(name)
	if m == nil {
		return ""
	}
	if alg := algorithmOf(obj); alg != "" {
		return digest.NewDigestFromEncoded(alg, m[1])
	}
	return ""
}
