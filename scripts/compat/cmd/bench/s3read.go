package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"registryfs/scripts/compat/internal/raw"
)

// s3Read reads a large blob from one end to the other.
func (e *s3Env) s3Read(ctx context.Context, s *s3Store) error {
	blob := s.large()
	for _, far := range e.distances() {
		parallel, least := 8, 0.8
		if far {
			parallel, least = 16, 0.85
		}
		read := raw.Job{Work: "read", Key: blob.key, Size: blob.size, Part: 16 << 20, Parallel: parallel}
		for _, v := range []struct {
			reader, cache string
			options       []string
			peers         bool
		}{
			{reader: "dd bs=1M", peers: true},
			{reader: "dd bs=1M", cache: ", without a disk cache", options: []string{"--cache-dir", "none"}},
			{reader: "cat", cache: ", without a disk cache", options: []string{"--cache-dir", "none"}},
		} {
			err := e.compare(ctx, &comparison{
				store: s, far: far, own: !v.peers, options: v.options,
				rclone: []string{"--vfs-read-chunk-size", "16M", "--vfs-read-chunk-streams", "4"},
				phases: []*phase{{
					task:   fmt.Sprintf("`%s` of %.0f MB, %s%s", v.reader, blob.mb(), where(far), v.cache),
					format: "%.0f MB/s", rate: true,
					raw: func(ctx context.Context, p rawProgram) (float64, error) {
						took, err := p.do(ctx, read)
						return blob.mb() / took, err
					},
					floor: func(ctx context.Context) (float64, error) {
						works := []work{func(ctx context.Context, m *server) (float64, error) {
							return ran(ctx, "sh", "-c", readers[v.reader], "sh", m.path(blob.key))
						}}
						if v.cache == "" {
							works = append(works, e.writeFile(blob.size))
						}
						took, err := e.atOnce(ctx, s, far, read, works...)
						return blob.mb() / took, err
					},
					mount: readRate(v.reader, blob),
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

// readRate reads an object in MB/s by one of readers.
func readRate(reader string, o object) func(context.Context, *s3Mount) (float64, error) {
	return func(ctx context.Context, m *s3Mount) (float64, error) {
		took, err := ran(ctx, "sh", "-c", readers[reader], "sh", m.path(o.key))
		return o.mb() / took, err
	}
}

// work is what a program does in a mount, and takes so many seconds.
type work func(context.Context, *server) (float64, error)

// atOnce does the raw program's work and at the same time others, on a tree in memory
// through FUSE, and returns how many seconds the longest of them took: what a mount
// could do that added nothing to any of it.
func (e *s3Env) atOnce(ctx context.Context, s *s3Store, far bool, job raw.Job, others ...work) (float64, error) {
	m, err := e.mountFloor(ctx, s.tree, "-direct")
	if err != nil {
		return 0, err
	}
	all := append(others, func(ctx context.Context, _ *server) (float64, error) { return e.raw(s, far).do(ctx, job) })
	took := make([]float64, len(all))
	g, gctx := errgroup.WithContext(ctx)
	for i, do := range all {
		g.Go(func() (err error) {
			took[i], err = do(gctx, m)
			return err
		})
	}
	err = g.Wait()
	return slices.Max(took), errors.Join(err, m.stop())
}

// writeFile writes a file of so many bytes, as the disk cache does.
func (e *s3Env) writeFile(size int64) work {
	return func(ctx context.Context, _ *server) (float64, error) {
		name := filepath.Join(e.work, "written")
		took, err := ran(ctx, "dd", "if=/dev/zero", "of="+name, "bs=1M", "iflag=count_bytes", fmt.Sprintf("count=%d", size), "status=none")
		return took, errors.Join(err, os.Remove(name))
	}
}

// s3Again reads a blob that the disk cache has, by a fresh mount.
func (e *s3Env) s3Again(ctx context.Context, s *s3Store) error {
	blob := s.large()
	local := func(ctx context.Context, _ rawProgram) (float64, error) {
		took, err := ran(ctx, "cat", filepath.Join(s.tree, blob.key))
		return blob.mb() / took, err
	}
	return e.compare(ctx, &comparison{store: s, own: true, phases: []*phase{
		{
			task: "a blob read the first time, into the cache", format: "%.0f MB/s", rate: true,
			mount: func(ctx context.Context, m *s3Mount) (float64, error) {
				rate, err := readRate("cat", blob)(ctx, m)
				if err != nil {
					return 0, err
				}
				return rate, errors.Join(m.awaitCached(ctx, blob), e.sync(ctx))
			},
		},
		{
			task: "and again when it is whole there, after a remount (raw: `cat` of a local file)", format: "%.0f MB/s", rate: true,
			remount: true, raw: local, mount: readRate("cat", blob),
			wants: []want{leastOf(0.95, "local", rawsOf)},
		},
	}})
}

// awaitCached waits until the disk cache has the whole blob and knows its hash: it
// is filled and hashed behind the reader, and what the disk could not take at the
// reader's speed is fetched again.
func (m *s3Mount) awaitCached(ctx context.Context, blob object) error {
	hex := path.Base(path.Dir(blob.key))
	name := filepath.Join(m.dir, "cache", "v1", "sha256", hex[:2], hex)
	for range 600 {
		if _, err := os.Stat(name); err == nil {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("%s is not in the cache after a minute", hex)
}

const randomSize = 64 << 10

// s3Random reads here and there in a large blob.
func (e *s3Env) s3Random(ctx context.Context, s *s3Store) error {
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
			raw:    inMilliseconds(raw.Job{Work: "ranges", Key: blob.key, Size: randomSize, Offsets: offsets}),
			mount: func(ctx context.Context, m *s3Mount) (_ float64, err error) {
				f, err := os.Open(m.path(blob.key))
				if err != nil {
					return 0, err
				}
				defer func() { err = errors.Join(err, f.Close()) }()
				buf := make([]byte, randomSize)
				var times samples
				for _, off := range offsets {
					if ctx.Err() != nil {
						return 0, ctx.Err()
					}
					start := time.Now()
					if _, err := f.ReadAt(buf, off); err != nil {
						return 0, err
					}
					times = append(times, time.Since(start).Seconds()*1e3)
				}
				return times.median(), nil
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
func (e *s3Env) s3First(ctx context.Context, s *s3Store) error {
	files, err := firstFiles(s, e.s3Firsts)
	if err != nil {
		return err
	}
	n := int64(len(files))
	for _, far := range e.distances() {
		// One request for each of raw's. Near, the requests of FUSE weigh as much.
		var wants []want
		if far {
			wants = []want{mostOf(1.25, "raw", rawsOf)}
		}
		for _, c := range []*comparison{
			{store: s, far: far, phases: []*phase{{
				task: fmt.Sprintf("first byte of %d `raw/…/current/link`, %s, nothing known", n, where(far)), format: "%.2f ms",
				raw:   firstRaw(files, func(f firstFile) []string { return []string{f.link} }),
				mount: firstMount(files, nil, func(f firstFile, m *s3Mount) string { return m.path(f.link) }),
			}}},
			{store: s, far: far, own: true, phases: []*phase{{
				task: fmt.Sprintf("first byte of %d `_tags/<tag>`, %s, their repository listed", n, where(far)), format: "%.2f ms",
				raw:   firstRaw(files, func(f firstFile) []string { return []string{f.link, f.manifest} }),
				mount: firstMount(files, firstFile.repositoryPath, firstFile.tagPath),
				wants: wants,
			}}},
			{store: s, far: far, own: true, phases: []*phase{{
				task: fmt.Sprintf("first byte of %d `_manifests/sha256/<hex>`, %s, that directory listed", n, where(far)), format: "%.2f ms",
				raw:   firstRaw(files, func(f firstFile) []string { return []string{f.manifest} }),
				mount: firstMount(files, firstFile.revisionsPath, firstFile.digestPath),
				wants: wants,
			}}},
		} {
			if err := e.compare(ctx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// firstFile is a tag, with the keys of what it is stored as.
type firstFile struct{ repository, tag, link, manifest, hex string }

func (f firstFile) repositoryPath(m *s3Mount) string {
	return filepath.Join(m.mountpoint, "repositories", f.repository)
}

func (f firstFile) tagPath(m *s3Mount) string {
	return filepath.Join(f.repositoryPath(m), "_tags", f.tag)
}

func (f firstFile) revisionsPath(m *s3Mount) string {
	return filepath.Join(f.repositoryPath(m), "_manifests", "sha256")
}

func (f firstFile) digestPath(m *s3Mount) string { return filepath.Join(f.revisionsPath(m), f.hex) }

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
func firstRaw(files []firstFile, keys func(firstFile) []string) func(context.Context, rawProgram) (float64, error) {
	job := raw.Job{Work: "get"}
	for _, f := range files {
		job.Files = append(job.Files, keys(f))
	}
	return inMilliseconds(job)
}

// firstMount takes the median of the files' times to their first byte, each after
// a directory was listed.
func firstMount(files []firstFile, list, name func(firstFile, *s3Mount) string) func(context.Context, *s3Mount) (float64, error) {
	return func(ctx context.Context, m *s3Mount) (float64, error) {
		buf := make([]byte, 1)
		var times samples
		for _, f := range files {
			if list != nil {
				if _, err := os.ReadDir(list(f, m)); err != nil {
					return 0, err
				}
			}
			start := time.Now()
			if err := openOne(name(f, m), buf); err != nil {
				return 0, err
			}
			times = append(times, time.Since(start).Seconds()*1e3)
			if ctx.Err() != nil {
				return 0, ctx.Err()
			}
		}
		return times.median(), nil
	}
}
