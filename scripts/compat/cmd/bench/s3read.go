package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// s3Read reads a large blob from one end to the other.
func (b *bench) s3Read(ctx context.Context) error {
	e, err := b.s3(ctx)
	if err != nil {
		return err
	}
	s, err := e.big(ctx)
	if err != nil {
		return err
	}
	blob := s.large()
	for _, far := range e.distances() {
		parallel, least := 8, 0.8
		if far {
			parallel, least = 16, 0.85
		}
		for _, v := range []struct {
			task    string
			options []string
			peers   bool
		}{
			{task: "`cat` of %.0f MB, %s", peers: true},
			{task: "`cat` of %.0f MB, %s, without a disk cache", options: []string{"--cache-dir", "none"}},
		} {
			err := e.compare(ctx, &comparison{
				store: s, far: far, own: !v.peers, options: v.options,
				rclone: []string{"--vfs-read-chunk-size", "16M", "--vfs-read-chunk-streams", "4"},
				phases: []*phase{{
					task: fmt.Sprintf(v.task, float64(blob.size)/1e6, where(far)), format: "%.0f MB/s", rate: true,
					raw: func(ctx context.Context, r *rawS3) (float64, error) {
						start := time.Now()
						err := r.read(ctx, blob, 16<<20, parallel)
						return blob.mb() / time.Since(start).Seconds(), err
					},
					mount: catRate(blob),
					wants: []want{leastOf(least, "raw", rawsOf)},
				}},
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (o object) mb() float64 { return float64(o.size) / 1e6 }

// catRate reads an object in MB/s.
func catRate(o object) func(context.Context, *s3Mount) (float64, error) {
	return func(ctx context.Context, m *s3Mount) (float64, error) {
		took, err := ran(ctx, "cat", m.path(o.key))
		return o.mb() / took, err
	}
}

// s3Again reads a blob that the disk cache has, by a fresh mount.
func (b *bench) s3Again(ctx context.Context) error {
	e, err := b.s3(ctx)
	if err != nil {
		return err
	}
	s, err := e.big(ctx)
	if err != nil {
		return err
	}
	blob := s.large()
	local := func(ctx context.Context, _ *rawS3) (float64, error) {
		took, err := ran(ctx, "cat", filepath.Join(s.tree, blob.key))
		return blob.mb() / took, err
	}
	return e.compare(ctx, &comparison{store: s, own: true, phases: []*phase{
		{
			task: "a blob read the first time, into the cache", format: "%.0f MB/s", rate: true,
			mount: func(ctx context.Context, m *s3Mount) (float64, error) {
				rate, err := catRate(blob)(ctx, m)
				return rate, errors.Join(err, e.sync(ctx))
			},
		},
		{
			task: "and the second time, after a remount (raw: `cat` of a local file)", format: "%.0f MB/s", rate: true,
			remount: true, raw: local, mount: catRate(blob),
			wants: []want{leastOf(0.95, "local", rawsOf)},
		},
	}})
}

const randomSize = 64 << 10

// s3Random reads here and there in a large blob.
func (b *bench) s3Random(ctx context.Context) error {
	e, err := b.s3(ctx)
	if err != nil {
		return err
	}
	s, err := e.big(ctx)
	if err != nil {
		return err
	}
	blob := s.large()
	for _, far := range e.distances() {
		r := rand.New(rand.NewPCG(1, 2))
		offsets := make([]int64, e.s3Reads)
		for i := range offsets {
			offsets[i] = r.Int64N(blob.size - randomSize)
		}
		p := &phase{
			task:   fmt.Sprintf("%d random reads of 64 KiB, %s, p50", e.s3Reads, where(far)),
			format: "%.2f ms",
			raw: func(ctx context.Context, raw *rawS3) (float64, error) {
				return raw.getRanges(ctx, blob.key, offsets, randomSize)
			},
			mount: func(ctx context.Context, m *s3Mount) (_ float64, err error) {
				f, err := os.Open(m.path(blob.key))
				if err != nil {
					return 0, err
				}
				defer func() { err = errors.Join(err, f.Close()) }()
				buf := make([]byte, randomSize)
				return medianOf(offsets, func(off int64) error {
					if ctx.Err() != nil {
						return ctx.Err()
					}
					_, err := f.ReadAt(buf, off)
					return err
				})
			},
			wants: []want{mostOf(1.25, "raw", rawsOf)},
		}
		if far {
			p.wants = append(p.wants, fewBytes(2*randomSize*int64(e.s3Reads)))
		}
		if err := e.compare(ctx, &comparison{store: s, far: far, phases: []*phase{p}}); err != nil {
			return err
		}
	}
	return nil
}

// s3First opens small files that nothing is known of yet, each in another
// repository as far as there are so many.
func (b *bench) s3First(ctx context.Context) error {
	e, err := b.s3(ctx)
	if err != nil {
		return err
	}
	s, err := e.medium(ctx)
	if err != nil {
		return err
	}
	files, err := firstFiles(s, e.s3Firsts)
	if err != nil {
		return err
	}
	n := int64(len(files))
	for _, far := range e.distances() {
		limit := 2.0
		if far {
			limit = 1.25
		}
		for _, c := range []*comparison{
			{store: s, far: far, phases: []*phase{{
				task: fmt.Sprintf("first byte of %d `raw/…/current/link`, %s, cold, p50", n, where(far)), format: "%.2f ms",
				raw:   firstRaw(files, func(f firstFile) []string { return []string{f.link} }),
				mount: firstMount(files, func(m *s3Mount, f firstFile) string { return m.path(f.link) }),
				wants: []want{mostOf(limit, "raw", rawsOf)},
			}}},
			{store: s, far: far, own: true, phases: []*phase{{
				task: fmt.Sprintf("first byte of %d `_tags/<tag>`, %s, cold, p50", n, where(far)), format: "%.2f ms",
				raw: firstRaw(files, func(f firstFile) []string { return []string{f.link, f.manifest} }),
				mount: firstMount(files, func(m *s3Mount, f firstFile) string {
					return filepath.Join(m.mountpoint, "repositories", f.repository, "_tags", f.tag)
				}),
				wants: []want{mostOf(limit, "raw", rawsOf), fewRequests(2*n + firstSlack)},
			}}},
			{store: s, far: far, own: true, phases: []*phase{
				{
					task: fmt.Sprintf("`ls` of their `_manifests/sha256`, %s, each", where(far)), format: "%.2f ms",
					mount: func(_ context.Context, m *s3Mount) (float64, error) {
						return medianOf(files, func(f firstFile) error {
							_, err := os.ReadDir(filepath.Dir(f.digestPath(m)))
							return err
						})
					},
				},
				{
					task: fmt.Sprintf("then the first byte of a manifest there, %s, p50", where(far)), format: "%.2f ms",
					raw:   firstRaw(files, func(f firstFile) []string { return []string{f.manifest} }),
					mount: firstMount(files, func(m *s3Mount, f firstFile) string { return f.digestPath(m) }),
					wants: []want{mostOf(limit, "raw", rawsOf), fewRequests(n)},
				},
			}},
		} {
			if err := e.compare(ctx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// firstSlack is what a mount may ask at its start.
const firstSlack = 5

// firstFile is a tag, with the keys of what it is stored as.
type firstFile struct{ repository, tag, link, manifest, hex string }

func (f firstFile) digestPath(m *s3Mount) string {
	return filepath.Join(m.mountpoint, "repositories", f.repository, "_manifests", "sha256", f.hex)
}

// firstFiles are n tags of different manifests.
func firstFiles(s *s3Store, n int) (files []firstFile, err error) {
	seen := map[string]bool{}
	perRepository := map[string]int{}
	for round := 1; len(files) < n && round < 10; round++ {
		for _, o := range s.objects {
			rest, ok := strings.CutSuffix(o.key, "/current/link")
			if !ok || len(files) == n {
				continue
			}
			repository, tag, _ := strings.Cut(strings.TrimPrefix(rest, "docker/registry/v2/repositories/"), "/_manifests/tags/")
			text, err := os.ReadFile(filepath.Join(s.tree, o.key))
			if err != nil {
				return nil, err
			}
			hex := strings.TrimPrefix(string(text), "sha256:")
			if seen[hex] || perRepository[repository] >= round {
				continue
			}
			seen[hex] = true
			perRepository[repository]++
			files = append(files, firstFile{
				repository, tag, o.key, path.Join("docker/registry/v2/blobs/sha256", hex[:2], hex, "data"), hex,
			})
		}
	}
	return files, nil
}

// firstRaw gets the objects of each file, one after the other.
func firstRaw(files []firstFile, keys func(firstFile) []string) func(context.Context, *rawS3) (float64, error) {
	return func(ctx context.Context, r *rawS3) (float64, error) {
		return medianOf(files, func(f firstFile) error {
			for _, key := range keys(f) {
				if err := r.get(ctx, io.Discard, key, ""); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

func firstMount(files []firstFile, name func(*s3Mount, firstFile) string) func(context.Context, *s3Mount) (float64, error) {
	return func(ctx context.Context, m *s3Mount) (float64, error) {
		buf := make([]byte, 1)
		return medianOf(files, func(f firstFile) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return openOne(name(m, f), buf)
		})
	}
}
