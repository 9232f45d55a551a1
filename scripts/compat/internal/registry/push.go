package registry

import (
	"context"
	"fmt"

	"registryfs/scripts/compat/internal/images"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
)

// Client pushes to a registry with crane's library.
type Client struct {
	host string
	opts []remote.Option
}

var _ images.Pusher = (*Client)(nil)

// Client returns a client of r.
func (r *Registry) Client(ctx context.Context) *Client {
	return &Client{host: r.Host, opts: []remote.Option{remote.WithContext(ctx)}}
}

// Push uploads what c refers to and then puts its manifest.
func (c *Client) Push(repository, tag string, content *images.Content) error {
	for _, child := range content.Children {
		if err := c.Push(repository, "", child); err != nil {
			return err
		}
	}
	repo, err := name.NewRepository(c.host + "/" + repository)
	if err != nil {
		return fmt.Errorf("repository %s: %w", repository, err)
	}
	for _, b := range content.Blobs {
		if err := remote.WriteLayer(repo, static.NewLayer(b.Data, b.Type), c.opts...); err != nil {
			return fmt.Errorf("upload %s: %w", b.Digest, err)
		}
	}
	var ref name.Reference = repo.Digest(content.Digest().String())
	if tag != "" {
		ref = repo.Tag(tag)
	}
	return remote.Put(ref, content, c.opts...)
}
