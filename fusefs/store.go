package fusefs

import (
	"context"
	"iter"

	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// storeDir is blobs/, an algorithm in it, or one of that one's 256 shards.
type storeDir struct {
	s          *fsys
	alg, shard string
}

var (
	_ = (closed)((*storeDir)(nil))
	_ = (remover)((*storeDir)(nil))
)

func (d *storeDir) path() string { return "/blobs" + slash(d.alg) + slash(d.shard) }

func (d *storeDir) attr(context.Context) (attr, error) {
	return dirAttr(d.s.times.or(d.s.dirKey(d.path()), epoch), mutable), nil
}

func (d *storeDir) lookup(ctx context.Context, name string) (found, error) {
	switch {
	case d.alg == "":
		if name == string(digest.SHA256) {
			return d.s.dir(ctx, "/blobs/"+name, &storeDir{s: d.s, alg: name}) // always there
		}
		algs, err := d.s.reg.Blobs().Algorithms(ctx)
		if err != nil {
			return found{}, err
		}
		for _, alg := range algs {
			if alg == name {
				return d.s.dir(ctx, "/blobs/"+name, &storeDir{s: d.s, alg: name})
			}
		}
		return found{}, errNoEntry
	case d.shard == "":
		e, err := d.s.reg.Blobs().Shard(ctx, d.alg, name)
		if err != nil {
			return found{}, err
		}
		return d.shardFound(&e), nil
	}
	dgst, err := layout.ParseHex(digest.Algorithm(d.alg), name)
	if err != nil || name[:2] != d.shard {
		return found{}, errNoEntry
	}
	desc, err := d.s.reg.Blobs().Stat(ctx, dgst)
	if err != nil {
		return found{}, err
	}
	return d.s.linkFound(d.path(), dgst, &desc), nil
}

func (d *storeDir) shardFound(e *layout.Entry) found {
	sub := &storeDir{s: d.s, alg: d.alg, shard: e.Name}
	return found{key: d.s.dirKey(sub.path()), obj: sub, attr: dirAttr(e.ModTime, mutable)}
}

func (d *storeDir) list(ctx context.Context) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		switch {
		case d.alg == "":
			algs, err := d.s.reg.Blobs().Algorithms(ctx)
			if err != nil {
				yield(entry{}, err)
			}
			for _, alg := range algs {
				if !yield(entry{name: alg}, nil) {
					return
				}
			}
		case d.shard == "":
			for e, err := range d.s.reg.Blobs().Shards(ctx, d.alg) {
				if !yield(entry{e.Name, d.shardFound(&e)}, err) || err != nil {
					return
				}
			}
		default:
			for desc, err := range d.s.reg.Blobs().All(ctx, d.alg, d.shard) {
				if err != nil {
					yield(entry{}, err)
					return
				}
				if !yield(entry{desc.Digest.Encoded(), d.s.digestFound(&desc)}, nil) {
					return
				}
			}
		}
	}
}

func (d *storeDir) closed() error { return errStore }

// unlink refuses whether or not deletes are on.
func (d *storeDir) unlink(context.Context, string) error { return errCollected }
