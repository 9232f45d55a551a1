package fusefs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// descriptorsDir is _descriptors: for each tag a file of JSON that tells what is
// in the manifest and behind it.
type descriptorsDir struct {
	derived
	s    *fsys
	repo layout.Repository
}

var _ = (glancer)((*descriptorsDir)(nil))

func (d *descriptorsDir) path() string { return "/info/" + string(d.repo.Name()) + "/_descriptors" }

func (d *descriptorsDir) attr(ctx context.Context) (attr, error) {
	return d.s.repoDirAttr(ctx, d.path(), d.repo.Name(), layout.Dir{Kind: layout.DirTags})
}

func (d *descriptorsDir) key(tag string) key {
	return d.s.secret.of("descriptor", string(d.repo.Name()), tag)
}

func (d *descriptorsDir) lookup(ctx context.Context, name string) (found, error) {
	tag, err := parseInfoTag(name)
	if err != nil {
		return found{}, errNoEntry
	}
	t, err := d.repo.Tags().Get(ctx, tag)
	if err != nil {
		return found{}, err
	}
	f := &descriptorFile{d: d, tag: t}
	text, err := f.text(ctx)
	if err != nil {
		if t.Problem == nil && !errors.Is(err, layout.ErrCorrupt) {
			return found{}, err
		}
		return found{d.key(name), &brokenFile{d.s, err, t.Tagged}, readOnlyAttr(0, t.Tagged, mutable)}, nil
	}
	f.size = int64(len(text))
	return found{d.key(name), f, readOnlyAttr(f.size, t.Tagged, mutable)}, nil
}

// glance finds the name only: to know how long the file is the manifest has to be
// read, and its config, and a listing is mostly made for the names.
func (d *descriptorsDir) glance(ctx context.Context, name string) (found, error) {
	tag, err := parseInfoTag(name)
	if err != nil {
		return found{}, errNoEntry
	}
	_, err = d.repo.Tags().Digest(ctx, tag)
	return found{key: d.key(name), attr: attr{mode: syscall.S_IFREG}}, err
}

func (d *descriptorsDir) list(ctx context.Context) iter.Seq2[entry, error] {
	return d.s.listInfoTags(ctx, d.repo)
}

// descriptorFile is what is known of one tag. It is made anew whenever it is
// opened; what takes reading is remembered by digest.
type descriptorFile struct {
	derived
	d    *descriptorsDir
	tag  layout.Tag
	size int64
}

var _ = (opener)((*descriptorFile)(nil))

func (f *descriptorFile) attr(context.Context) (attr, error) {
	return readOnlyAttr(f.size, f.tag.Tagged, mutable), nil
}

func (f *descriptorFile) open(ctx context.Context, _ *node) (reader, uint32, error) {
	now, err := f.d.s.tagNow(ctx, f.d.repo, &f.tag)
	if err == nil && now.Digest != f.tag.Digest {
		now, err = f.d.repo.Tags().Get(ctx, f.tag.Name)
		f = &descriptorFile{d: f.d, tag: now}
	}
	if err != nil {
		return nil, 0, err
	}
	text, err := f.text(ctx)
	// Direct: a child of an index may have come since, and the text be longer.
	return textReader(text), fuse.FOPEN_DIRECT_IO, err
}

// descriptor is the content of the file. The order of the keys is this one, that
// of the annotations by name.
type descriptor struct {
	Tag          layout.TagName    `json:"tag"`
	Digest       digest.Digest     `json:"digest"`
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Subject      digest.Digest     `json:"subject,omitempty"`
	Platforms    []string          `json:"platforms"`
	Created      string            `json:"created,omitempty"`
	Tagged       string            `json:"tagged"`
	Size         int64             `json:"size"`      // of the manifest
	TotalSize    int64             `json:"totalSize"` // with all that it names
	Annotations  map[string]string `json:"annotations"`
}

// taggedTime is without fractions: a store may tell them at one time and not at
// another.
const taggedTime = "2006-01-02T15:04:05Z"

func (f *descriptorFile) text(ctx context.Context) (string, error) {
	if f.tag.Problem != nil {
		return "", f.tag.Problem
	}
	reg := f.d.s.reg
	desc, err := reg.Describe(ctx, f.tag.Digest)
	if err != nil && !errors.Is(err, layout.ErrTooLarge) {
		return "", err
	}
	if err == nil && desc.Size != f.tag.Size {
		// What is in it was read before it was damaged.
		return "", fmt.Errorf("%w: manifest %s has %d bytes and should have %d", layout.ErrCorrupt, f.tag.Digest, f.tag.Size, desc.Size)
	}
	total, err := reg.TotalSize(ctx, f.tag.Digest)
	if errors.Is(err, layout.ErrTooLarge) {
		total, err = f.tag.Size, nil // no manifest, whatever else
	}
	if err != nil {
		return "", err
	}
	out := descriptor{
		Tag:          f.tag.Name,
		Digest:       f.tag.Digest,
		MediaType:    desc.MediaType,
		ArtifactType: desc.ArtifactType,
		Subject:      desc.Subject,
		Platforms:    strings.FieldsFunc(desc.Platform, func(r rune) bool { return r == ',' }),
		Created:      desc.Created,
		Tagged:       f.tag.Tagged.UTC().Format(taggedTime),
		Size:         f.tag.Size,
		TotalSize:    total,
		Annotations:  desc.Annotations,
	}
	if out.Annotations == nil {
		out.Annotations = map[string]string{}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err = enc.Encode(out) // ends with a newline
	return b.String(), err
}
