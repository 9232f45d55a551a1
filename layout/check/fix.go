package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// Action is what a repair does.
type Action string

// The actions.
const (
	WriteLink      Action = "write-link"      // make Path a link to Link
	Restore        Action = "restore"         // make Path what From has
	Remove         Action = "remove"          // remove the file Path
	RemoveAll      Action = "remove-all"      // remove the directory Path and all in it
	removeLeftover Action = "remove-leftover" // remove what the driver hides
)

// Fix is one repair.
type Fix struct {
	Kind Kind           `json:"kind"` // of the finding
	Do   Action         `json:"do"`
	Path layout.RawPath `json:"path"`
	Link digest.Digest  `json:"link,omitempty"`
	From layout.RawPath `json:"from,omitempty"`
	// Cached says that a running registry may have cached what was there: restart
	// it, or flush its cache.
	Cached bool `json:"cached,omitempty"`

	hidden  bool           // From is a leftover
	current bool           // Path is the current link of a tag
	source  layout.RawPath // what may have the content of a blob, and is removed
}

// String says what the repair does.
func (f Fix) String() string {
	var s string
	switch f.Do {
	case WriteLink:
		s = fmt.Sprintf("write %s into %s", f.Link, f.Path)
	case Restore:
		s = fmt.Sprintf("copy %s to %s", f.From, f.Path)
		if f.From == "" {
			s = fmt.Sprintf("make %s empty, as its digest says", f.Path)
		}
	default:
		s = fmt.Sprintf("remove %s", f.Path)
	}
	if f.Cached {
		s += "; a registry that runs may have cached the old state: restart it or flush its cache"
	}
	return s
}

// plan notes a repair.
func (c *checker) plan(f Fix) {
	if !c.o.Repair && !c.o.DryRun || c.mayBe(f.Kind) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.fixes) < maxFindings {
		c.fixes = append(c.fixes, f)
	}
}

// make makes one repair. It is errStale if there is nothing to repair any more.
func (c *checker) make(ctx context.Context, f Fix) error {
	raw := c.reg.Raw()
	switch f.Do {
	case WriteLink:
		return c.writeLink(ctx, f)
	case Restore:
		return c.restore(ctx, f)
	}
	if err := c.isLeft(ctx, f); err != nil {
		return err
	}
	switch f.Do {
	case Remove:
		return gone(raw.Delete(ctx, f.Path))
	case RemoveAll:
		return gone(raw.RemoveAll(ctx, f.Path))
	case removeLeftover:
		return gone(raw.RemoveLeftover(ctx, f.Path))
	}
	panic("check: no action " + f.Do)
}

// isLeft is errStale if somebody has gone on with what is to be removed.
func (c *checker) isLeft(ctx context.Context, f Fix) error {
	raw := c.reg.Raw()
	files := raw.Walk(ctx, f.Path)
	switch f.Do {
	case Remove:
		e, err := raw.Stat(ctx, f.Path)
		if err == nil && !c.isOld(e.ModTime) {
			return errStale
		}
		return gone(err)
	case removeLeftover:
		files = raw.Leftovers(ctx, layout.RawPath(path.Dir(string(f.Path))))
	}
	for file, err := range files {
		if err != nil {
			return err
		}
		if f.Do == removeLeftover && file.Path != f.Path {
			continue
		}
		if file.Name == "startedat" && saysWhen(file.Size) || !c.isOld(file.ModTime) {
			return errStale
		}
	}
	return nil
}

// errStale says that somebody else was faster.
var errStale = errors.New("it has changed since it was checked")

func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errStale
	}
	return err
}

// writeLink writes a link, if it still is as it was found.
func (c *checker) writeLink(ctx context.Context, f Fix) error {
	content, err := c.readLink(ctx, f.Path)
	absent := errors.Is(err, fs.ErrNotExist)
	if err != nil && !absent {
		return err
	}
	sound := digest.Digest(content).Validate() == nil
	switch {
	case f.Kind == Damaged && (absent || sound),
		f.Kind == Misnamed && (!sound || digest.Digest(content) == f.Link),
		(f.Kind == NoCurrent || f.Kind == Unlinked) && !absent:
		return errStale
	}
	if f.current {
		if err := c.isOnly(ctx, f); err != nil {
			return err
		}
	}
	return c.put(ctx, f.Path, "", func(w io.Writer) error {
		_, err := io.WriteString(w, string(f.Link))
		return err
	})
}

// isOnly is an error if the history of a tag is no longer the one digest that it is
// to point to. It is errStale if the tag is gone.
func (c *checker) isOnly(ctx context.Context, f Fix) error {
	index := layout.RawPath(path.Dir(path.Dir(string(f.Path)))).Join("index")
	var all []layout.RawPath
	for file, err := range c.reg.Raw().Walk(ctx, index) {
		if err != nil {
			return err
		}
		if file.Name == "link" {
			all = append(all, file.Path)
		}
	}
	switch {
	case len(all) == 0:
		return errStale
	case len(all) > 1 || path.Base(path.Dir(string(all[0]))) != f.Link.Encoded():
		return fmt.Errorf("the tag's history has changed: it has %d digests", len(all))
	}
	return nil
}

// restore puts back the bytes of a blob. They are verified once more on the way.
func (c *checker) restore(ctx context.Context, f Fix) error {
	d := c.reg.Raw().Want(f.Path)
	put := func() (verdict, error) {
		err := c.put(ctx, f.Path, d, func(w io.Writer) error {
			if f.From == "" {
				return nil
			}
			return c.copySource(ctx, source{f.From, f.hidden}, w)
		})
		if err != nil {
			return isUnknown, err
		}
		desc, err := c.reg.Blobs().Stat(ctx, d)
		if err != nil {
			return isUnknown, err
		}
		return c.verify(ctx, d, desc.Size)
	}
	is, err := put()
	switch is {
	case isGone:
		return errStale
	case isSame, isUnknown:
		return err
	}
	// A store far away compares sizes only, and has kept what was there.
	if err := c.reg.Raw().Delete(ctx, f.Path); err != nil {
		return err
	}
	_, err = put()
	return err
}

// put stores what write writes.
func (c *checker) put(ctx context.Context, p layout.RawPath, want digest.Digest, write func(io.Writer) error) (err error) {
	u := c.reg.NewUpload(want)
	defer func() { err = errors.Join(err, u.Close()) }()
	if err := write(&uploadWriter{ctx, u}); err != nil {
		return err
	}
	_, err = c.reg.Raw().Put(ctx, p, u, time.Time{})
	return err
}

// uploadWriter appends to an upload, during one call.
type uploadWriter struct {
	ctx context.Context
	u   *layout.Upload
}

func (w *uploadWriter) Write(p []byte) (int, error) { return w.u.WriteAt(w.ctx, p, w.u.Size()) }

// copySource copies a file that may have the content of a blob.
func (c *checker) copySource(ctx context.Context, s source, w io.Writer) error {
	if s.hidden {
		r, err := c.reg.Raw().OpenLeftover(ctx, s.path)
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = io.Copy(w, r)
		return err
	}
	b, err := c.reg.Raw().Open(ctx, s.path)
	if err != nil {
		return err
	}
	defer b.Close()
	buf := buffers.Get().(*[1 << 20]byte)
	defer buffers.Put(buf)
	for off := int64(0); ; {
		n, err := b.ReadAt(ctx, buf[:], off)
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		off += int64(n)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", path.Base(string(s.path)), err)
		}
	}
}
