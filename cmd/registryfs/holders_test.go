package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// hold starts a shell in dir that runs script, and returns when that has said
// that it is ready.
func hold(t *testing.T, dir, script string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sh", "-c", script+"; echo ready; read line; :")
	cmd.Dir = dir
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("holder said %q, %v", line, err)
	}
	return cmd
}

func TestHolders(t *testing.T) {
	dir := tempDir(t)
	held, other := mkdir(t, dir, "held"), mkdir(t, dir, "held-not")
	file := writeFile(t, filepath.Join(held, "file"), "")

	if got := holders(held); !strings.Contains(got, "cannot be seen") && !strings.Contains(got, "may not look into") {
		t.Errorf("holders of nothing = %q", got)
	}
	hold(t, other, "exec 3<"+filepath.Join(dir, "held-not"))
	in := hold(t, held, ":")
	open := hold(t, dir, "exec 3<"+file)

	got := holders(held)
	for _, want := range []string{
		fmt.Sprintf("sh (pid %d, working directory)", in.Process.Pid),
		fmt.Sprintf("sh (pid %d, has open %s)", open.Process.Pid, file),
	} {
		if !strings.Contains(got, want) {
			t.Errorf("holders = %q, want %q in it", got, want)
		}
	}
	if n := strings.Count(got, "pid"); n != 2 {
		t.Errorf("holders = %q, want two", got)
	}
}

// The parts of /proc that are hard to bring about come from a directory.
func TestHoldersIn(t *testing.T) {
	proc := tempDir(t)
	mapped := mkdir(t, proc, "10")
	writeFile(t, filepath.Join(mapped, "comm"), "reader\n")
	writeFile(t, filepath.Join(mapped, "maps"), "7f0000000000-7f0000001000 r--p 00000000 00:2b 12  /mnt/blobs/sha256/ab/x y\n")
	for pid, link := range map[string]string{"11": "root", "12": "exe"} {
		dir := mkdir(t, proc, pid)
		if err := os.Symlink("/mnt/raw", filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	mkdir(t, proc, "self")
	writeFile(t, filepath.Join(proc, "self/mountinfo"),
		"1 0 0:1 / /mnt rw - fuse.registryfs x rw\n2 1 0:2 / /mnt/with\\040space rw - tmpfs x rw\n3 0 0:3 / /mnt2 rw - tmpfs x rw\n")

	want := "what is mounted on /mnt/with space, reader (pid 10, has mapped /mnt/blobs/sha256/ab/x y), " +
		"a process (pid 11, root directory), a process (pid 12, program)"
	if got := holdersIn(proc, "/mnt"); got != want {
		t.Errorf("holdersIn = %q, want %q", got, want)
	}

	for pid := 20; pid < 40; pid++ {
		dir := mkdir(t, proc, fmt.Sprint(pid))
		if err := os.Symlink("/mnt", filepath.Join(dir, "cwd")); err != nil {
			t.Fatal(err)
		}
	}
	if got := holdersIn(proc, "/mnt"); !strings.HasSuffix(got, ", and 14 more") {
		t.Errorf("holdersIn of many = %q, want 14 left out", got)
	}
}
