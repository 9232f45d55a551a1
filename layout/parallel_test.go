package layout

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"sync"
	"testing"

	"registryfs/drivers"
)

// Whatever is done to a few tags at the same time, none is ever seen half done.
func TestParallel(t *testing.T) {
	onBoth(t, func(t *testing.T, d drivers.StorageDriver) {
		r := New(d, testOptions(t, Options{}))
		p := r.Repository("app")
		images := []image{newImage("one", 1), newImage("two", 2), newImage("three", 0)}
		for _, img := range images {
			putImage(t, p, "", img)
		}
		tags := []TagName{"a", "b", "c"}
		fine := func(err error) bool {
			return err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist)
		}
		var wg sync.WaitGroup
		for seed := range uint64(6) {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(seed, 7))
				for range 40 {
					tag, img := tags[rnd.IntN(3)], images[rnd.IntN(3)]
					var err error
					switch rnd.IntN(7) {
					case 0:
						_, err = p.Manifests().Promote(t.Context(), img.digest(), PutOptions{Tag: tag, Exclusive: rnd.IntN(2) == 0})
					case 1:
						err = withUpload(t, r, "", img.manifest, func(u *Upload) error {
							_, err := p.Manifests().Put(t.Context(), u, PutOptions{Tag: tag})
							return err
						})
					case 2:
						var u Untagged
						if u, err = p.Tags().Untag(t.Context(), tag); err == nil {
							err = p.Tags().Restore(t.Context(), u)
						}
					case 3:
						err = p.Tags().Rename(t.Context(), tag, tags[rnd.IntN(3)])
					case 4:
						err = p.Blobs().Unlink(t.Context(), images[0].digest())
					default:
						var got Tag
						if got, err = p.Tags().Get(t.Context(), tag); err == nil && got.Problem != nil {
							err = got.Problem
						}
						if err == nil {
							_, err = p.Manifests().Get(t.Context(), got.Digest)
						}
					}
					if !fine(err) {
						t.Errorf("%s: %v", tag, err)
					}
				}
			})
		}
		wg.Wait()
		nothingDangles(t, r)
	})
}
