package compat

import (
	"strings"
	"testing"
)

// TestRestoreRepository carries repositories from one mount into another,
// empty one.
func TestRestoreRepository(t *testing.T) { onEach(t, testRestoreRepository) }

func testRestoreRepository(t *testing.T, k kind) {
	from, to := standardStorage(t, k, v3), emptyStorage(t, k)
	source, target := mount(t, from), mount(t, to)
	want := tags(t, serve(t, v3, from))

	names := []string{"team/app", "team/multi", "team/docker", "team/signed", "a", "foo/d/in"}
	for _, name := range names {
		run(t, "mkdir", "-p", repository(target, name))
		rsync(t, repository(source, name)+"/", repository(target, name)+"/")
	}
	for _, name := range names {
		checkQuiet(t, repository(source, name)+"/", repository(target, name)+"/")
		mustMatch(t, repository(source, name), repository(target, name))
	}

	r := serve(t, v3, to)
	got := checkServed(t, r)
	for tag, digest := range want {
		restored := false
		for _, name := range names {
			restored = restored || strings.HasPrefix(tag, name+":") || strings.HasPrefix(tag, name+"/")
		}
		if restored && got[tag] != digest {
			t.Errorf("restored %s = %v, want %s", tag, got[tag], digest)
		}
		if _, ok := got[tag]; ok && !restored {
			t.Errorf("%s was not restored, but is there", tag)
		}
	}
	for _, image := range []string{"team/app:latest", "team/multi:latest", "team/docker:2.0", "foo/d/in:1.2"} {
		checkClients(t, r, image)
	}
	checkDigests(t, r, target)

	// A new mount knows nothing of what this one remembers, such as times.
	unmount(t, target)
	again := mount(t, to)
	for _, name := range names {
		checkQuiet(t, repository(source, name)+"/", repository(again, name)+"/")
	}
	checkNames(t, again)
}
