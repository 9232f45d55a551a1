package fusefs

import (
	"context"
	"iter"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// referrersDir is _referrers, with an algorithm the directory in it, which has a
// directory for each manifest that others have as their subject.
type referrersDir struct {
	derived
	s    *fsys
	repo layout.Repository
	alg  digest.Algorithm // "" for _referrers itself
}

func referrersPath(repo layout.RepositoryName) string { return "/info/" + string(repo) + "/_referrers" }

func (d *referrersDir) path() string {
	return referrersPath(d.repo.Name()) + slash(string(d.alg))
}

func (d *referrersDir) attr(ctx context.Context) (attr, error) {
	return d.s.referrersAttr(ctx, d.path(), d.repo)
}

// referrersAttr has the time of the newest revision, where the store keeps one.
func (s *fsys) referrersAttr(ctx context.Context, path string, repo layout.Repository) (attr, error) {
	return s.repoDirAttr(ctx, path, repo.Name(), layout.Dir{Kind: layout.DirRevisions, Algorithm: digest.SHA256})
}

func (d *referrersDir) lookup(ctx context.Context, name string) (found, error) {
	if d.alg == "" {
		if name != string(digest.SHA256) {
			return found{}, errNoEntry
		}
		sub := &referrersDir{s: d.s, repo: d.repo, alg: digest.SHA256}
		return d.s.dir(ctx, sub.path(), sub)
	}
	subject, err := layout.ParseHex(d.alg, name)
	if err != nil {
		return found{}, errNoEntry
	}
	refs, err := d.s.referrers(ctx, d.repo)
	if err != nil {
		return found{}, err
	}
	if !refs.Has(subject) {
		return found{}, errNoEntry
	}
	return d.sub(ctx, subject)
}

func (d *referrersDir) sub(ctx context.Context, subject digest.Digest) (found, error) {
	sub := &subjectDir{s: d.s, repo: d.repo, subject: subject}
	return d.s.dir(ctx, sub.path(), sub)
}

func (d *referrersDir) list(ctx context.Context) iter.Seq2[entry, error] {
	if d.alg == "" {
		return listNames([]string{string(digest.SHA256)}) // always there
	}
	return func(yield func(entry, error) bool) {
		refs, err := d.s.referrers(ctx, d.repo)
		if err != nil {
			yield(entry{}, err)
			return
		}
		for _, subject := range refs.Subjects() {
			f, err := d.sub(ctx, subject)
			if !yield(entry{name: subject.Encoded(), found: f}, err) || err != nil {
				return
			}
		}
	}
}

// subjectDir has a symlink for each manifest that has this one as its subject.
type subjectDir struct {
	derived
	s       *fsys
	repo    layout.Repository
	subject digest.Digest
}

func (d *subjectDir) path() string {
	return referrersPath(d.repo.Name()) + "/" + string(d.subject.Algorithm()) + "/" + d.subject.Encoded()
}

func (d *subjectDir) attr(ctx context.Context) (attr, error) {
	return d.s.referrersAttr(ctx, d.path(), d.repo)
}

func (d *subjectDir) all(ctx context.Context) ([]digest.Digest, error) {
	refs, err := d.s.referrers(ctx, d.repo)
	if err != nil {
		return nil, err
	}
	return refs.Of(ctx, d.subject)
}

func (d *subjectDir) lookup(ctx context.Context, name string) (found, error) {
	referrer, err := layout.ParseHex(digest.SHA256, name)
	if err != nil {
		return found{}, errNoEntry
	}
	all, err := d.all(ctx)
	if err != nil {
		return found{}, err
	}
	if !slices.Contains(all, referrer) {
		return found{}, errNoEntry
	}
	return d.found(referrer), nil
}

func (d *subjectDir) found(referrer digest.Digest) found {
	l := pointer(manifestTarget(d.repo.Name(), 3, referrer))
	a, _ := l.attr(context.Background()) // which asks nobody
	return found{d.s.secret.of("referrer", d.path(), string(referrer)), l, a}
}

func (d *subjectDir) list(ctx context.Context) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		all, err := d.all(ctx)
		if err != nil {
			yield(entry{}, err)
			return
		}
		for _, referrer := range all {
			if !yield(entry{name: referrer.Encoded(), found: d.found(referrer)}, nil) {
				return
			}
		}
	}
}

// manifestTarget is where a symlink leads that is so many directories below a
// repository's own in info/.
func manifestTarget(repo layout.RepositoryName, below int, d digest.Digest) string {
	up := strings.Repeat("../", 1+strings.Count(string(repo), "/")+1+below)
	return up + "repositories/" + string(repo) + "/_manifests/" + string(d.Algorithm()) + "/" + d.Encoded()
}

// pointer is a symbolic link that never leads elsewhere.
type pointer string

var _ = (linkTarget)((*pointer)(nil))

func (p pointer) attr(context.Context) (attr, error) {
	return attr{mode: syscall.S_IFLNK | 0o777, size: int64(len(p)), mtime: epoch, nlink: 1, ttl: mutable}, nil
}

func (p pointer) readlink(context.Context) (string, error) { return string(p), nil }

// seenReferrers are the referrers that were looked for lately.
type seenReferrers struct {
	boundedMap[layout.RepositoryName, referrersAt]
}

// referrersAt are those of a repository, and when they were looked for.
type referrersAt struct {
	*layout.Referrers
	at    time.Time
	clock uint64 // of the turnover, before
}

// maxReferrers bounds of how many repositories they are kept.
const maxReferrers = 64

// referrers looks for them, unless it did less than Options.TagTTL ago and nothing
// was changed in this mount since.
func (s *fsys) referrers(ctx context.Context, repo layout.Repository) (*layout.Referrers, error) {
	seen, ok := s.referred.get(repo.Name())
	if ok && time.Since(seen.at) < s.opts.TagTTL && seen.clock == s.turnover.clock.Load() {
		return seen.Referrers, nil
	}
	seen = referrersAt{at: time.Now(), clock: s.turnover.clock.Load()}
	var err error
	if seen.Referrers, err = repo.Referrers(ctx); err != nil {
		return nil, err
	}
	s.referred.put(repo.Name(), seen, maxReferrers)
	return seen.Referrers, nil
}

// referrerNames are the names in _referrers that come and go with a manifest that
// has a subject or, if referrer is "", with a tag that is kept for one.
func (s *fsys) referrerNames(repo layout.RepositoryName, subject, referrer digest.Digest) []staleName {
	if subject == "" {
		return nil
	}
	d := &subjectDir{s: s, subject: subject, repo: s.reg.Repository(repo)}
	all, of := s.dirKey(referrersPath(repo)+"/"+string(subject.Algorithm())), s.dirKey(d.path())
	out := []staleName{{all, subject.Encoded()}, {dir: all}, {dir: of}}
	if referrer != "" {
		out = append(out, staleName{of, referrer.Encoded()})
	}
	return out
}
