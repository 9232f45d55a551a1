package compat

import (
	"fmt"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// TestCheckLive checks and repairs again and again while a registry takes pushes,
// moves tags and deletes: it finds no fault and repairs nothing.
func TestCheckLive(t *testing.T) {
	onEach(t, func(t *testing.T, k kind) {
		for _, version := range []release{v3, v2} { // 2.8 writes links and manifests in place
			t.Run(version.name, func(t *testing.T) { testCheckLive(t, k, version) })
		}
	})
}

func testCheckLive(t *testing.T, k kind, version release) {
	const pushes = 40
	s := emptyStorage(t, k)
	p := &gcPusher{t: t, host: serve(t, version, s).Host, tags: map[string]v1.Image{}}
	p.push("live/app:0", randomImage(t, 2))

	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range pushes {
			p.push(fmt.Sprintf("live/app:%d", i%7), randomImage(t, 2)) // a new tag, or one that moves
			if i%3 == 0 {
				p.push(fmt.Sprintf("live/new-%d:latest", i), randomImage(t, 1))
			}
			if i%5 == 0 {
				p.deleteManifest(fmt.Sprintf("live/app:%d", i%7))
			}
		}
	}()
	checks := 0
	for pushing := true; pushing; checks++ {
		select {
		case <-done:
			pushing = false
		default:
		}
		report := try(t, program(t, registryfs), "check", "--data", "--repair", "-q", s.source())
		if report.code != 0 {
			t.Errorf("registryfs check beside a registry: exit status %d\n%s%s", report.code, report.stdout, report.stderr)
		}
	}
	t.Logf("%d pushes, %d checks", p.pushes, checks)
	if p.pushes < pushes || checks < 2 {
		t.Errorf("%d pushes and %d checks: the test did not see what it is about", p.pushes, checks)
	}
	p.checkPulled("")
}

// deleteManifest deletes the manifest of a tag, and so the tag.
func (p *gcPusher) deleteManifest(tag string) {
	d, err := p.tags[tag].Digest()
	if err != nil {
		p.t.Error(err)
		return
	}
	delete(p.tags, tag)
	if err := remote.Delete(p.ref(tag).Context().Digest(d.String()), remote.WithContext(p.t.Context())); err != nil {
		p.t.Errorf("delete %s: %v", d, err)
	}
}
