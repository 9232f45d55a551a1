package images

import (
	"fmt"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Standard is what the tests and the demo look at: a real image, versions that
// share layers, a tag that has moved, an index, docker's two media types, an
// artifact with a subject, a signature, and names that nest and that share
// prefixes. busybox is the program of Debian's busybox-static.
func Standard(busybox []byte) ([]Push, error) {
	base, err := BusyboxLayer(busybox)
	if err != nil {
		return nil, err
	}
	s := standard{base: base}
	for _, add := range []func() error{s.addBusybox, s.addVersions, s.addNested, s.addIndexes, s.addReferrers} {
		if err := add(); err != nil {
			return nil, err
		}
	}
	return s.pushes, nil
}

type standard struct {
	base   Blob
	pushes []Push
}

func (s *standard) push(c *Content, repository string, tags ...string) {
	for _, tag := range tags {
		s.pushes = append(s.pushes, Push{Repository: repository, Tag: tag, Content: c})
	}
}

func (s *standard) addBusybox() error {
	c, err := Image{
		Platform: v1.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Config:   v1.Config{Env: []string{"PATH=/bin"}, Cmd: []string{"sh"}},
		Layers:   []Blob{s.base},
	}.Build()
	if err != nil {
		return err
	}
	s.push(c, "library/busybox", "1.35.0", "1.35", "latest")
	return nil
}

// app is version v of a program on top of busybox.
func (s *standard) app(name, v string, docker bool, platform v1.Platform) (*Content, error) {
	lib, err := NewLayer(File{Name: "opt/", Mode: 0o755}, File{Name: "opt/lib.sh", Mode: 0o644, Data: []byte("say() { echo \"$@\"; }\n")})
	if err != nil {
		return nil, err
	}
	program := fmt.Sprintf("#!/bin/sh\n. /opt/lib.sh\nsay %s %s on %s\n", name, v, platform.Architecture)
	top, err := NewLayer(File{Name: "opt/" + name, Mode: 0o755, Data: []byte(program)})
	if err != nil {
		return nil, err
	}
	return Image{
		Docker:   docker,
		Platform: platform,
		Config: v1.Config{
			Env:    []string{"PATH=/bin:/opt"},
			Cmd:    []string{name},
			Labels: map[string]string{"org.opencontainers.image.version": v},
		},
		Layers: []Blob{s.base, lib, top},
	}.Build()
}

func (s *standard) addVersions() error {
	for _, v := range []struct {
		version string
		tags    []string
	}{
		{"0.1.2", []string{"0.1.2", "latest"}},
		{"0.1.20", []string{"0.1.20", "latest", "latest-dev"}},
		{"1.2-rc", []string{"1.2-rc", "latest-dev"}},
		{"1.2", []string{"1.2", "latest"}},
	} {
		c, err := s.app("app", v.version, false, amd64)
		if err != nil {
			return err
		}
		s.push(c, "team/app", v.tags...)
	}
	return s.addApps("team/app-extra")
}

func (s *standard) addNested() error {
	return s.addApps("a", "a/1b", "bar/c", "foo/d/in")
}

// addApps adds a repository with one version for each name.
func (s *standard) addApps(names ...string) error {
	for _, name := range names {
		c, err := s.app("tool", name, false, amd64)
		if err != nil {
			return err
		}
		s.push(c, name, "1.2", "latest")
	}
	return nil
}

var (
	amd64 = v1.Platform{OS: "linux", Architecture: "amd64"}
	arm64 = v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}
)

func (s *standard) addIndexes() error {
	for _, i := range []struct {
		repository string
		docker     bool
	}{{"team/multi", false}, {"team/docker", true}} {
		var children []*Content
		for _, p := range []v1.Platform{amd64, arm64} {
			c, err := s.app("multi", "2.0", i.docker, p)
			if err != nil {
				return err
			}
			children = append(children, c)
		}
		index, err := Index(children...)
		if err != nil {
			return err
		}
		s.push(index, i.repository, "2.0", "latest")
		s.push(children[0], i.repository, "2.0-amd64")
	}
	return nil
}

func (s *standard) addReferrers() error {
	signed, err := s.app("signed", "1.0", false, amd64)
	if err != nil {
		return err
	}
	sbom, err := Artifact(signed, NewBlob(sbomType, []byte(`{"spdxVersion":"SPDX-2.3","name":"signed"}`)))
	if err != nil {
		return err
	}
	fallback, err := Fallback(sbom)
	if err != nil {
		return err
	}
	signature, err := Signature(signed)
	if err != nil {
		return err
	}
	const repository = "team/signed"
	s.push(signed, repository, "1.0")
	s.push(sbom, repository, "")
	s.push(fallback, repository, FallbackTag(signed))
	s.push(signature, repository, FallbackTag(signed)+".sig")
	return nil
}
