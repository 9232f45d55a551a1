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
	b := &base{found: *f, digest: in.digest, named: named, in: in}
	s := src.system()
	d := s.newDraft(parent.key, name, p)
	d.base = b
	d.followLocked()
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
// has mkstemp's signature. Names do not tell: sedXXXXXX is a legal tag. Under a
// umask that leaves others nothing, such as 077, every new file has mode 0600;
// sed and perl set one for the moment of their mkstemp, so there the names they
// give have to tell after all.
func staged(name string, flags, mode, umask uint32) bool {
	const mkstemp = syscall.O_RDWR | syscall.O_EXCL
	if flags&(syscall.O_ACCMODE|syscall.O_EXCL) != mkstemp || mode&0o777 != 0o600 {
		return false
	}
	return 0o666&^umask != 0o600 || inPlaceTemp.MatchString(name)
}

var inPlaceTemp = regexp.MustCompile(`^(sed|XX)[0-9A-Za-z]{6}$`)

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
