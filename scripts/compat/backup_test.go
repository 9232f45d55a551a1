package compat

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/random"
)

// TestRawBackup backs a registry up with rsync and starts another one on the
// backup.
func TestRawBackup(t *testing.T) { onEach(t, testRawBackup) }

func testRawBackup(t *testing.T, k kind) {
	s := standardStorage(t, k, v3)
	want := tags(t, serve(t, v3, s))
	mnt := mount(t, s)

	backup := t.TempDir()
	rsync(t, filepath.Join(mnt, "raw")+"/", backup+"/")
	checkQuiet(t, filepath.Join(mnt, "raw")+"/", backup+"/")
	mustMatch(t, s.dir, backup)
	if got := checkServed(t, serve(t, v3, storage{dir: backup})); !maps.Equal(got, want) {
		t.Errorf("the backup has tags %v, want %v", got, want)
	}
}

// TestRawMigration writes a registry's whole tree into an empty mount and
// starts a registry on what that stored.
func TestRawMigration(t *testing.T) { onEach(t, testRawMigration) }

func testRawMigration(t *testing.T, k kind) {
	from, to := standardStorage(t, onDisk, v2), emptyStorage(t, k)
	want := tags(t, serve(t, v2, from))
	mnt := mount(t, to)
	rsync(t, from.dir+"/", filepath.Join(mnt, "raw")+"/")
	checkNoTransfer(t, from.dir+"/", filepath.Join(mnt, "raw")+"/")
	mustMatch(t, from.dir, to.dir, "-x", "_uploads") // empty directories exist in the mount only
	if got := checkServed(t, serve(t, v3, to)); !maps.Equal(got, want) {
		t.Errorf("the migrated registry has tags %v, want %v", got, want)
	}
}

// TestBackupOfBusyRegistry takes a backup while crane pushes: everything, and
// then all but the tags once more. That step brings the blobs and the links of
// what was tagged while the first one ran: rsync has looked at a repository's
// revisions before it comes to its tags. One repository is backed up in the
// same way. A backup may miss what came late, but what it has is whole.
func TestBackupOfBusyRegistry(t *testing.T) { onEach(t, testBackupOfBusyRegistry) }

func testBackupOfBusyRegistry(t *testing.T, k kind) {
	s := standardStorage(t, k, v3)
	r := serve(t, v3, s)
	mnt := mount(t, s)
	old := tagNames(t, r)

	pushed, stop := pushInLoop(t, r.Host)
	for pushed.Load() < 5 && !t.Failed() {
		time.Sleep(10 * time.Millisecond)
	}
	backup := t.TempDir()
	before := pushed.Load()
	for _, options := range [][]string{nil, {"--exclude=_manifests/tags"}} {
		// 24: uploads have vanished while rsync looked at them.
		r := tryRsync(t, filepath.Join(mnt, "raw")+"/", backup+"/", options...)
		if r.code != 0 && r.code != 24 {
			t.Fatalf("rsync -a raw/: exit status %d\n%s", r.code, firstLines(r.stderr, 20))
		}
	}
	during := pushed.Load() - before
	one := t.TempDir()
	for _, below := range []string{"", "_blobs", "_manifests"} {
		rsync(t, repository(mnt, "busy/app", below)+"/", filepath.Join(one, below)+"/")
	}
	stop()

	restored := serve(t, v3, storage{dir: backup})
	held := finished(backup, tagNames(t, restored))
	checkPulled(t, restored, digests(t, restored, held))
	t.Logf("%d pushes before the backup, %d while it ran; it has %d tags", before, during, len(held))
	if during == 0 {
		t.Error("nothing was pushed while the backup ran")
	}
	for _, tag := range old {
		if !slices.Contains(held, tag) {
			t.Errorf("the backup lacks %s, which was there before it", tag)
		}
	}

	into := emptyStorage(t, k)
	target := repository(mount(t, into), "busy/app")
	run(t, "mkdir", "-p", target)
	rsync(t, one+"/", target+"/")
	if got := checkServed(t, serve(t, v3, into)); len(got) == 0 {
		t.Error("the restored repository has no tags")
	}
}

// finished leaves out the tags that were being made when a copy was taken: a
// registry writes their index first, and lists a tag that has only that.
func finished(rootdirectory string, tags []string) []string {
	return slices.DeleteFunc(tags, func(tag string) bool {
		name, tag, _ := strings.Cut(tag, ":")
		_, err := os.Stat(filepath.Join(rootdirectory, "docker/registry/v2/repositories", name, "_manifests/tags", tag, "current/link"))
		return err != nil
	})
}

// pushInLoop lets crane push images, always another one to ever more tags,
// until stop is called. It counts them.
func pushInLoop(t testing.TB, host string) (pushed *atomic.Int64, stop func()) {
	t.Helper()
	crane := program(t, crane)
	layouts := randomLayouts(t, 20)
	ctx, cancel := context.WithCancel(t.Context())
	pushed = new(atomic.Int64)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			for _, tag := range []string{fmt.Sprintf("busy/app-%d:%d", i%3, i), "busy/app:latest"} {
				out, err := exec.CommandContext(ctx, crane, "push", layouts[i%len(layouts)], host+"/"+tag).CombinedOutput()
				if ctx.Err() != nil {
					return
				}
				if err != nil {
					t.Errorf("crane push %s: %v\n%s", tag, err, out)
					return
				}
				pushed.Add(1)
			}
		}
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return pushed, stop
}

// randomLayouts writes images to disk as crane pushes them: OCI layouts of one
// image.
func randomLayouts(t testing.TB, n int) []string {
	t.Helper()
	root := t.TempDir()
	var dirs []string
	for i := range n {
		img, err := random.Image(64<<10, 3)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(root, fmt.Sprint(i))
		path, err := layout.Write(dir, empty.Index)
		if err != nil {
			t.Fatal(err)
		}
		if err := path.AppendImage(img); err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, dir)
	}
	return dirs
}
