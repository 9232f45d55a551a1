package layout

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"registryfs/drivers"
)

// PutOptions are the circumstances of a manifest's Put.
type PutOptions struct {
	// Want is the digest the content must have; "" takes whatever it is.
	Want digest.Digest
	// Tag is moved to the manifest; without one only its form is checked.
	Tag TagName
	// Exclusive makes it fs.ErrExist if the tag exists. Of several puts of one
	// Registry one is first; another program's may come between.
	Exclusive bool
	// ModTime, if set, becomes the time of the tag or, without one, of the blob,
	// where the store can.
	ModTime time.Time
}

// Put is what a put has done.
type Put struct {
	Digest  digest.Digest
	Subject digest.Digest // that the manifest names, or ""
	Size    int64
	ModTime time.Time // of the blob; the zero time if it could not be asked for
	Tagged  time.Time // of the tag, likewise
	NewLink bool      // this call made the revision's or layer's link
	NewBlob bool      // this call wrote the blob
	// Linked is what else the repository had no link to before.
	Linked []digest.Digest
}

// Put stores the upload's content as a manifest: blob, revision link, and with
// a tag the tag's index link and current link, in this order. Before that
// everything is checked: the form always, and with a tag that all it names is
// there, by the Registry's Options. What the store has already is not written
// again, but a stored blob with other bytes is replaced.
func (s ManifestStore) Put(ctx context.Context, u *Upload, o PutOptions) (Put, error) {
	done, err := u.acquire(ctx)
	if err != nil {
		return Put{}, err
	}
	defer done()
	if u.Size() > MaxManifestSize {
		return Put{}, fmt.Errorf("put %d bytes: %w", u.Size(), ErrTooLarge)
	}
	d, err := u.digest(ctx, digest.Canonical)
	if err != nil {
		return Put{}, err
	}
	sent := u.isStream()
	if sent {
		// Nothing can be read back before it is stored. It is only a blob yet.
		if err := checkDigest(u.want, d); err != nil {
			return Put{}, err
		}
		if _, _, err := u.store(ctx, blobDataPath(d), d); err != nil {
			return Put{}, err
		}
	}
	content, err := u.bytes()
	if err != nil {
		return Put{}, err
	}
	put, err := s.put(ctx, content, d, o)
	put.NewBlob = put.NewBlob || sent
	return put, err
}

// Promote does what Put does with a manifest that is in the store already; none
// of its bytes are sent anywhere.
func (s ManifestStore) Promote(ctx context.Context, d digest.Digest, o PutOptions) (Put, error) {
	content, err := s.p.r.readBlob(ctx, d)
	if isAbsent(err) {
		return Put{}, ManifestUnknownError{Digest: d}
	}
	if err != nil {
		return Put{}, fmt.Errorf("promote to %s: %w", s.p.name, err)
	}
	return s.put(ctx, content, d, o)
}

func checkDigest(want, got digest.Digest) error {
	if want == "" || want == got {
		return nil
	}
	return fmt.Errorf("%w: expected %s, it has %s", ErrDigestMismatch, want, got)
}

func (s ManifestStore) put(ctx context.Context, content []byte, d digest.Digest, o PutOptions) (Put, error) {
	if o.Want != "" && o.Want.Algorithm() != digest.Canonical || d.Algorithm() != digest.Canonical {
		return Put{}, withRemedy(fmt.Errorf("manifest %s: %w: the registry knows manifests by sha256 only", cmp.Or(o.Want, d), ErrDigestInvalid),
			"put it under its sha256 digest or a tag")
	}
	if err := checkDigest(o.Want, d); err != nil {
		return Put{}, fmt.Errorf("manifest of repository %s: %w", s.p.name, err)
	}
	m, err := parseManifest(content)
	if err != nil {
		return Put{}, fmt.Errorf("manifest %s: %w", d, err)
	}
	if o.Tag != "" {
		unlock, err := s.p.Tags().lock(ctx, o.Tag)
		if err != nil {
			return Put{}, err
		}
		// Held across the driver calls: of two who must be first one is.
		defer unlock()
	}
	have, err := s.look(ctx, content, d, o)
	if err != nil {
		return Put{}, err
	}
	if !s.isKnown(d, have) {
		if err := m.checkURLs(s.p.r.opts.URLs); err != nil {
			return Put{}, fmt.Errorf("manifest %s: %w", d, err)
		}
	}
	c := &closure{}
	if o.Tag != "" && s.p.r.opts.References != ReferencesNone {
		if c, err = s.p.closure(ctx, d, m); err != nil {
			return Put{}, err
		}
	}
	if err := s.write(ctx, content, d, o, have, c); err != nil {
		return Put{}, err
	}
	put := Put{Digest: d, Subject: m.subject, Size: int64(len(content)), NewLink: !have.link, NewBlob: !have.blob}
	for _, l := range c.links {
		s.p.r.log.Info("linked what a manifest names", "repository", s.p.name, "digest", l.name, "manifest", d, "from", l.from)
		put.Linked = append(put.Linked, l.name)
	}
	s.setTimes(ctx, &put, o, have)
	return put, nil
}

// present is what a put finds there before it.
type present struct {
	blob    bool // with the same bytes
	link    bool // the revision's
	current link // the tag's
	tag     bool // there is one
}

func (s ManifestStore) look(ctx context.Context, content []byte, d digest.Digest, o PutOptions) (present, error) {
	var have present
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		have.blob, err = s.p.r.isContent(ctx, blobDataPath(d), content)
		return err
	})
	g.Go(func() (err error) {
		have.link, err = s.p.r.holds(ctx, revisionLinkPath(s.p.name, d), d)
		return err
	})
	if o.Tag != "" {
		g.Go(func() (err error) {
			have.current, err = s.p.Tags().current(ctx, o.Tag)
			have.tag = err == nil
			if isAbsent(err) {
				return nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return present{}, fmt.Errorf("put manifest %s: %w", d, err)
	}
	if o.Exclusive && have.tag {
		return present{}, fmt.Errorf("tag %s of %s: %w", o.Tag, s.p.name, fs.ErrExist)
	}
	return have, nil
}

// isKnown reports whether the manifest was let in before, here or where the
// reference policy lets this repository have it from.
func (s ManifestStore) isKnown(d digest.Digest, have present) bool {
	switch s.p.r.opts.References {
	case ReferencesSource:
		return have.link || have.blob && len(s.p.r.served.sources(d)) > 0
	case ReferencesStore, ReferencesNone:
		return have.link || have.blob
	}
	return have.link
}

// write makes all files that are not there yet, in one batch.
func (s ManifestStore) write(ctx context.Context, content []byte, d digest.Digest, o PutOptions, have present, c *closure) error {
	var files []drivers.Content
	if !have.blob {
		files = append(files, drivers.Content{Path: blobDataPath(d), Bytes: content})
		s.p.r.cache.forget(d)
		defer s.p.r.cache.forget(d)
	}
	files = append(files, c.contents()...)
	if !have.link {
		files = append(files, linkContent(revisionLinkPath(s.p.name, d), d))
	}
	if o.Tag != "" && have.current.digest != d {
		files = append(files,
			linkContent(tagIndexLinkPath(s.p.name, o.Tag, d), d),
			linkContent(tagCurrentLinkPath(s.p.name, o.Tag), d))
	}
	if len(files) == 0 {
		return nil
	}
	if err := drivers.PutContents(ctx, s.p.r.driver, files); err != nil {
		return fmt.Errorf("put manifest %s: %w", d, err)
	}
	return nil
}

// setTimes sets the time asked for and finds out the others. All is stored by
// now, so that nothing here is an error.
func (s ManifestStore) setTimes(ctx context.Context, put *Put, o PutOptions, have present) {
	path := blobDataPath(put.Digest)
	if o.Tag != "" {
		path = tagCurrentLinkPath(s.p.name, o.Tag)
	}
	if !o.ModTime.IsZero() {
		err := drivers.Chtimes(ctx, s.p.r.driver, path, o.ModTime)
		if err != nil && !errors.Is(err, errors.ErrUnsupported) {
			s.p.r.log.Warn("time of a manifest not set", "repository", s.p.name, "digest", put.Digest, "tag", o.Tag, "error", err)
		}
		if o.Tag == "" {
			s.p.r.cache.forget(put.Digest)
		}
	}
	if b, err := s.p.r.statBlob(ctx, put.Digest); err == nil {
		put.ModTime = b.modTime
	}
	if o.Tag == "" {
		return
	}
	if have.current.digest == put.Digest && o.ModTime.IsZero() {
		put.Tagged = have.current.modTime
		return
	}
	if info, err := s.p.r.driver.Stat(ctx, path); err == nil {
		put.Tagged = info.ModTime()
	}
}

// isContent reports whether the file at path has exactly these bytes.
func (r *Registry) isContent(ctx context.Context, path string, content []byte) (bool, error) {
	stored, err := r.driver.Reader(ctx, path, 0)
	if isAbsent(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	buf := make([]byte, len(content)+1)
	n, err := io.ReadFull(stored, buf)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return bytes.Equal(buf[:n], content), errors.Join(err, stored.Close())
}
