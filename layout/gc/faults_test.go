package gc

import (
	"errors"
	"testing"

	"registryfs/drivers/drivertest"
	"registryfs/layout"
)

var errBroken = errors.New("broken")

// faultScene is a store with something of all kinds; what is returned must be whole
// whatever happens.
func faultScene(t *testing.T) (s scene, keep map[string][]image, dead image) {
	t.Helper()
	s = newScene(t)
	keep = map[string][]image{}
	keep["app"] = append(keep["app"], s.push("app", "latest", "latest"))
	child := s.push("multi", "", "child")
	s.index("multi", "1.0", child.manifest)
	keep["multi"] = append(keep["multi"], child, s.pushFor("multi", "", "signature", child.manifest))
	s.push("app", "v2", "old")
	keep["app"] = append(keep["app"], s.push("app", "v2", "new"))
	dead = s.push("app", "", "dead")
	s.push("app", signatureOf(dead), "for the dead one")
	s.layer("app", "alone")
	s.blob("without a link")
	return s, keep, dead
}

func signatureOf(img image) string { return "sha256-" + img.manifest.Encoded() + ".sig" }

// followed is after how many faults it is seen that the next runs do the rest: they
// take most of the time.
const followed = 5

// TestFaults fails every call of every kind of run, in all ways.
func TestFaults(t *testing.T) {
	later := Options{MinAge: day, Untagged: true}
	step := 1
	if testing.Short() {
		step = 3
	}
	var onItsWay image // when it was noted: its links are missing until a run is well
	for _, run := range []struct {
		name    string
		o       Options
		prepare func(s scene, keep map[string][]image)
	}{
		{"now", Options{Now: true, Untagged: true}, nil},
		{"note", later, func(s scene, _ map[string][]image) { s.later(3 * day) }},
		{"sweep", later, func(s scene, keep map[string][]image) {
			s.later(3 * day)
			s.run(later)
			s.later(3 * day)
			onItsWay = s.push("app", "", "dead")
			for _, d := range onItsWay.blobs[:2] {
				_ = s.d.Delete(s.t.Context(), linkPath("app", "_layers", d))
			}
			s.tag("app", "again", onItsWay.manifest)
			keep["c"] = []image{s.push("c", "latest", "old")}
			s.layer("app", "alone")
		}},
	} {
		for _, kind := range []struct {
			name string
			set  func(f *drivertest.Faulty, n int)
		}{
			{"fail", func(f *drivertest.Faulty, n int) { f.FailAt(n, errBroken) }},
			{"fail after", func(f *drivertest.Faulty, n int) { f.OnlyWrites().FailAfter(n, errBroken) }},
			{"crash", func(f *drivertest.Faulty, n int) { f.CrashAt(n, errBroken) }},
			{"crash after", func(f *drivertest.Faulty, n int) { f.OnlyWrites().CrashAfter(n, errBroken) }},
		} {
			t.Run(run.name+" "+kind.name, func(t *testing.T) {
				for n := 1; ; n += step {
					s, keep, dead := faultScene(t)
					onItsWay = image{}
					if run.prepare != nil {
						run.prepare(s, keep)
					}
					f := drivertest.NewFaulty(s.d)
					kind.set(f, n)
					o := run.o
					o.Parallel = 1
					report, err := Run(t.Context(), scene{t, f}.registry(), o)
					if f.Calls() < n {
						if err != nil {
							t.Errorf("a run without a fault: %v", err)
						}
						t.Logf("%d calls", f.Calls())
						break
					}
					if err == nil && report == nil {
						t.Errorf("call %d: neither an error nor a report", n)
					}
					for repo, images := range keep {
						for _, img := range images {
							if missing := s.missing(repo, img); missing != "" {
								t.Errorf("call %d: %s is not whole: %s", n, repo, missing)
							}
						}
					}
					if n%followed != 1 {
						continue
					}
					// And a run that goes well does the rest.
					_ = s.d.Delete(t.Context(), "/registryfs/gc/lock.json") // of what has crashed
					for range 3 {
						s.later(3 * day)
						if after := s.run(run.o); len(after.Lost)+len(after.Failed)+len(after.Held)+len(after.Kept) > 0 {
							t.Errorf("call %d: the run after it: %s", n, describe(after))
						}
					}
					if onItsWay.manifest != "" {
						keep["app"] = append(keep["app"], onItsWay)
					}
					s.wantCollected(n, keep)
					tag := root + "/repositories/app/_manifests/tags/" + signatureOf(dead) + "/current/link"
					if s.has(tag) != (onItsWay.manifest != "") {
						t.Errorf("call %d: in the end the signature's tag is there: %v", n, s.has(tag))
					}
					if t.Failed() {
						break
					}
				}
			})
		}
	}
}

// wantCollected checks that all is whole and that nothing is left that a fresh
// collection would take away.
func (s scene) wantCollected(n int, keep map[string][]image) {
	s.t.Helper()
	for repo, images := range keep {
		for _, img := range images {
			if missing := s.missing(repo, img); missing != "" {
				s.t.Errorf("call %d: in the end %s is not whole: %s", n, repo, missing)
			}
		}
	}
	if r := s.run(Options{Now: true, Untagged: true, DryRun: true}); r.Unreferenced.Files > 0 {
		s.t.Errorf("call %d: in the end there is garbage: %s", n, describe(r))
	}
}

// TestFaultsRemote fails every reading call on a store like S3.
func TestFaultsRemote(t *testing.T) {
	for n := 1; ; n++ {
		s, keep, _ := faultScene(t)
		f := drivertest.NewFaulty(drivertest.Remote(s.d))
		f.FailAt(n, errBroken)
		_, _ = Run(t.Context(), layout.New(f, layout.Options{}), Options{Now: true, Untagged: true, Parallel: 1})
		if f.Calls() < n {
			break
		}
		for repo, images := range keep {
			for _, img := range images {
				if missing := s.missing(repo, img); missing != "" {
					t.Fatalf("call %d: %s is not whole: %s", n, repo, missing)
				}
			}
		}
	}
}
