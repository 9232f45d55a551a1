package blobcache

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// readThrough reads a random range of a blob of a store that holds p, as a mount
// does: what the cache lacks is got from the store and offered.
func readThrough(c *Cache, rnd *rand.Rand, d digest.Digest, p []byte) error {
	b := c.Blob(d, int64(len(p)))
	if b == nil {
		return fmt.Errorf("no blob")
	}
	defer b.Close()
	for range 8 {
		off := rnd.IntN(len(p))
		n := 1 + rnd.IntN(min(len(p)-off, 400_000))
		if rnd.IntN(4) == 0 {
			off, n = 0, len(p)
		}
		got := make([]byte, n)
		if f := b.File(); f != nil {
			if _, err := f.ReadAt(got, int64(off)); err != nil {
				return err
			}
		} else if !b.ReadAt(got, int64(off)) {
			copy(got, p[off:])
			b.Fill(got, int64(off))
		}
		if !bytes.Equal(got, p[off:off+n]) {
			return fmt.Errorf("read of %d bytes at %d of %s: other bytes", n, off, d)
		}
	}
	if b.Bad() {
		return fmt.Errorf("%s is called bad", d)
	}
	return nil
}

// store is a few blobs of several sizes.
func store() (blobs [][]byte, digests []digest.Digest) {
	for i, size := range []int{70, 5000, block, 200_000, 1 << 20, 3<<20 + 5, 4 << 20, 5 << 20} {
		p, d := content(uint64(1000+i), size)
		blobs, digests = append(blobs, p), append(digests, d)
	}
	return blobs, digests
}

// TestTwoCaches has two of them in one directory that is too small for all.
func TestTwoCaches(t *testing.T) {
	const limit = 11 << 20
	dir := t.TempDir()
	blobs, digests := store()
	var all sync.WaitGroup
	stop := time.Now().Add(2 * time.Second)
	var hits int64
	caches := []*Cache{open(t, dir, limit), open(t, dir, limit)}
	for i, c := range caches {
		for j := range 3 {
			all.Add(1)
			go func() {
				defer all.Done()
				rnd := rand.New(rand.NewPCG(uint64(i), uint64(j)))
				for time.Now().Before(stop) && !t.Failed() {
					k := rnd.IntN(len(blobs))
					if err := readThrough(c, rnd, digests[k], blobs[k]); err != nil {
						t.Error(err)
					}
				}
			}()
		}
	}
	all.Wait()
	for _, c := range caches {
		s := c.Stats()
		t.Logf("%+v", s)
		hits += s.Hits
		if s.Failures > 0 || s.Bad > 0 || s.Damaged > 0 {
			t.Errorf("%+v", s)
		}
	}
	if hits == 0 {
		t.Errorf("nothing was found")
	}
	if used := onDisk(t, caches[0]); used > limit+limit/4 {
		t.Errorf("%d bytes are used of %d", used, limit)
	}
}

const killedIn = "BLOBCACHE_TEST_KILLED_IN"

// TestKilled ends processes in the midst of filling, and looks at what is left.
func TestKilled(t *testing.T) {
	if dir := os.Getenv(killedIn); dir != "" {
		fillUntilKilled(t, dir)
	}
	dir := t.TempDir()
	blobs, digests := store()
	for round := range 12 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), killedIn+"="+dir, "SEED="+strconv.Itoa(round))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 1)); err != nil { // it has begun
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.IntN(15)) * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		cmd.Wait()

		c := open(t, dir, 64<<20)
		found := 0
		for i, d := range digests {
			b := c.Blob(d, -1)
			if b == nil {
				continue
			}
			for off := int64(0); off < b.Size(); off += block {
				n := min(block, b.Size()-off)
				got := make([]byte, n)
				if b.ReadAt(got, off) {
					found++
					if !bytes.Equal(got, blobs[i][off:off+n]) {
						t.Errorf("other bytes at %d of %s", off, d)
					}
				}
			}
			b.Close()
		}
		t.Logf("%d blocks were left", found)
		// A part can be gone on with at once: nobody has its lock.
		fill(t, c, blobs[round%len(blobs)], 1<<20)
		if s := c.Stats(); s.Damaged > 0 || s.Bad > 0 {
			t.Errorf("%+v", s)
		}
		c.Close()
		if round%4 == 3 {
			os.RemoveAll(dir)
		}
	}
}

func fillUntilKilled(t *testing.T, dir string) {
	blobs, digests := store()
	seed, _ := strconv.Atoi(os.Getenv("SEED"))
	rnd := rand.New(rand.NewPCG(uint64(seed), 0))
	c := open(t, dir, 64<<20)
	fmt.Println("begun")
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		k := rnd.IntN(len(blobs))
		if err := readThrough(c, rnd, digests[k], blobs[k]); err != nil {
			t.Fatal(err)
		}
	}
}
