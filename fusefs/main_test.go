package fusefs

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain runs the tests or, as a child of one, one of the children: what no
// common program does, or does as slowly as a program starts.
func TestMain(m *testing.M) {
	if name := os.Getenv(childEnv); name != "" {
		if err := children[name](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	syscall.Umask(0o022) // it decides what is taken for a temporary file
	os.Exit(m.Run())
}

const childEnv = "REGISTRYFS_TEST_CHILD"

var children = map[string]func(args []string) error{
	"loop": childLoop,
	"mmap": childMmap,
	// mv would copy where it cannot rename.
	"serve":  childServe,
	"rename": func(args []string) error { return unix.Rename(args[0], args[1]) },
}

// childCommand is a command that runs one of the children.
func childCommand(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(self(t), args...)
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	return cmd
}

func self(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// childLoop reads a file again and again until its input ends. Each time it
// must be there, with one of the digests given, by the size stat tells as well.
// It prints how often it read.
func childLoop(args []string) error {
	path, allowed := args[0], args[1:]
	stop := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(stop)
	}()
	for n := 0; ; n++ {
		select {
		case <-stop:
			fmt.Println(n)
			return nil
		case <-time.After(8 * time.Millisecond): // the writer needs a turn as well
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read %d: %w", n, err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(content)); !strings.Contains(strings.Join(allowed, " "), got) {
			return fmt.Errorf("read %d: %d bytes that nobody wrote: %.200q", n, len(content), content)
		}
	}
}

// childMmap prints the digests of files that it reads through memory maps,
// private and shared ones.
func childMmap(paths []string) error {
	for _, path := range paths {
		for _, how := range []int{unix.MAP_PRIVATE, unix.MAP_SHARED} {
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			info, err := f.Stat()
			if err != nil {
				return err
			}
			content, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, how)
			if err != nil {
				return err
			}
			f.Close()
			fmt.Printf("%x\n", sha256.Sum256(content))
			if err := unix.Munmap(content); err != nil {
				return err
			}
		}
	}
	return nil
}
