package fusefs

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

const (
	xattrPrefix      = "user.oci."
	annotationPrefix = "annotation." // after it
)

var (
	_ = (attributed)((*tagFile)(nil))
	_ = (attributed)((*digestFile)(nil))
)

func (f *tagFile) xattrs(ctx context.Context, _ *node) (map[string]string, error) {
	return f.s.manifestAttrs(ctx, f.digest, f.size)
}

// xattrs of a blob that is no manifest are its digest and size. What was found in
// _blobs only is taken for none, since to see it would mean to read it.
func (f *digestFile) xattrs(ctx context.Context, n *node) (map[string]string, error) {
	isLayer := !slices.ContainsFunc(f.s.nodes.parentObjects(n), func(parent object) bool {
		dir, ok := parent.(*linksDir)
		return !ok || dir.kind != blobLinks
	})
	if isLayer || f.size > layout.MaxManifestSize {
		return blobAttrs(f.digest, f.size), nil
	}
	return f.s.manifestAttrs(ctx, f.digest, f.size)
}

func blobAttrs(d digest.Digest, size int64) map[string]string {
	return map[string]string{
		"digest": string(d),
		"size":   strconv.FormatInt(size, 10),
	}
}

func (s *fsys) manifestAttrs(ctx context.Context, d digest.Digest, size int64) (map[string]string, error) {
	out := blobAttrs(d, size)
	desc, err := s.reg.Describe(ctx, d)
	if isAbsent(err) || errors.Is(err, layout.ErrCorrupt) || errors.Is(err, layout.ErrTooLarge) {
		return out, nil // reading the file tells
	}
	if err != nil {
		return nil, err
	}
	set := func(name, value string) {
		if value != "" {
			out[name] = value
		}
	}
	set("mediatype", desc.MediaType)
	set("artifacttype", desc.ArtifactType)
	set("subject", string(desc.Subject))
	set("platform", desc.Platform)
	set("created", desc.Created)
	for k, v := range desc.Annotations {
		out[annotationPrefix+k] = v
	}
	return out, nil
}

// tagsOf lists the tags that point to the manifest, as REPOSITORY:TAG, of the
// repositories in which it was found: it is one file in all of them, and the
// kernel asks for the file. It reads every tag, so it is answered by name and not
// listed.
func (s *fsys) tagsOf(ctx context.Context, n *node, d digest.Digest) (string, error) {
	repos := make(map[layout.RepositoryName]layout.Repository)
	for _, parent := range s.nodes.parentObjects(n) {
		if dir, ok := parent.(*linksDir); ok && dir.kind == manifestLinks {
			repos[dir.repo.Name()] = dir.repo
		}
	}
	if len(repos) == 0 {
		return "", errNoEntry
	}
	var out []string
	for name, repo := range repos {
		for tag, err := range repo.Tags().All(ctx) {
			if err != nil {
				return "", err
			}
			t, err := repo.Tags().Digest(ctx, tag)
			if err != nil && !isAbsent(err) {
				return "", err
			}
			if t.Digest == d {
				out = append(out, string(name)+":"+string(tag))
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n"), nil
}

// GetXAttr implements fuse.RawFileSystem. The kernel and ls ask for names of
// their own on every file; those are answered without a look.
func (s *fsys) GetXAttr(cancel <-chan struct{}, h *fuse.InHeader, name string, dest []byte) (uint32, fuse.Status) {
	defer s.stats.done(opXattr, s.stats.begin())
	short, ours := strings.CutPrefix(name, xattrPrefix)
	n, obj := s.nodes.get(h.NodeId)
	a, ok := obj.(attributed)
	if !ours || !ok {
		return 0, fuse.ENODATA
	}
	ctx := request(cancel, h)
	if f, isDigest := obj.(*digestFile); isDigest && short == "tags" {
		tags, err := s.tagsOf(ctx, n, f.digest)
		if isAbsent(err) {
			return 0, fuse.ENODATA
		}
		if err != nil {
			return 0, s.fail("getxattr", n, "", err)
		}
		return answerXattr(dest, tags)
	}
	values, err := a.xattrs(ctx, n)
	if err != nil {
		return 0, s.fail("getxattr", n, "", err)
	}
	v, ok := values[short]
	if !ok {
		return 0, fuse.ENODATA
	}
	return answerXattr(dest, v)
}

// answerXattr gives the size that is needed also where the buffer is too small.
func answerXattr(dest []byte, value string) (uint32, fuse.Status) {
	if len(dest) < len(value) {
		return uint32(len(value)), fuse.ERANGE
	}
	return uint32(copy(dest, value)), fuse.OK
}

// ListXAttr implements fuse.RawFileSystem.
func (s *fsys) ListXAttr(cancel <-chan struct{}, h *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	defer s.stats.done(opXattr, s.stats.begin())
	n, obj := s.nodes.get(h.NodeId)
	a, ok := obj.(attributed)
	if !ok {
		return 0, fuse.OK
	}
	values, err := a.xattrs(request(cancel, h), n)
	if err != nil {
		return 0, s.fail("listxattr", n, "", err)
	}
	return answerXattr(dest, xattrList(values))
}

// What the kernel passes on: XATTR_NAME_MAX, and XATTR_SIZE_MAX of a value and of
// the list of names.
const (
	maxXattrName = 255
	maxXattrSize = 64 << 10
)

// xattrList names the attributes, those of the manifest itself before its
// annotations. What the kernel would not pass on is left out: else all the others
// could not be seen either.
func xattrList(values map[string]string) string {
	order := func(name string) int {
		if strings.HasPrefix(name, annotationPrefix) {
			return 1
		}
		return 0
	}
	names := slices.SortedFunc(maps.Keys(values), func(a, b string) int {
		return cmp.Or(order(a)-order(b), strings.Compare(a, b))
	})
	var list strings.Builder
	for _, name := range names {
		full := xattrPrefix + name
		if len(full) > maxXattrName || strings.Contains(full, "\x00") || len(values[name]) > maxXattrSize {
			continue
		}
		if list.Len()+len(full)+1 > maxXattrSize {
			break
		}
		list.WriteString(full + "\x00")
	}
	return list.String()
}

// SetXAttr implements fuse.RawFileSystem. Not EPERM: cp -a and install take
// that for a failure of the copy.
func (s *fsys) SetXAttr(_ <-chan struct{}, in *fuse.SetXAttrIn, name string, _ []byte) fuse.Status {
	return s.refuseXAttr("setxattr", &in.InHeader, name)
}

// RemoveXAttr implements fuse.RawFileSystem.
func (s *fsys) RemoveXAttr(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return s.refuseXAttr("removexattr", h, name)
}

// refuseXAttr says nothing about what is not a user's own, such as the ACLs that
// cp -a tries to set on every file.
func (s *fsys) refuseXAttr(op string, h *fuse.InHeader, name string) fuse.Status {
	if !strings.HasPrefix(name, "user.") {
		return s.stats.refuse(opXattr, syscall.EOPNOTSUPP)
	}
	defer s.stats.done(opXattr, s.stats.begin())
	n, _ := s.nodes.get(h.NodeId)
	return s.fail(op, n, "", errNoSetAttr)
}
