package fusefs

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// seedTwo fills a store: two repositories that share a layer, one nested in the
// other, every media type, and an untagged revision.
func (m *mount) seedTwo(t testing.TB) (images map[string]image) {
	t.Helper()
	shared := layer("shared", 200_000)
	images = map[string]image{
		"app:v1":          newImage("one", shared, layer("a", 100)),
		"app:v2":          newImage("two", shared, layer("b", 3000)),
		"app:multi":       newIndex(newImage("amd64", shared), newImage("arm64", layer("arm64", 10))),
		"app/nested:v1":   newDockerImage("docker", shared),
		"app/nested:list": newDockerList(newDockerImage("docker", shared), newDockerImage("docker-arm64", layer("c", 5))),
		"team/x/y:v1":     newImage("one", shared, layer("a", 100)),
	}
	for name, i := range images {
		repo, tag, _ := strings.Cut(name, ":")
		m.put(t, repo, i, tag)
	}
	m.put(t, "app", newImage("untagged", layer("d", 50)))
	m.put(t, "app", images["app:v1"], "latest")
	return images
}

// wantImages checks the store for what seedTwo put into another.
func (m *mount) wantImages(t *testing.T, images map[string]image) {
	t.Helper()
	for name, i := range images {
		repo, tag, _ := strings.Cut(name, ":")
		m.wantTag(t, repo, tag, i)
	}
}

// TestRsyncRepository takes a backup of a repository and puts it back into an
// empty store, which a second run finds nothing to do in.
func TestRsyncRepository(t *testing.T) {
	t.Parallel()
	need(t, "rsync")
	for _, flags := range []string{"-a", "-a --inplace", "-a --delay-updates", "-aHAX"} {
		t.Run(flags, func(t *testing.T) {
			t.Parallel()
			if strings.Contains(flags, "X") && os.Geteuid() != 0 {
				t.Skip("an ordinary user cannot set all attributes")
			}
			from, to := newMount(t), newMount(t)
			images := from.seedTwo(t)
			backup := t.TempDir()
			env := []string{"flags=" + flags, "from=" + from.dir, "to=" + to.dir, "backup=" + backup}
			from.bash(t, 0, `rsync $flags $from/repositories/ $backup/`, env...)
			from.quiet(t, `rsync $flags -i $from/repositories/ $backup/`, env...)
			from.bash(t, 0, `diff -r $from/repositories $backup`, env...)
			if strings.Contains(flags, "H") {
				// Of the names of one file rsync writes the last and then links
				// the others, so the tags of all repositories but the last one
				// come before their blobs. They are refused; a second run has
				// all it needs.
				to.bash(t, 23, `rsync $flags $backup/ $to/repositories/`, env...)
			}
			to.bash(t, 0, `rsync $flags $backup/ $to/repositories/`, env...)
			to.wantImages(t, images)
			to.bash(t, 0, `diff -r $to/repositories $backup && diff -r $to/repositories $from/repositories`, env...)
			to.quiet(t, `rsync $flags -i $backup/ $to/repositories/`, env...)
			to.quiet(t, `rsync $flags -i $from/repositories/ $to/repositories/`, env...)
			// What the mount remembers is not what makes it quiet.
			again := newMount(t, over(to.store))
			env[2] = "to=" + again.dir
			again.quiet(t, `rsync $flags -i $backup/app/ $to/repositories/app/`, env...)
		})
	}
}

// TestRsyncOneRepository restores one repository alone, in which no blob has
// two names.
func TestRsyncOneRepository(t *testing.T) {
	t.Parallel()
	need(t, "rsync")
	for _, flags := range []string{"-aH", "-a --preallocate --fsync"} {
		t.Run(flags, func(t *testing.T) {
			from, to := newMount(t), newMount(t)
			images := from.seedTwo(t)
			backup := filepath.Join(t.TempDir(), "app")
			env := []string{"flags=" + flags, "from=" + from.path("repositories/team/x/y"), "to=" + to.path("repositories/team/x/y"), "backup=" + backup}
			from.bash(t, 0, `rsync $flags $from/ $backup/`, env...)
			to.bash(t, 0, `mkdir -p $to && rsync $flags $backup/ $to/`, env...)
			to.wantTag(t, "team/x/y", "v1", images["team/x/y:v1"])
			to.quiet(t, `rsync $flags -i $backup/ $to/`, env...)
		})
	}
}

// quiet runs an rsync -i that finds nothing to do.
func (m *mount) quiet(t *testing.T, script string, env ...string) {
	t.Helper()
	if got := m.out(t, script, env...); got != "" {
		t.Errorf("%s does %q, want nothing", script, got)
	}
}

// TestRsyncHardLinks keeps the names of one digest one file in a backup.
func TestRsyncHardLinks(t *testing.T) {
	t.Parallel()
	need(t, "rsync")
	m := newMount(t)
	m.seedTwo(t)
	hex := hexOf(layer("shared", 200_000))
	backup := t.TempDir()
	got := m.out(t, `rsync -aH --stats $repos/ $backup/ | grep 'Total transferred file size' | tr -dc 0-9; echo
		stat -c %i $backup/app/_blobs/sha256/$hex $backup/app/nested/_blobs/sha256/$hex $backup/team/x/y/_blobs/sha256/$hex | sort -u | wc -l`,
		"backup="+backup, "hex="+hex)
	lines := strings.Fields(got)
	if lines[1] != "1" {
		t.Errorf("the shared layer is %s files in the backup, want 1", lines[1])
	}
	var sent int
	if fmt.Sscan(lines[0], &sent); sent < 200_000 || sent > 300_000 {
		t.Errorf("rsync -aH sent %d bytes, want those of the shared layer once", sent)
	}
}

// TestRsyncRaw copies a whole store out, and into another one.
func TestRsyncRaw(t *testing.T) {
	t.Parallel()
	need(t, "rsync")
	for _, flags := range []string{"-aH", "-a --inplace"} {
		t.Run(flags, func(t *testing.T) {
			t.Parallel()
			from, to := newMount(t), newMount(t)
			images := from.seedTwo(t)
			from.odd(t)
			backup := t.TempDir()
			env := []string{"flags=" + flags, "from=" + from.dir, "to=" + to.dir, "backup=" + backup}
			from.bash(t, 0, `rsync $flags $from/raw/ $backup/`, env...)
			if onS3 { // whose times are whole seconds, and cannot be set
				sameTree(t, files(t, from.store), files(t, backup))
			} else {
				sameTree(t, tree(t, from.store), tree(t, backup))
			}
			from.quiet(t, `rsync $flags -i $from/raw/ $backup/`, env...)
			to.bash(t, 0, `rsync $flags $backup/ $to/raw/`, env...)
			if onS3 {
				sameTree(t, files(t, backup), files(t, to.store))
			} else {
				sameTree(t, tree(t, backup), tree(t, to.store))
			}
			to.quiet(t, `rsync $flags -i $backup/ $to/raw/`, env...)
			to.wantImages(t, images)
			to.bash(t, 0, `diff -r $from/raw $to/raw && diff -r $from/repositories $to/repositories && diff -r $from/blobs $to/blobs`, env...)
			to.quiet(t, `rsync $flags -i $from/repositories/ $to/repositories/`, env...)
		})
	}
}

// TestRsyncRawLog: what goes well is not logged as a warning.
func TestRsyncRawLog(t *testing.T) {
	t.Parallel()
	need(t, "rsync")
	var log bytes.Buffer
	m := newMount(t, func(c *mountConfig) {
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	})
	local := t.TempDir()
	m.bash(t, 0, `mkdir -p $local/a/b && echo x >$local/a/f && echo y >$local/a/b/f && touch raw && rsync -a $local/ raw/ && diff -r $local raw`, "local="+local)
	m.unmount(t)
	if log.Len() > 0 {
		t.Errorf("the log has\n%s", &log)
	}
}

// odd puts into a store what a registry keeps beside its content.
func (m *mount) odd(t *testing.T) {
	t.Helper()
	for path, content := range map[string]string{
		"scheduler-state-of-another.json":                         "{}",
		repoDir("app") + "/_uploads/0197f7d2/startedat":           "2026-01-01T00:00:00Z",
		repoDir("app") + "/_uploads/0197f7d2/data":                "some bytes",
		repoDir("app") + "/_uploads/0197f7d2/hashstates/sha256/0": "\x00\x01state",
		repoDir("app") + "/_manifests/tags/stray":                 "not a tag",
		repoDir("app") + "/_unknown/file":                         "kept",
		v2 + "/empty":                                             "",
	} {
		m.plant(t, path, []byte(content))
	}
}

// TestRsyncChanges brings a backup and a store up to date with one another.
func TestRsyncChanges(t *testing.T) {
	t.Parallel()
	need(t, "rsync")
	for _, on := range []bool{true, false} {
		t.Run(fmt.Sprintf("deletes=%v", on), func(t *testing.T) {
			from, to := newMount(t, withDeletes), newMount(t, deletes(on))
			images := from.seedTwo(t)
			env := []string{"from=" + from.path("repositories/app"), "to=" + to.path("repositories/app")}
			from.bash(t, 0, `rsync -a $from/ $to/`, env...)

			three := newImage("three", layer("e", 30))
			from.put(t, "app", three)
			from.bash(t, 0, `cp -f $from/_manifests/sha256/$hex $from/_tags/v1; rm $from/_tags/v2`, append(env, "hex="+three.hex())...)
			exit := 0
			if !on {
				exit = 23 // as rm: each name that stays is reported
			}
			got := from.bash(t, exit, `rsync -ai --delete $from/ $to/`, env...).stdout
			if !strings.Contains(got, "*deleting   _tags/v2\n") == on {
				t.Errorf("rsync --delete does:\n%s", got)
			}
			to.wantTag(t, "app", "v1", three)
			if on {
				to.wantNoTag(t, "app", "v2")
				to.quiet(t, `rsync -ai --delete $from/ $to/`, env...)
			} else {
				to.wantTag(t, "app", "v2", images["app:v2"])
			}
			to.quiet(t, `rsync -ai $from/ $to/`, env...)
		})
	}
}

// TestRsyncRefused loses the files that are no manifests, and only those.
func TestRsyncRefused(t *testing.T) {
	t.Parallel()
	need(t, "rsync")
	for _, flags := range []string{"-a", "-a --delay-updates"} {
		t.Run(flags, func(t *testing.T) {
			t.Parallel()
			m := newMount(t)
			i := newImage("one", layer("a", 10))
			m.put(t, "app", i, "v2")
			local := t.TempDir()
			for name, content := range map[string]string{"v1": "bad", "v2": "bad", "v3": string(i.manifest), "v4": "{}", "v5": string(i.manifest)} {
				if err := os.WriteFile(filepath.Join(local, name), []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			r := m.bash(t, 23, `rsync $flags $local/ $repos/app/_tags/`, "flags="+flags, "local="+local)
			for _, name := range []string{"v1", "v2", "v4"} {
				if !strings.Contains(r.stderr, name+`"`) || !strings.Contains(r.stderr, "Invalid argument") {
					t.Errorf("rsync does not name %s: %s", name, r.stderr)
				}
			}
			for _, name := range []string{"v2", "v3", "v5"} {
				m.wantTag(t, "app", name, i)
			}
			if got := m.out(t, `ls -A $repos/app/_tags`); got != "v2\nv3\nv5" {
				t.Errorf("ls -A _tags = %q, want v2, v3, v5", got)
			}
		})
	}
}
