package fusefs

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// statPatience is how long a mount may take to say that it is there.
const statPatience = 3 * time.Second

// IsDead tells a mount point whose file system's process is gone. Usually the
// kernel says so. But a process that was killed while the kernel took one of its
// notifications leaves a mount that never answers: then the question is whether
// any process still serves the connection.
func IsDead(mountpoint string) bool {
	answer := make(chan error, 1)
	go func() {
		_, err := os.Stat(mountpoint)
		answer <- err
	}()
	select {
	case err := <-answer:
		return errors.Is(err, syscall.ENOTCONN)
	case <-time.After(statPatience):
		m, err := mountOf(mountpoint)
		return err == nil && m != nil && m.fstype == "fuse.registryfs" && !isServed(m)
	}
}

// isServed looks for a process that has the mount's connection open. The kernel
// tells which one a descriptor of /dev/fuse belongs to since Linux 6.17; where
// it does not, every such descriptor counts.
func isServed(m *mounted) bool {
	_, minor, _ := strings.Cut(m.device, ":")
	fds, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return true
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err != nil || to != "/dev/fuse" {
			continue
		}
		if id := connectionOf(strings.Replace(fd, "/fd/", "/fdinfo/", 1)); id == "" || id == minor {
			return true
		}
	}
	return false
}

// connectionOf reads the connection's number from a descriptor's fdinfo, "" if
// it is not there.
func connectionOf(fdinfo string) string {
	f, err := os.Open(fdinfo)
	if err != nil {
		return ""
	}
	defer f.Close() // only read from: nothing can be lost
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if id, ok := strings.CutPrefix(lines.Text(), "fuse_connection:"); ok {
			return strings.TrimSpace(id)
		}
	}
	return ""
}
