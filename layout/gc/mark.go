package gc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"registryfs/layout"
)

// shards is into how many parts all digests are divided, by their first hex digit.
const shards = 16

func shardOf(hex string) int { return strings.IndexByte("0123456789abcdef", hex[0]) }

// mark is what all repositories were seen to have and to need. Its lines begin
// with the hex part of a sha256 digest; blobs of other algorithms are never swept.
type mark struct {
	begun   time.Time
	reached [shards]*sorter // "hex repository": needed there; "hex": kept for another reason
	links   [shards]*sorter // what a heldBy is made of

	// unlinked are manifests of which runs have removed the links, or are about to.
	unlinked map[layout.RepositoryName][]digest.Digest

	mu     sync.Mutex                     // guards the following
	seen   map[layout.RepositoryName]bool // of those in unlinked
	kept   []error                        // why all of a repository was kept, or some of it
	doubts []error                        // why nothing may be swept

	repositories, manifests, files atomic.Int64
}

func (r *collector) newMark() *mark {
	m := &mark{begun: time.Now(), seen: map[layout.RepositoryName]bool{}}
	for i := range shards {
		m.reached[i], m.links[i] = r.newSorter(), r.newSorter()
	}
	return m
}

func (m *mark) close() {
	for i := range shards {
		_ = errors.Join(m.reached[i].close(), m.links[i].close()) // they have no name
	}
}

// reach notes that a repository needs a blob; "" is for another reason to keep it.
func (m *mark) reach(d digest.Digest, repo layout.RepositoryName) error {
	if d.Algorithm() != digest.SHA256 {
		return nil
	}
	return m.reached[shardOf(d.Encoded())].add(strings.TrimSuffix(d.Encoded()+" "+string(repo), " "))
}

// hold notes that something leads to a blob.
func (m *mark) hold(d digest.Digest, h heldBy) error {
	if d.Algorithm() != digest.SHA256 {
		return nil
	}
	return m.links[shardOf(d.Encoded())].add(d.Encoded() + " " + h.String())
}

// doubt notes a reason to sweep nothing.
func (m *mark) doubt(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.doubts = append(m.doubts, err)
}

func (m *mark) keep(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept = append(m.kept, err)
}

// mark looks at all repositories. Only the end of the context is an error, and that
// there is no room for what is seen: all else is a doubt.
func (r *collector) mark(ctx context.Context, step string) (_ *mark, err error) {
	m := r.newMark()
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	if err := r.checkWhole(ctx, m); err != nil {
		return nil, err
	}
	if m.unlinked, err = r.readUnlinked(ctx); err != nil {
		return nil, err
	}
	err = r.reg.EveryRepository(ctx, r.Parallel, func(ctx context.Context, p layout.Repository, err error) error {
		if err != nil {
			m.doubt(err)
			return nil
		}
		m.repositories.Add(1)
		m.see(p.Name())
		defer func() { r.progress(layout.Progress{Step: step, Done: m.files.Load()}) }()
		return r.markRepository(ctx, m, p)
	})
	if err != nil {
		return nil, err
	}
	for name := range m.unlinked {
		if m.seen[name] || r.Untagged {
			continue
		}
		// Nothing is left of it, but its manifests are to come back.
		if err := r.markRepository(ctx, m, r.reg.Repository(name)); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// see notes that a repository is there.
func (m *mark) see(name layout.RepositoryName) {
	if m.unlinked[name] == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen[name] = true
}

// checkWhole doubts a local store without a directory of repositories: it is more
// often not mounted, or half restored, than empty.
func (r *collector) checkWhole(ctx context.Context, m *mark) error {
	if r.reg.IsRemote() {
		return nil
	}
	_, err := r.reg.Raw().Stat(ctx, layout.RawRepositories)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("there is no directory %s: bring it back, or make an empty one if all repositories are to go", layout.RawRepositories)
	}
	if err != nil {
		m.doubt(err)
	}
	return nil
}

// names is what a manifest consists of and refers to.
type names struct {
	blobs     []digest.Digest // that have to be there
	elsewhere []digest.Digest // that need not
	children  []digest.Digest
	cached    []digest.Digest // children that are said to be no manifests: BuildKit's caches have them
	subject   digest.Digest
}

// maxKnown is of how many manifests a run remembers what they name.
const maxKnown = 50_000

// known remembers what manifests name, which never changes.
type known struct {
	mu sync.Mutex // guards the following
	of map[digest.Digest]names
}

func (k *known) get(d digest.Digest) (names, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	n, ok := k.of[d]
	return n, ok
}

func (k *known) put(d digest.Digest, n names) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.of) < maxKnown {
		k.of[d] = n
	}
}

// names reads what a manifest names. It is fs.ErrNotExist if there is none.
func (r *collector) names(ctx context.Context, m *mark, d digest.Digest) (names, error) {
	if n, ok := r.known.get(d); ok {
		return n, nil
	}
	r.reads <- struct{}{}
	defer func() { <-r.reads }()
	parts, err := r.reg.Parts(ctx, d)
	if err != nil {
		return names{}, err
	}
	m.manifests.Add(1)
	n := names{subject: parts.Subject}
	for _, p := range parts.Blobs {
		if p.Elsewhere {
			n.elsewhere = append(n.elsewhere, p.Digest)
		} else {
			n.blobs = append(n.blobs, p.Digest)
		}
	}
	for _, p := range parts.Children {
		if p.MediaType == "" || strings.Contains(p.MediaType, "manifest") || strings.Contains(p.MediaType, "index") {
			n.children = append(n.children, p.Digest)
		} else {
			n.cached = append(n.cached, p.Digest)
		}
	}
	r.known.put(d, n)
	return n, nil
}

// eachNames calls fn, one at a time, with what each of several manifests names.
func (r *collector) eachNames(ctx context.Context, m *mark, manifests []digest.Digest, fn func(digest.Digest, names, error) error) error {
	all := make([]names, len(manifests))
	errs := make([]error, len(manifests))
	var g errgroup.Group
	g.SetLimit(r.Parallel)
	for i, d := range manifests {
		g.Go(func() error {
			all[i], errs[i] = r.names(ctx, m, d)
			return ctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, d := range manifests {
		if err := fn(d, all[i], errs[i]); err != nil {
			return err
		}
	}
	return nil
}
