package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"

	"registryfs/scripts/compat/internal/raw"
)

// s3Put copies a large blob in.
func (e *s3Env) s3Put(ctx context.Context, s *s3Store) error {
	dir, err := e.newDir("put")
	if err != nil {
		return err
	}
	name := filepath.Join(dir, "blob")
	digest, err := writeRandom(name, e.s3PutMiB<<20)
	if err != nil {
		return err
	}
	if err := e.sync(ctx); err != nil {
		return err
	}
	key := path.Join("docker/registry/v2/blobs/sha256", digest[:2], digest, "data")
	put := raw.Job{Work: "put", Key: "raw-put", File: name}
	for _, far := range e.distances() {
		check := raw.New(e.server.Endpoint(), s.bucket.Name)
		cleanUp := func() error {
			return errors.Join(os.RemoveAll(filepath.Join(s.bucket.Dir(), "raw-put")), e.sync(ctx))
		}
		p := &phase{
			task: fmt.Sprintf("`cp` of %d MiB to `_blobs/sha256/<hex>`, %s", e.s3PutMiB, where(far)), format: "%.2f s",
			raw: func(ctx context.Context, p rawProgram) (float64, error) {
				took, err := p.do(ctx, put)
				return took, errors.Join(err, cleanUp())
			},
			// The raw program puts while cp goes through FUSE to what hashes: the
			// least for a mount that looks at what it puts.
			floor: func(ctx context.Context) (float64, error) {
				took, err := e.atOnce(ctx, s, far, put, func(ctx context.Context, m *server) (float64, error) {
					return ran(ctx, "cp", name, m.path(s.large().key))
				})
				return took, errors.Join(err, cleanUp())
			},
			mount: func(ctx context.Context, m *s3Mount) (float64, error) {
				to := m.path(key)
				if m.contender == "" {
					to = filepath.Join(m.mountpoint, "repositories", "big/image", "_blobs", "sha256", digest)
				} else if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
					return 0, err
				}
				took, err := ran(ctx, "cp", name, to)
				if err != nil {
					return 0, err
				}
				size, err := check.Size(ctx, key)
				if err == nil && size != e.s3PutMiB<<20 {
					err = fmt.Errorf("%d bytes are in the bucket when cp returns", size)
				}
				return took, errors.Join(err, os.RemoveAll(filepath.Join(s.bucket.Dir(), filepath.Dir(key))), e.sync(ctx))
			},
			wants: []want{mostOf(1.25, "raw", rawsOf)},
		}
		if err := e.compare(ctx, &comparison{store: s, far: far, phases: []*phase{p}}); err != nil {
			return err
		}
	}
	return nil
}

// writeRandom writes a file and returns the digest of what is in it.
func writeRandom(name string, size int64) (digest string, err error) {
	f, err := os.Create(name)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, err = io.CopyN(io.MultiWriter(f, h), rand.NewChaCha8([32]byte{7}), size)
	return hex.EncodeToString(h.Sum(nil)), errors.Join(err, f.Close())
}

// s3Memory reports what was resident at most in all tasks before it.
func (e *s3Env) s3Memory(ctx context.Context) error {
	e.printS3Header()
	own := e.highest[""]
	if own.mb == 0 {
		e.log("s3memory: it is about the tasks before it, and there are none")
		return nil
	}
	const limit = 256<<20/1e6 + 64 // --memory and 64 MB
	p := &phase{format: "%.0f MB", wants: []want{most(limit, "MB")}, values: samples{own.mb}}
	cells := []string{"peak memory over all of it", "–", "–", fmt.Sprintf("%.0f MB (%s)", own.mb, own.task)}
	p.peers = map[string]peerValues{}
	for _, peer := range e.peers {
		most := e.highest[peer.name]
		cells = append(cells, fmt.Sprintf("%.0f MB", most.mb))
		p.peers[peer.name] = peerValues{samples: samples{most.mb}}
	}
	e.line(append(cells, "–", "–", p.toBestPeer(), e.verdicts(p))...)
	return nil
}
