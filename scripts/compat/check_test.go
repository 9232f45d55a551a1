package compat

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"registryfs/scripts/compat/internal/store"
)

// noFault is what Corrupt plants and check rightly passes over.
var noFault = map[string]string{
	"sha512 alias link":                            "a blob that was pushed by its sha512 is kept so",
	"signature of a schema 1 manifest":             "registries up to 2.4 kept them, and later ones do not look",
	"stray file with a name that no driver allows": "no driver shows it",
	"stray directory with a name that is no tag":   "nor this one, for the spaces in it",
	"symlink to nothing":                           "no driver shows it",
	"empty repository directory":                   "neither a registry nor an object store sees it",
	// Its findings are those of where it leads.
	"symlinked repository": "it is read through",
}

// noteOnly is what Corrupt plants and check reports as harmless.
var noteOnly = map[string]bool{
	"index with an absent child":             true,
	"stray file in tags":                     true,
	"stray file in a tag":                    true,
	"temporary file of a crashed write":      true,
	"unknown directory of a repository":      true,
	"revision with a name that is no digest": true,
	"link where a directory belongs":         true,
	"upload without startedat":               true,
	"temporary file of a crashed upload":     true,
	"blob of an unknown algorithm":           true,
	"temporary file of a crashed blob":       true,
	"stray file among the shards":            true,
	"repository without _manifests":          true,
}

type checkFinding struct{ Weight, Kind, Path, Detail string }

type checkReport struct {
	Findings []checkFinding
	Repairs  []struct{ Kind, Path, Error string }
	Summary  struct{ Faults, Failed, Verified int }
}

func runCheck(t testing.TB, s storage, status int, options ...string) checkReport {
	t.Helper()
	r := try(t, program(t, registryfs), append(append([]string{"check", "--json", "-q"}, options...), s.source())...)
	var report checkReport
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || r.code != status {
		t.Fatalf("registryfs check %q: exit status %d, want %d; %v\n%s%s", options, r.code, status, err, r.stdout, r.stderr)
	}
	return report
}

// TestCheck: what a real registry has written is clean, every fault that is planted
// is found, and nothing else; after the repair a registry serves what can be saved.
func TestCheck(t *testing.T) { onEach(t, testCheck) }

func testCheck(t *testing.T, k kind) {
	s := standardStorage(t, k, v3)
	clean := runCheck(t, s, 0, "--data", "--min-age", "0s")
	for _, f := range clean.Findings {
		if f.Weight != "lost" {
			t.Errorf("in what a registry has written: %+v", f)
		}
	}
	if clean.Summary.Verified == 0 {
		t.Error("no blob was read")
	}
	want := tags(t, serve(t, v3, s))

	planted, err := store.New(s.dir).Corrupt()
	if err != nil {
		t.Fatal(err)
	}
	planted = append(planted, cutManifest(t, s, want["library/busybox:latest"])...)
	planted = append(planted, unlinkLayer(t, s, "team/app"))
	report := runCheck(t, s, 1, "--data", "--min-age", "0s", "--repair", "--dry-run")
	checkPlanted(t, planted, slices.DeleteFunc(report.Findings, func(f checkFinding) bool { return slices.Contains(clean.Findings, f) }))
	again := runCheck(t, s, 1, "--data", "--min-age", "0s", "--repair")
	if len(again.Findings) != len(report.Findings) || len(again.Repairs) != len(report.Repairs) {
		t.Errorf("after a dry run %d findings and %d repairs, before %d and %d",
			len(again.Findings), len(again.Repairs), len(report.Findings), len(report.Repairs))
	}
	if again.Summary.Failed != 0 {
		t.Errorf("repairs failed: %+v", again.Repairs)
	}
	left := runCheck(t, s, 1, "--min-age", "0s")
	if left.Summary.Faults != again.Summary.Faults {
		t.Errorf("the repair has left %d faults, and says %d", left.Summary.Faults, again.Summary.Faults)
	}
	for _, f := range left.Findings {
		if f.Kind == "misnamed" || f.Kind == "no-current" || f.Kind == "leftover" || f.Kind == "damaged" && !strings.HasSuffix(f.Path, "/current/link") {
			t.Errorf("it is not repaired: %+v", f)
		}
	}

	r := serve(t, v3, s)
	saved := maps.Clone(want)
	good := digests(t, r, []string{"broken/strays:good"})["broken/strays:good"]
	for _, p := range planted { // the sound image of each, and the tag that pointed nowhere
		_, path, ok := strings.Cut(p.Path, "repositories/broken/")
		name, _, _ := strings.Cut(path, "/")
		if ok && !slices.Contains([]string{"no-manifests", "dangling", "empty", "symlinked"}, name) {
			saved["broken/"+name+":good"] = good
		}
	}
	saved["broken/strays:no-current"] = good
	names := slices.Sorted(maps.Keys(saved))
	if got := digests(t, r, names); !maps.Equal(got, saved) {
		t.Errorf("the registry serves %v, want %v", got, saved)
	}
	checkPulled(t, r, saved)
}

// cutManifest leaves of a manifest its beginning, and the whole of it beside: so a full
// disk left it to registry 2.8, and a crash a later push to 3.1.
func cutManifest(t testing.TB, s storage, d v1.Hash) []store.Planted {
	t.Helper()
	path := filepath.Join("docker/registry/v2/blobs/sha256", d.Hex[:2], d.Hex, "data")
	content, err := os.ReadFile(filepath.Join(s.dir, path))
	if err != nil {
		t.Fatal(err)
	}
	left := path + ".0197f7d2-3c1b-7a54-9c9f-2d6f0a3b1c5e.tmp"
	for path, content := range map[string][]byte{left: content, path: content[:len(content)/2]} {
		if err := os.WriteFile(filepath.Join(s.dir, path), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return []store.Planted{{What: "manifest cut short", Path: path}, {What: "temporary file of a crashed blob", Path: left}}
}

// unlinkLayer removes the link of a layer that a manifest of the repository names.
func unlinkLayer(t testing.TB, s storage, repository string) store.Planted {
	t.Helper()
	links, err := filepath.Glob(filepath.Join(s.dir, "docker/registry/v2/repositories", repository, "_layers/sha256/*/link"))
	if err != nil || len(links) == 0 {
		t.Fatalf("layers of %s: %q, %v", repository, links, err)
	}
	if err := os.Remove(links[0]); err != nil {
		t.Fatal(err)
	}
	return store.Planted{What: "missing link of a layer", Path: strings.TrimPrefix(links[0], s.dir+"/")}
}

// checkPlanted compares what was planted with what was found.
func checkPlanted(t testing.TB, planted []store.Planted, found []checkFinding) {
	t.Helper()
	of := func(f checkFinding) (p store.Planted, ok bool) {
		for _, p := range planted {
			path := "/" + p.Path
			if p.What == "tag without current" { // the file that is not there is what is reported
				path, _, _ = strings.Cut(path, "/index/")
			}
			if f.Path == path || strings.HasPrefix(f.Path, path+"/") || strings.HasPrefix(path, f.Path+"/") {
				return p, true
			}
		}
		return store.Planted{}, false
	}
	weights := map[store.Planted]string{}
	for _, f := range found {
		p, ok := of(f)
		if !ok {
			t.Errorf("found what was not planted: %+v", f)
		}
		if f.Weight == "fault" || weights[p] == "" {
			weights[p] = f.Weight
		}
	}
	for _, p := range planted {
		_, harmless := noFault[p.What]
		want := "fault"
		switch {
		case p.What == "symlinked repository":
			continue
		case harmless:
			want = ""
		case noteOnly[p.What],
			p.What == "link to a missing blob" && strings.Contains(p.Path, "/index/"),                 // a history may be longer than its manifests live
			p.What == "link to another digest than its name" && strings.Contains(p.Path, "/current/"): // this one has no name
			want = "note"
		}
		if weights[p] != want {
			t.Errorf("planted %s at %s: found as %q, want %q", p.What, p.Path, weights[p], want)
		}
	}
}
