package ahead

import (
	"context"
	"crypto/md5"
	"errors"
	"io/fs"
	"time"

	"registryfs/drivers"
)

// GetContent implements drivers.StorageDriver.
func (d *Driver) GetContent(ctx context.Context, path string) ([]byte, error) {
	if content, _, err, ok := d.proven(ctx, path); ok {
		return content, err
	}
	return d.inner.GetContent(ctx, path)
}

// GetContentInfo implements drivers.ContentInfoGetter. For what an ETag proves
// it costs no request, so of a file that Options.Expect knows it should be
// called at once, without a Stat before.
func (d *Driver) GetContentInfo(ctx context.Context, path string) ([]byte, drivers.FileInfo, error) {
	if content, info, err, ok := d.proven(ctx, path); ok {
		return content, info, err
	}
	m := markOf(ctx)
	if m == exact || d.opts.Expect == nil || d.opts.Expect(path) == (Expected{}) {
		return drivers.GetContentInfo(ctx, d.inner, path)
	}
	if d.lacked(path, m) {
		return nil, nil, d.notFound(path)
	}
	asked, forgot := d.beginAsking()
	content, info, err := drivers.GetContentInfo(ctx, d.inner, path)
	d.endAsking(func() {
		if errors.Is(err, fs.ErrNotExist) && d.forgot == forgot {
			d.passedBy(path, asked)
		}
	})
	return content, info, err
}

// lacked reports whether a look a moment ago has found nothing at path. Who makes
// a file looks at its name several times before.
func (d *Driver) lacked(path string, m mark) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.find(path, asker{mark: min(m, reading)}, time.Now()).state == absent
}

// proven is the content of a file without a request; ok is false if it takes one.
func (d *Driver) proven(ctx context.Context, path string) (content []byte, info drivers.FileInfo, err error, ok bool) {
	m := markOf(ctx)
	if m < reading || d.opts.Expect == nil || ctx.Err() != nil {
		return nil, nil, nil, false
	}
	want := d.opts.Expect(path)
	if want == (Expected{}) {
		return nil, nil, nil, false
	}
	if want.Content != "" {
		m = listing // it can only be this, or gone
	}
	a := d.lookUp(ctx, path, asker{mark: m})
	if a.state == absent && markOf(ctx) >= listing {
		return nil, nil, d.notFound(path), true
	}
	if a.state != found || a.page == nil {
		return nil, nil, nil, false
	}
	if want.Among != "" && markOf(ctx) >= listing {
		d.await(ctx, a.stream, want.Among)
	}
	s := want.Content
	if s == "" {
		s = d.among(a, want.Among)
	}
	if !a.page.proves(a.i, s) {
		return nil, nil, nil, false
	}
	return []byte(s), a.info, nil, true
}

// proves reports whether file i holds content: an ETag that is the MD5 of it
// was given by a store that had it.
func (p *page) proves(i int, content string) bool {
	if content == "" || p.sizes[i] != int64(len(content)) || p.etags[i] == [md5Size]byte{} {
		return false
	}
	return md5.Sum([]byte(content)) == p.etags[i]
}

// among finds the content of a file of dir with the ETag of the answer. Whether
// that file is there still does not matter: it gives the guess, not the proof.
func (d *Driver) among(a answer, dir string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	low, high := bounds(dir)
	s, etag := a.stream, a.page.etags[a.i]
	for _, p := range s.pages[min(s.pageOf(low), len(s.pages)):] {
		from, to := p.search(low), p.search(high)
		for i := from; i < to; i++ {
			if p.etags[i] == etag {
				return d.opts.Expect(p.path(i)).Content
			}
		}
		if to < p.len() {
			break
		}
	}
	return ""
}

// await waits until a stream that is being read has passed dir.
func (d *Driver) await(ctx context.Context, s *stream, dir string) {
	_, high := bounds(dir)
	for range mostAhead {
		d.mu.Lock()
		passed, changed := s.ended || s.front >= high, s.changed
		if !passed {
			s.want(time.Now())
		}
		d.mu.Unlock()
		if passed {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}
