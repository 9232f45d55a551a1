package compat

import (
	"maps"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestCopy copies a registry's store from disk to S3 and back, killed again and
// again on the way, and starts a registry on either copy.
func TestCopy(t *testing.T) {
	t.Parallel()
	from, bucket, back := standardStorage(t, onDisk, v3), emptyStorage(t, onS3), storage{dir: filepath.Join(t.TempDir(), "made")}
	want := tags(t, serve(t, v3, from))
	kills := copyKilled(t, from, bucket, 5) + copyKilled(t, bucket, back, 5)
	t.Logf("%d copies were killed on the way", kills)
	if kills < 5 {
		t.Errorf("only %d of 10 copies were killed before they were done", kills)
	}
	for _, to := range []storage{bucket, back} {
		mustMatch(t, from.dir, to.dir, "-x", "_uploads", "-x", ".registryfs-*.tmp")
		if got := checkServed(t, serve(t, v3, to)); !maps.Equal(got, want) {
			t.Errorf("the copy has tags %v, want %v", got, want)
		}
	}

	// From bucket to bucket, and one repository only.
	other := emptyStorage(t, onS3)
	run(t, program(t, registryfs), "copy", "--repository", "library/busybox", bucket.source(), other.source())
	got := checkServed(t, serve(t, v3, other))
	if len(got) != 3 || got["library/busybox:1.35"] != want["library/busybox:1.35"] {
		t.Errorf("the copy of library/busybox has tags %v", got)
	}
	requests, err := bucketRequests()
	if err != nil || requests["CopyObject"] == 0 {
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

// copyKilled kills n copies on the way, which may take more of them, lets the last
// one end, and tells how many it has killed. Each is given more time than the one
// before.
func copyKilled(t *testing.T, from, to storage, n int) (kills int) {
	t.Helper()
	args := []string{"copy", "--parallel", "1", "--quiet", from.source(), to.source()}
	for i := range n {
		cmd := exec.Command(program(t, registryfs), args...)
		cmd.Env = environ()
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(60+20*i) * time.Millisecond)
		_ = cmd.Process.Kill() // it may have ended
		if cmd.Wait() != nil {
			kills++
		}
	}
	run(t, program(t, registryfs), args...)
	return kills
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
	}
	during := pushed.Load() - before
	stop()
	got := checkServed(t, serve(t, v3, to))
	t.Logf("%d pushes before the copies, %d while they ran; the copy has %d tags", before, during, len(got))
	if during == 0 || len(got) < len(old) {
		t.Errorf("%d pushes while it was copied, %d tags of %d", during, len(got), len(old))
	}
}
