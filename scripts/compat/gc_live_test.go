package compat

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"registryfs/scripts/compat/internal/store"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// gcReport is what registryfs gc --json prints.
type gcReport struct {
	Unreferenced, Swept, Noted struct{ Files, Bytes int64 }
	Restored                   int64
	Kept, Problems, Lost       []string
}

// runGC collects. The exit status must be 0 if there were no problems, and 1 else.
func runGC(t testing.TB, source string, options ...string) gcReport {
	t.Helper()
	r := try(t, program(t, registryfs), append(append([]string{"gc", "--json", "-q"}, options...), source)...)
	var report gcReport
	err := json.Unmarshal([]byte(r.stdout), &report)
	if err != nil || r.code != min(1, len(report.Problems)) {
		t.Fatalf("registryfs gc %q: exit status %d; %v\n%s%s", options, r.code, err, r.stdout, r.stderr)
	}
	return report
}

// TestGCLive collects again and again while a registry takes pushes, most of them
// of what was untagged for about as long as it takes to be noted or swept. What was
// pushed can be pulled, but for losses that are reported.
func TestGCLive(t *testing.T) {
	if testing.Short() { // the same run takes twice as long there
		t.Parallel()
		testGCLive(t, onDisk)
		return
	}
	onEach(t, testGCLive)
}

const (
	gcRounds = 20
	gcRound  = 400 * time.Millisecond // at least
	gcAgain  = 36                     // images that are pushed again
	gcFresh  = 6                      // in each round
)

func testGCLive(t *testing.T, k kind) {
	s := emptyStorage(t, k)
	p := gcPusher{t: t, host: serve(t, v3, s).Host, tags: map[string]v1.Image{}}
	var again []v1.Image
	for range gcAgain {
		again = append(again, randomImage(t, 3))
	}

	var swept, restored int64
	for round := range gcRounds {
		next := time.After(gcRound)
		p.checkPulled("live/again:") // each lives for two rounds
		pushed := make(chan struct{})
		go func() {
			defer close(pushed)
			for i, img := range again {
				switch period := 4 + i%6; (round + i) % period {
				case 0:
					p.push(fmt.Sprintf("live/again:%d", i), img)
				case 2:
					p.untag(fmt.Sprintf("live/again:%d", i))
				}
				if i%(gcAgain/gcFresh) == 0 { // a new image on an old layer
					p.push(fmt.Sprintf("live/fresh:%d-%d", round, i), withLayerOf(t, again[(i+round)%gcAgain]))
				}
			}
		}()
		report := runGC(t, s.source(), "--untagged", "--min-age=1s")
		<-pushed
		swept += report.Swept.Files
		restored += report.Restored
		if others := len(report.Problems) - len(report.Lost); others > 0 || len(report.Kept) > 0 {
			t.Errorf("registryfs gc beside a registry: %q, kept %q", report.Problems, report.Kept)
		}
		p.pushLost(report.Lost)
		if t.Failed() {
			return
		}
		<-next
	}
	p.checkPulled("")
	t.Logf("%d pushes, %d of them after a refusal, %d after a reported loss; %d blobs swept, %d links put back",
		p.pushes, p.refused, p.lost, swept, restored)
	if swept < gcAgain || p.pushes < 200 {
		t.Errorf("%d pushes and %d blobs swept: the test did not see what it is about", p.pushes, swept)
	}
}

// gcPusher pushes, and knows what must be there.
type gcPusher struct {
	t                     *testing.T
	host                  string
	tags                  map[string]v1.Image
	pushes, refused, lost int
}

func (p *gcPusher) ref(tag string) name.Reference {
	ref, err := name.NewTag(p.host + "/" + tag)
	if err != nil {
		panic(err) // they are made here
	}
	return ref
}

// push pushes an image, up to three times if the registry finds that a layer has
// gone since it said that it is there.
func (p *gcPusher) push(tag string, img v1.Image) {
	for range 3 {
		err := remote.Write(p.ref(tag), img, remote.WithContext(p.t.Context()))
		if err == nil {
			p.tags[tag] = img
			p.pushes++
			return
		}
		var refusal *transport.Error
		if !errors.As(err, &refusal) || !slices.ContainsFunc(refusal.Errors, func(d transport.Diagnostic) bool {
			return d.Code == transport.ManifestBlobUnknownErrorCode
		}) {
			p.t.Errorf("push %s: %v", tag, err)
			return
		}
		p.refused++
	}
	p.t.Errorf("push %s: refused three times", tag)
}

func (p *gcPusher) untag(tag string) {
	if p.tags[tag] == nil {
		return
	}
	delete(p.tags, tag)
	if err := remote.Delete(p.ref(tag), remote.WithContext(p.t.Context())); err != nil {
		p.t.Errorf("untag %s: %v", tag, err)
	}
}

// pushLost does what gc says about a loss. crane pushes nothing if the tag has the
// manifest, so the tag goes first.
func (p *gcPusher) pushLost(lost []string) {
	for _, tag := range slices.Sorted(maps.Keys(p.tags)) {
		repository, _, _ := strings.Cut(tag, ":")
		m, err := p.tags[tag].Manifest()
		if err != nil {
			p.t.Fatal(err)
		}
		d, err := p.tags[tag].Digest()
		if err != nil {
			p.t.Fatal(err)
		}
		parts := []v1.Hash{d, m.Config.Digest}
		for _, l := range m.Layers {
			parts = append(parts, l.Digest)
		}
		if slices.ContainsFunc(parts, func(d v1.Hash) bool { return slices.Contains(lost, repository+"@"+d.String()) }) {
			p.lost++
			img := p.tags[tag]
			p.untag(tag)
			p.push(tag, img)
		}
	}
}

// checkPulled pulls and validates every tag that begins so.
func (p *gcPusher) checkPulled(begin string) {
	for _, tag := range slices.Sorted(maps.Keys(p.tags)) {
		if !strings.HasPrefix(tag, begin) {
			continue
		}
		img, err := remote.Image(p.ref(tag), remote.WithContext(p.t.Context()))
		if err == nil {
			err = validate.Image(img)
		}
		if err != nil {
			p.t.Errorf("pull %s: %v", tag, err)
		}
	}
}

func randomImage(t testing.TB, layers int64) v1.Image {
	t.Helper()
	img, err := random.Image(1<<10, layers)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// withLayerOf makes a new image that has a layer of another one, too.
func withLayerOf(t testing.TB, other v1.Image) v1.Image {
	layers, err := other.Layers()
	if err == nil {
		var img v1.Image
		if img, err = mutate.AppendLayers(randomImage(t, 1), layers[0]); err == nil {
			return img
		}
	}
	t.Error(err)
	return nil
}

// TestGCCache: a configuration that has the registry keep descriptors lets gc only
// note, until it is told that they are gone.
func TestGCCache(t *testing.T) {
	t.Parallel()
	s := standardStorage(t, onDisk, v3)
	c := newImage(t, "to be swept")
	if err := store.New(s.dir).Push("team/app", "swept", c); err != nil {
		t.Fatal(err)
	}
	run(t, "rm", "-r", filepath.Join(s.dir, "docker/registry/v2/repositories/team/app/_manifests/tags/swept"))
	config := filepath.Join(t.TempDir(), "config.yml")
	text := fmt.Sprintf("version: 0.1\nstorage:\n  cache: {blobdescriptor: inmemory}\n  filesystem: {rootdirectory: %q}\n", s.dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	blobs := func() string {
		return run(t, "find", filepath.Join(s.dir, "docker/registry/v2/blobs"), "-name", "data")
	}
	before := blobs()

	for _, what := range []string{"notes", "could sweep"} {
		report := runGC(t, config, "--untagged", "--min-age=0s")
		if len(report.Problems) != 1 || !strings.Contains(report.Problems[0], "cache of blob descriptors (inmemory)") {
			t.Errorf("the run that %s has the problems %q, want one about the cache", what, report.Problems)
		}
		if report.Unreferenced.Files < 3 || report.Swept.Files > 0 || blobs() != before {
			t.Errorf("the run that %s has swept: %+v", what, report)
		}
	}
	report := runGC(t, config, "--untagged", "--min-age=0s", "--registry-cache=flushed")
	if len(report.Problems) > 0 || report.Swept.Files == 0 || report.Swept.Files != report.Unreferenced.Files || blobs() == before {
		t.Errorf("the run after the flush: %+v", report)
	}
	checkServed(t, serve(t, v3, s))
}
