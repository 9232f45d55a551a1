package layout

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"registryfs/drivers"
	"registryfs/layout/ahead"
)

// Descriptor tells what a name leads to.
type Descriptor struct {
	// Digest is what the link's content says, not its name: a sha512 or a
	// wrong-named link holds another digest. It is "" if the link cannot be
	// parsed.
	Digest digest.Digest
	// Size is that of the blob; 0 with a Problem.
	Size int64
	// ModTime is when the blob was stored or, if there is none, the link.
	ModTime time.Time
	// Problem says why the content cannot be read: a link that is damaged or
	// leads nowhere. Such a name is shown, so that it can be seen and removed.
	// It is ErrCorrupt, never fs.ErrNotExist.
	Problem error
}

// algorithms lists the directories of a directory of links that are named after
// a digest algorithm, sorted. sha256 is always there.
func (r *Registry) algorithms(ctx context.Context, dir string) ([]digest.Algorithm, error) {
	algs := []digest.Algorithm{digest.SHA256}
	for info, err := range drivers.ListInfo(ctx, r.driver, dir) {
		if isAbsent(err) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("list digest algorithms: %w", err)
		}
		if a := digest.Algorithm(baseName(info.Path())); info.IsDir() && a.Available() {
			algs = append(algs, a)
		}
	}
	slices.Sort(algs)
	return slices.Compact(algs), nil
}

// hexNames yields the legal names of a directory of one algorithm's links. One
// that is missing is empty.
func (r *Registry) hexNames(ctx context.Context, dir string, alg digest.Algorithm) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for info, err := range drivers.ListInfo(ahead.Whole(ctx), r.driver, dir) {
			if isAbsent(err) {
				return
			}
			if err != nil {
				yield("", fmt.Errorf("list digests: %w", err))
				return
			}
			name := baseName(info.Path())
			if _, err := ParseHex(alg, name); err != nil || !info.IsDir() {
				continue
			}
			if !yield(name, nil) {
				return
			}
		}
	}
}

// children collects a small directory; one that is missing is empty.
func (r *Registry) children(ctx context.Context, dir string) ([]drivers.FileInfo, error) {
	var infos []drivers.FileInfo
	for info, err := range drivers.ListInfo(ctx, r.driver, dir) {
		if isAbsent(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list: %w", err)
		}
		infos = append(infos, info)
	}
	return infos, nil
}
