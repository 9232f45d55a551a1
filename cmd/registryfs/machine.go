package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// machine is what decides here whether a user may mount. What mount(2) and
// fusermount3 answer when they refuse names neither the reason nor the remedy.
type machine struct {
	device     string // /dev/fuse
	config     string // of fusermount3
	uid        int
	fusermount func() (string, error)
}

func thisMachine() machine {
	return machine{
		device: "/dev/fuse",
		config: "/etc/fuse.conf",
		uid:    os.Geteuid(),
		fusermount: func() (string, error) {
			return exec.LookPath("fusermount3")
		},
	}
}

const containerRemedy = "in a container, start it with --device /dev/fuse --cap-add SYS_ADMIN"

// check says why a mount cannot succeed.
func (m machine) check(mountpoint string, allowOther bool) error {
	if err := m.checkDevice(); err != nil {
		return err
	}
	if m.uid == 0 {
		return nil
	}
	if _, err := m.fusermount(); err != nil {
		return errors.New("fusermount3 is not installed, which mounts for ordinary users: install the package fuse3, or mount as root")
	}
	if allowOther && !m.letsAllowOther() {
		return fmt.Errorf("%s does not let ordinary users use allow_other: add a line user_allow_other to it", m.config)
	}
	if unix.Access(mountpoint, unix.W_OK) != nil {
		return fmt.Errorf("ordinary users can only mount where they may write, and %q is not such a directory: choose one of your own", mountpoint)
	}
	return nil
}

func (m machine) checkDevice() error {
	f, err := os.OpenFile(m.device, os.O_RDWR, 0)
	switch {
	case err == nil:
		return f.Close()
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is missing: load the kernel's module with modprobe fuse; %s", m.device, containerRemedy)
	case errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.ENXIO):
		return fmt.Errorf("the kernel does not know %s: load its module with modprobe fuse", m.device)
	case errors.Is(err, fs.ErrPermission) && m.uid == 0:
		return fmt.Errorf("root may not open %s: %s", m.device, containerRemedy)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("you may not open %s: let root do chmod 666 %[1]s, or mount as root", m.device)
	}
	return fmt.Errorf("FUSE is not to be had: %w", err)
}

// letsAllowOther reads the configuration as fusermount3 does. One that only
// fusermount3 may read is left to it.
func (m machine) letsAllowOther() bool {
	text, err := os.ReadFile(m.config)
	if err != nil {
		return errors.Is(err, fs.ErrPermission)
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if strings.TrimSpace(lines.Text()) == "user_allow_other" {
			return true
		}
	}
	return false
}

// explain adds what a refused mount means.
func (m machine) explain(err error) error {
	if m.uid == 0 && errors.Is(err, syscall.EPERM) {
		return fmt.Errorf("%w: this root lacks CAP_SYS_ADMIN; %s", err, containerRemedy)
	}
	return err
}
