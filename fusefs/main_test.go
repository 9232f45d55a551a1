package fusefs

import (
	"bufio"
	"crypto/sha256"
	"errors"
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
	"hold": childHold,
	"loop": childLoop,
	"mmap": childMmap,
	"excl": childExcl,
	// mv would copy where it cannot rename.
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

// childHold opens a file, reads 64 KiB of it, says so, and reads the rest when
// told to. It prints the digest of all.
func childHold(args []string) error {
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyN(h, f, 64<<10); err != nil {
		return err
	}
	fmt.Println("open")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	fmt.Printf("%x\n", h.Sum(nil))
	return nil
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
		case <-time.After(3 * time.Millisecond): // the writer needs a turn as well
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

// childMmap prints the digest of a file that it reads through a memory map.
func childMmap(args []string) error {
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	how := unix.MAP_PRIVATE
	if args[1] == "shared" {
		how = unix.MAP_SHARED
	}
	content, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, how)
	if err != nil {
		return err
	}
	fmt.Printf("%x\n", sha256.Sum256(content))
	return unix.Munmap(content)
}

// childExcl creates a file that must not exist, with the content of another,
// and prints what came of it.
func childExcl(args []string) error {
	content, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	f, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		fmt.Println("exists")
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Close(); errors.Is(err, os.ErrExist) {
		fmt.Println("exists")
		return nil
	} else if err != nil {
		return err
	}
	fmt.Println("created")
	return nil
}
