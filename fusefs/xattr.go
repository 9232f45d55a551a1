package fusefs

import (
	"context"
	"sort"
	"strconv"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

const xattrPrefix = "user.oci."

var (
	_ = (attributed)((*tagFile)(nil))
	_ = (attributed)((*digestFile)(nil))
)

func (f *tagFile) xattrs(ctx context.Context) (map[string]string, error) {
	return f.s.manifestAttrs(ctx, f.digest, f.size)
}

// xattrs of a blob that is no manifest are its digest and size.
func (f *digestFile) xattrs(ctx context.Context) (map[string]string, error) {
	if f.size > layout.MaxManifestSize {
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
	if err != nil {
		return out, nil // a config or a layer: not a manifest
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
		set("annotation."+k, v)
	}
	return out, nil
}

// tagsOf lists the tags of the repository in which the manifest was found that
// point to it. It reads every tag, so it is answered by name and not listed.
func (s *fsys) tagsOf(ctx context.Context, n *node, d digest.Digest) (string, bool) {
	dir, ok := s.nodes.parentObject(n).(*linksDir)
	if !ok || dir.kind != manifestLinks {
		return "", false
	}
	var out []string
	for tag, err := range dir.repo.Tags().All(ctx) {
		if err != nil {
			return "", false
		}
		if t, err := dir.repo.Tags().Get(ctx, tag); err == nil && t.Digest == d {
			out = append(out, string(tag))
		}
	}
	sort.Strings(out)
	return strings.Join(out, "\n"), true
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
		if tags, ok := s.tagsOf(ctx, n, f.digest); ok {
			return answerXattr(dest, tags)
		}
		return 0, fuse.ENODATA
	}
	values, err := a.xattrs(ctx)
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
	values, err := a.xattrs(request(cancel, h))
	if err != nil {
		return 0, s.fail("listxattr", n, "", err)
	}
	names := make([]string, 0, len(values))
	for k := range values {
		names = append(names, xattrPrefix+k+"\x00")
	}
	sort.Strings(names)
	return answerXattr(dest, strings.Join(names, ""))
}

// SetXAttr implements fuse.RawFileSystem. Not EPERM: cp -a and install take
// that for a failure of the copy.
func (s *fsys) SetXAttr(<-chan struct{}, *fuse.SetXAttrIn, string, []byte) fuse.Status {
	return fuse.Status(syscall.EOPNOTSUPP)
}

// RemoveXAttr implements fuse.RawFileSystem.
func (s *fsys) RemoveXAttr(<-chan struct{}, *fuse.InHeader, string) fuse.Status {
	return fuse.Status(syscall.EOPNOTSUPP)
}
