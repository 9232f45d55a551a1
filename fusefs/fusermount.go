package fusefs

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
)

// fusermount unmounts as an ordinary user. Its messages are all it says about
// what went wrong.
func fusermount(mountpoint string, lazy bool) error {
	program, err := exec.LookPath("fusermount3")
	if err != nil {
		return fmt.Errorf("only root can unmount without fusermount3 (package fuse3): %w", err)
	}
	mode := "-u"
	if lazy {
		mode = "-uz"
	}
	var said bytes.Buffer
	cmd := exec.Command(program, mode, "--", mountpoint)
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		text := strings.TrimSpace(said.String())
		if strings.Contains(text, "busy") {
			return fmt.Errorf("%s: %w", text, syscall.EBUSY)
		}
		return fmt.Errorf("%s: %w", text, err)
	}
	return nil
}
