package layout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"registryfs/drivers"
)

// closure is all that a tagged manifest needs in its repository, looked up and
// not written yet: so a tag appears only when everything below it is there.
type closure struct {
	p       Repository
	seen    map[digest.Digest]bool // manifests looked into
	links   []newLink              // in the order to write them: parts before the whole
	missing []string
}

// newLink is a link the repository needs and does not have.
type newLink struct {
	path   string
	name   digest.Digest // after which the link is named
	target digest.Digest // what it says
	from   RepositoryName
}

// closure finds what the manifest d needs. It is ErrManifestBlobUnknown, naming
// all that is missing, if that is anything.
func (p Repository) closure(ctx context.Context, d digest.Digest, m manifest) (*closure, error) {
	c := &closure{p: p, seen: map[digest.Digest]bool{d: true}}
	if err := c.add(ctx, m, p.r.served.sources(d)); err != nil {
		return nil, fmt.Errorf("what manifest %s names: %w", d, err)
	}
	if len(c.missing) > 0 {
		return nil, withRemedy(
			fmt.Errorf("manifest %s, put into repository %s, %w: %s", d, p.name, ErrManifestBlobUnknown, strings.Join(c.missing, ", ")),
			c.remedy())
	}
	return c, nil
}

func (c *closure) remedy() string {
	put := "put them into _blobs or _manifests of this repository first"
	if c.p.r.opts.References == ReferencesSource {
		return put + ", or copy the manifest from a repository of this mount that has them"
	}
	return put
}

// add finds what m needs; sources are repositories it was served from.
func (c *closure) add(ctx context.Context, m manifest, sources []RepositoryName) error {
	for _, child := range m.children {
		if err := c.addChild(ctx, child, sources); err != nil {
			return err
		}
	}
	return c.addBlobs(ctx, m, sources)
}

func (c *closure) addBlobs(ctx context.Context, m manifest, sources []RepositoryName) error {
	blobs := slices.DeleteFunc(m.blobs(), func(desc v1.Descriptor) bool { return !m.mustExist(desc) })
	found := make([]finding, len(blobs))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, desc := range blobs {
		g.Go(func() (err error) {
			found[i], err = c.p.find(ctx, desc.Digest, sources, layerLinkPath)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, desc := range blobs {
		c.note(desc, found[i], layerLinkPath)
	}
	return nil
}

func (c *closure) addChild(ctx context.Context, child v1.Descriptor, sources []RepositoryName) error {
	if c.seen[child.Digest] {
		return nil
	}
	c.seen[child.Digest] = true
	f, err := c.p.find(ctx, child.Digest, sources, revisionLinkPath)
	if err != nil {
		return err
	}
	if f.target == "" {
		if c.p.r.opts.IndexChildren.requires(platformOf(child)) {
			c.note(child, f, revisionLinkPath)
		}
		return nil
	}
	content, err := c.p.r.readBlob(ctx, f.target)
	if err != nil {
		return err
	}
	// Only its presence is asked for: an older format has its place in an index
	// that was pushed when it was served.
	if m, err := parseManifest(content); err == nil {
		of := slices.Concat(sources, c.p.r.served.sources(child.Digest))
		if err := c.add(ctx, m, of); err != nil {
			return err
		}
	}
	c.note(child, f, revisionLinkPath)
	return nil
}

func platformOf(desc v1.Descriptor) *Platform {
	if desc.Platform == nil {
		return nil
	}
	return &Platform{OS: desc.Platform.OS, Architecture: desc.Platform.Architecture}
}

func (c *closure) note(desc v1.Descriptor, f finding, linkPath linkPathFunc) {
	path := linkPath(c.p.name, desc.Digest)
	switch {
	case f.target == "":
		c.missing = append(c.missing, string(desc.Digest))
	case !f.here && !slices.ContainsFunc(c.links, func(l newLink) bool { return l.path == path }):
		c.links = append(c.links, newLink{path: path, name: desc.Digest, target: f.target, from: f.from})
	}
}

// contents are the links to be written.
func (c *closure) contents() []drivers.Content {
	files := make([]drivers.Content, len(c.links))
	for i, l := range c.links {
		files[i] = linkContent(l.path, l.target)
	}
	return files
}

// finding is where something named by a manifest was found.
type finding struct {
	target digest.Digest  // the blob it is; "" if it was not found
	here   bool           // the repository has the link
	from   RepositoryName // the one that has it otherwise; "" is the store
}

type linkPathFunc func(RepositoryName, digest.Digest) string

// find looks for d where the reference policy lets this repository have it
// from. What has no data in the store is not found anywhere.
func (p Repository) find(ctx context.Context, d digest.Digest, sources []RepositoryName, linkPath linkPathFunc) (finding, error) {
	target, err := p.r.linked(ctx, linkPath(p.name, d))
	if target != "" || err != nil {
		return finding{target: target, here: true}, err
	}
	switch p.r.opts.References {
	case ReferencesSource:
		for _, source := range sources {
			target, err := p.r.linked(ctx, linkPath(source, d))
			if target != "" || err != nil {
				return finding{target: target, from: source}, err
			}
		}
	case ReferencesStore:
		_, err := p.r.statBlob(ctx, d)
		if err == nil {
			return finding{target: d}, nil
		}
		if !isAbsent(err) {
			return finding{}, err
		}
	}
	return finding{}, nil
}

// linked is the digest that the link at path leads to, or "" if it is missing
// or damaged or leads nowhere.
func (r *Registry) linked(ctx context.Context, path string) (digest.Digest, error) {
	l, err := r.readLink(ctx, path)
	if isAbsent(err) || errors.Is(l.problem, ErrCorrupt) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if _, err := r.statBlob(ctx, l.digest); err != nil {
		if isAbsent(err) {
			return "", nil
		}
		return "", err
	}
	return l.digest, nil
}
