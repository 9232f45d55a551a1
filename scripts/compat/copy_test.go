package compat

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"registryfs/scripts/compat/internal/store"
)

// TestCopy copies a registry's store from disk to S3 and back, killed again and
// again on the way, and starts a registry on either copy.
func TestCopy(t *testing.T) {
	t.Parallel()
	from, bucket, back := standardStorage(t, onDisk, v3), emptyStorage(t, onS3), storage{dir: filepath.Join(t.TempDir(), "made")}
	more := store.Sizes{Repositories: 3, Tags: 20, Moved: 10, Images: 4, Layers: 2, LayerBytes: 2000}
	if err := errors.Join(store.New(from.dir).Generate(more), store.New(from.dir).PushBig("big/image", "1", 12<<20, 1)); err != nil {
		t.Fatal(err)
	}
	want := tags(t, serve(t, v3, from))
	copyKilled(t, from, bucket, 5)
	copyKilled(t, bucket, back, 5)
	for _, to := range []storage{bucket, back} {
		mustMatch(t, from.dir, to.dir, "-x", "_uploads", "-x", ".registryfs-*.tmp")
		if got := checkServed(t, serve(t, v3, to)); !maps.Equal(got, want) {
			t.Errorf("the copy has tags %v, want %v", got, want)
		}
	}

	// From bucket to bucket, a large layer in parts.
	second := emptyStorage(t, onS3)
	run(t, program(t, registryfs), "copy", bucket.source(), second.source()+"&multipartcopythresholdsize=5242880&multipartcopychunksize=5242880")
	mustMatch(t, bucket.dir, second.dir)

	// One repository only.
	other := emptyStorage(t, onS3)
	run(t, program(t, registryfs), "copy", "--repository", "library/busybox", bucket.source(), other.source())
	got := checkServed(t, serve(t, v3, other))
	if len(got) != 3 || got["library/busybox:1.35"] != want["library/busybox:1.35"] {
		t.Errorf("the copy of library/busybox has tags %v", got)
	}
	requests, err := bucketRequests()
	if err != nil || requests["CopyObject"] == 0 || requests["UploadPartCopy"] == 0 {
		t.Errorf("the server has copied nothing itself: %v, %v", requests, err)
	}
}

func bucketRequests() (map[string]int, error) {
	s, err := s3Server()
	if err != nil {
		return nil, err
	}
	return s.Requests()
}

// copyKilled kills n copies on the way, each after it has come further than the one
// before, and lets the last one end. What is there after each kill is whole.
func copyKilled(t *testing.T, from, to storage, n int) {
	t.Helper()
	args := []string{"copy", "--parallel", "4", "--quiet", from.source(), to.source()}
	all := len(storedFiles(t, from.dir))
	for i := range n {
		for !killCopy(t, args, to.dir, all*(i+1)/(n+1)) {
			run(t, "rm", "-rf", filepath.Join(to.dir, "docker")) // it was done before
		}
		for _, name := range storedFiles(t, to.dir) {
			got, gotErr := os.ReadFile(filepath.Join(to.dir, name))
			want, err := os.ReadFile(filepath.Join(from.dir, name))
			if err := errors.Join(gotErr, err); err != nil || !bytes.Equal(got, want) {
				t.Errorf("after kill %d: %s has %d bytes, want %d, %v", i+1, name, len(got), len(want), err)
			}
		}
	}
	run(t, program(t, registryfs), args...)
}

// killCopy kills a copy when there are so many files in dir, and tells if it was not
// done by then.
func killCopy(t *testing.T, args []string, dir string, files int) (killed bool) {
	t.Helper()
	cmd := exec.Command(program(t, registryfs), args...)
	cmd.Env = environ()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for len(storedFiles(t, dir)) < files {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("registryfs %q: %v", args, err)
			}
			return false
		case <-time.After(time.Millisecond):
		}
	}
	_ = cmd.Process.Kill() // it may have ended
	return <-ended != nil
}

// storedFiles are the files of a store, but for uploads and what is not whole yet.
func storedFiles(t *testing.T, dir string) (names []string) {
	t.Helper()
	dir = filepath.Join(dir, "docker")
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // it is being written
			return nil
		case err != nil:
			return err
		case e.Name() == "_uploads":
			return fs.SkipDir
		case !e.IsDir() && !strings.HasSuffix(name, ".tmp"):
			names = append(names, filepath.Join("docker", strings.TrimPrefix(name, dir)))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestCopyOfBusyRegistry copies a store that a registry takes pushes into: what the
// copy has, it has whole.
func TestCopyOfBusyRegistry(t *testing.T) {
	t.Parallel()
	from, to := standardStorage(t, onDisk, v3), emptyStorage(t, onS3)
	r := serve(t, v3, from)
	old := tagNames(t, r)
	pushed, stop := pushInLoop(t, r.Host)
	for pushed.Load() < 3 && !t.Failed() {
		time.Sleep(10 * time.Millisecond)
	}
	before := pushed.Load()
	for range 3 {
		run(t, program(t, registryfs), "copy", from.source(), to.source())
		for _, f := range runCheck(t, to, 0).Findings {
			if f.Weight != "lost" {
				t.Errorf("check of the copy: %+v", f)
			}
		}
	}
	during := pushed.Load() - before
	stop()
	got := checkServed(t, serve(t, v3, to))
	t.Logf("%d pushes before the copies, %d while they ran; the copy has %d tags", before, during, len(got))
	if during == 0 || len(got) < len(old) {
		t.Errorf("%d pushes while it was copied, %d tags of %d", during, len(got), len(old))
	}
}
