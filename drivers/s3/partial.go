package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
)

const (
	partialSuffix = ".registryfs-partial"
	maxName       = 255 // bytes, of a part of a key in stores that keep files
)

// partial is what a Writer leaves by Close without Commit: an object beside the
// target with this as JSON in its first line, and behind it the bytes that are
// not in the parts of an upload. Those are too few for a part, or might be.
type partial struct {
	Upload string `json:"upload,omitempty"` // its id, "" if there is none
	Parts  []part `json:"parts,omitempty"`
}

// resumes knows of the partials that this process has left, so that putting a
// file costs no request to look for one.
type resumes struct {
	taking chan struct{} // held while one is taken over: no two writers get it

	mu   sync.Mutex // guards the following
	left map[string]bool
}

func (r *resumes) init() {
	r.taking = make(chan struct{}, 1)
	r.left = make(map[string]bool)
}

func (r *resumes) set(path string, left bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if left {
		r.left[path] = true
	} else {
		delete(r.left, path)
	}
}

func (r *resumes) has(path string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.left[path]
}

// partialPath is where the unfinished write of path waits.
func partialPath(path string) string {
	i := strings.LastIndexByte(path, '/') + 1
	name := path[i:]
	if len(name)+1+len(partialSuffix) > maxName {
		name = fmt.Sprintf("%x", sha256.Sum256([]byte(name)))
	}
	return path[:i] + "." + name + partialSuffix
}

// isPartial reports whether name is that of an unfinished write.
func isPartial(name string) bool {
	return strings.HasSuffix(name, partialSuffix) && name[0] == '.'
}

// keep leaves the writer's bytes for another one.
func (w *writer) keep() error {
	d := w.driver
	var p partial
	if w.upload != nil {
		if err := w.upload.wait(); err != nil {
			return err
		}
		p = partial{w.upload.uploadID(), w.upload.sorted()}
	}
	line, err := json.Marshal(p)
	if err != nil {
		return err
	}
	path := partialPath(w.path)
	content := bytes.Join([][]byte{line, w.buf}, []byte("\n"))
	if err := d.put(w.ctx, path, content, d.putInput(path)); err != nil {
		return err
	}
	d.resumes.set(w.path, true)
	return nil
}

// resume takes over what an earlier writer has left. Without that it goes on
// after a copy of what is at the path.
func (w *writer) resume(ctx context.Context) error {
	d := w.driver
	target, err := d.head(ctx, w.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	p, tail, err := d.takePartial(ctx, w.path, target)
	if err != nil {
		return err
	}
	switch {
	case p != nil:
		return w.goOn(p, tail)
	case target != nil && target.size > 0:
		return w.copyTarget(ctx)
	}
	return nil
}

// goOn fills the writer with what was left.
func (w *writer) goOn(p *partial, tail []byte) error {
	if p.Upload != "" {
		u := w.driver.newUpload(w.path)
		u.id = p.Upload
		w.upload = u
		for _, part := range p.Parts {
			u.add(part)
			w.parts = max(w.parts, int(part.Number))
			w.size += part.Size
		}
	}
	_, err := w.Write(tail)
	return err
}

func (w *writer) copyTarget(ctx context.Context) error {
	r, err := w.driver.Reader(ctx, w.path, 0)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, r.Close())
}

// takePartial takes what was left for path away, nil if there is nothing. What is
// older than the target, nil if there is none, was replaced by it.
func (d *Driver) takePartial(ctx context.Context, path string, target *fileInfo) (*partial, []byte, error) {
	select {
	case d.resumes.taking <- struct{}{}:
		defer func() { <-d.resumes.taking }()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	content, info, err := d.GetContentInfo(ctx, partialPath(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	line, tail, ok := bytes.Cut(content, []byte("\n"))
	p := new(partial)
	if err := json.Unmarshal(line, p); err != nil || !ok {
		return nil, nil, fmt.Errorf("go on with %s: %s cannot be understood: delete it", path, partialPath(path))
	}
	if err := d.deleteKeys(ctx, path, []string{d.key(partialPath(path))}); err != nil {
		return nil, nil, err
	}
	d.resumes.set(path, false)
	if target != nil && target.mtime.After(info.ModTime()) {
		return nil, nil, d.abandon(ctx, path, p)
	}
	return p, tail, nil
}

func (d *Driver) abandon(ctx context.Context, path string, p *partial) error {
	if p.Upload == "" {
		return nil
	}
	return d.abortUpload(ctx, path, p.Upload)
}

// dropPartial throws away what a writer of this process has left for path. What
// others have left is seen to be older by the next one who looks.
func (d *Driver) dropPartial(ctx context.Context, path string) error {
	if !d.resumes.has(path) {
		return nil
	}
	p, _, err := d.takePartial(ctx, path, nil)
	if err != nil || p == nil {
		return err
	}
	return d.abandon(ctx, path, p)
}
