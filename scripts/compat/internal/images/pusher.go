package images

import "fmt"

// Pusher is where content goes.
type Pusher interface {
	// Push stores c and what it refers to. An empty tag pushes by digest.
	Push(repository, tag string, c *Content) error
}

// Push is one push of a client.
type Push struct {
	Repository string
	Tag        string // by digest if empty
	Content    *Content
}

// PushAll pushes in order, so a tag that comes twice has moved.
func PushAll(to Pusher, pushes []Push) error {
	for _, p := range pushes {
		if err := to.Push(p.Repository, p.Tag, p.Content); err != nil {
			return fmt.Errorf("push %s:%s: %w", p.Repository, p.Tag, err)
		}
	}
	return nil
}
