package store

import (
	"fmt"
	"math/rand/v2"

	"registryfs/scripts/compat/internal/images"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Sizes say how large a generated store is.
type Sizes struct {
	Repositories int
	Tags         int // of each repository
	Moved        int // how many of those have pointed to another image before
	Images       int // of each repository, an index of two of them not counted
	Layers       int // of each image
	LayerBytes   int // of each layer's one file
	Seed         uint64
}

// bases is how many base layers the images of a whole store share.
const bases = 8

// Generate adds repositories of valid images. Their first layer is one of a
// few that the whole store shares, the last one their own, and those between
// are their repository's.
func (s *Store) Generate(sz Sizes) error {
	if sz.Images < 2 || sz.Layers < 2 {
		return fmt.Errorf("at least 2 images of 2 layers are needed, not %d of %d", sz.Images, sz.Layers)
	}
	g := generator{Sizes: sz, rand: rand.New(rand.NewPCG(sz.Seed, 0))}
	for range bases {
		l, err := g.layer()
		if err != nil {
			return err
		}
		g.bases = append(g.bases, l)
	}
	for i := range sz.Repositories {
		contents, err := g.contents()
		if err != nil {
			return err
		}
		if err := g.push(s, repositoryName(i), contents); err != nil {
			return err
		}
	}
	return nil
}

// repositoryName spreads repositories over names of one to three parts.
func repositoryName(i int) string {
	switch i % 3 {
	case 0:
		return fmt.Sprintf("service-%03d", i)
	case 1:
		return fmt.Sprintf("team-%d/app-%03d", i%10, i)
	default:
		return fmt.Sprintf("org-%d/group.%d/tool_%03d", i%4, i%10, i)
	}
}

type generator struct {
	Sizes
	rand  *rand.Rand
	bases []images.Blob
}

func (g *generator) layer() (images.Blob, error) {
	data := make([]byte, g.LayerBytes)
	for i := range data {
		data[i] = byte(g.rand.Uint32())
	}
	return images.NewLayer(images.File{Name: fmt.Sprintf("data/%x", g.rand.Uint64()), Mode: 0o644, Data: data})
}

// contents makes a repository's images, every fourth of them docker's, and an
// index of the first two.
func (g *generator) contents() ([]*images.Content, error) {
	layers := []images.Blob{g.bases[g.rand.IntN(len(g.bases))]}
	for range g.Layers - 2 {
		l, err := g.layer()
		if err != nil {
			return nil, err
		}
		layers = append(layers, l)
	}

	var contents []*images.Content
	for i := range g.Images {
		top, err := g.layer()
		if err != nil {
			return nil, err
		}
		c, err := images.Image{
			Docker:   i%4 == 3,
			Platform: v1.Platform{OS: "linux", Architecture: [2]string{"amd64", "arm64"}[i%2]},
			Config:   v1.Config{Cmd: []string{"run"}, Labels: map[string]string{"version": fmt.Sprint(i)}},
			Layers:   append(layers[:len(layers):len(layers)], top),
		}.Build()
		if err != nil {
			return nil, err
		}
		contents = append(contents, c)
	}
	index, err := images.Index(contents[0], contents[1])
	if err != nil {
		return nil, err
	}
	return append(contents, index), nil
}

func (g *generator) push(s *Store, repository string, contents []*images.Content) error {
	for _, c := range contents {
		if err := s.Push(repository, "", c); err != nil {
			return err
		}
	}
	for i := range g.Tags {
		tag := fmt.Sprintf("1.%d.%d", i/10, i%10)
		if i == g.Tags-1 {
			tag = "latest"
		}
		n := g.rand.IntN(len(contents))
		if i < g.Moved {
			if err := s.tag(repository, tag, contents[(n+1)%len(contents)].Digest()); err != nil {
				return err
			}
		}
		if err := s.tag(repository, tag, contents[n].Digest()); err != nil {
			return err
		}
	}
	return nil
}
