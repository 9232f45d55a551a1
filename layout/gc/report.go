package gc

import (
	"fmt"
	"sync"
)

// Report is what a run has found and done or, with DryRun, would do.
type Report struct {
	DryRun bool

	Repositories, Manifests int64
	Store                   Count // all blobs
	Unreferenced            Count // those of them that nobody needs

	Swept   Count // blobs deleted now
	Noted   Count // blobs that a later run may sweep, noted by this one
	Waiting Count // the same, noted by an earlier one

	Links, Tags, History int64 // removed, the entries of tags' indexes under History
	Restored             int64 // links put back

	Uploads   Count // abandoned uploads removed, each one of Files
	Leftovers Count // removed, of writes that never ended

	Directories int64 // removed, in which nothing was left

	// Kept says of what more was kept than is needed, and why.
	Kept []error
	// Held says why blobs that might have been swept were not.
	Held []error
	// Failed are the removals that failed, and what could not be looked at.
	Failed []error
	// Lost names what was pushed while it was swept: it has to be pushed again.
	Lost []string

	mu       sync.Mutex // guards all while the run lasts
	failures int        // also of those that are not told
}

// Count is a number of files and what they take.
type Count struct {
	Files, Bytes int64
}

func (c *Count) add(bytes int64) {
	c.Files++
	c.Bytes += bytes
}

func (r *Report) update(fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn()
}

func (r *Report) seeBlob(size int64) { r.update(func() { r.Store.add(size) }) }

// see takes in what a look at the whole store has shown.
func (r *Report) see(m *mark) {
	r.update(func() {
		r.Repositories, r.Manifests = m.repositories.Load(), m.manifests.Load()
		r.Kept, r.Held = append(r.Kept, m.kept...), append(r.Held, m.doubts...)
	})
}

// maxTold keeps a store that does not answer from filling the memory.
const maxTold = 1000

func (r *Report) fail(err error) {
	r.update(func() {
		r.failures++
		if len(r.Failed) < maxTold {
			r.Failed = append(r.Failed, err)
		}
	})
}

func (r *Report) lose(name string) {
	r.update(func() {
		if len(r.Lost) < maxTold {
			r.Lost = append(r.Lost, name)
		}
	})
}

// Problems are all that a run has not done as it should, losses first.
func (r *Report) Problems() []error {
	var all []error
	for _, name := range r.Lost {
		all = append(all, fmt.Errorf("%s was pushed while it was swept and is lost: delete the tag that needs it and push that again, for crane pushes nothing to a tag that has its manifest", name))
	}
	for _, err := range r.Held {
		all = append(all, fmt.Errorf("not swept: %w", err))
	}
	return append(all, r.Failed...)
}
