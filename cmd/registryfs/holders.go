package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// maxHolders is how many processes a message names.
const maxHolders = 10

// holders says in words what keeps the mount busy. It only reads names that
// the kernel keeps, so it does not touch the mount itself, which may be dead.
func holders(mountpoint string) string {
	return holdersIn("/proc", mountpoint)
}

func holdersIn(proc, mountpoint string) string {
	found := mountsBelow(proc, mountpoint)
	names, _ := filepath.Glob(filepath.Join(proc, "[0-9]*")) // the pattern is good
	for _, dir := range names {
		pid := filepath.Base(dir)
		if pid == strconv.Itoa(os.Getpid()) {
			continue
		}
		if use := useOf(dir, mountpoint); use != "" {
			found = append(found, fmt.Sprintf("%s (pid %s, %s)", commandName(dir), pid, use))
		}
	}
	switch n := len(found); {
	case n == 0 && os.Geteuid() != 0:
		return "a process that you may not look into"
	case n == 0:
		return "a process that cannot be seen from here, or a file that has just been closed"
	case n > maxHolders:
		found = append(found[:maxHolders], fmt.Sprintf("and %d more", n-maxHolders))
	}
	return strings.Join(found, ", ")
}

// useOf says what the process makes of the mount, or "" if nothing or not to be
// read.
func useOf(dir, mountpoint string) string {
	for _, link := range []struct{ name, use string }{
		{"cwd", "working directory"}, {"root", "root directory"}, {"exe", "program"},
	} {
		if target, err := os.Readlink(filepath.Join(dir, link.name)); err == nil && within(target, mountpoint) {
			return link.use
		}
	}
	fds, _ := filepath.Glob(filepath.Join(dir, "fd", "*"))
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil && within(target, mountpoint) {
			return "has open " + target
		}
	}
	return mappingOf(filepath.Join(dir, "maps"), mountpoint)
}

func mappingOf(maps, mountpoint string) string {
	f, err := os.Open(maps)
	if err != nil {
		return ""
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if _, name, ok := strings.Cut(lines.Text(), "/"); ok && within("/"+name, mountpoint) {
			return "has mapped /" + name
		}
	}
	return ""
}

func commandName(dir string) string {
	name, err := os.ReadFile(filepath.Join(dir, "comm"))
	if err != nil {
		return "a process"
	}
	return strings.TrimSpace(string(name))
}

// mountsBelow lists the file systems that are mounted inside the mount.
func mountsBelow(proc, mountpoint string) []string {
	f, err := os.Open(filepath.Join(proc, "self", "mountinfo"))
	if err != nil {
		return nil
	}
	defer f.Close()
	var found []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			continue
		}
		if dir := unescapeMount(fields[4]); dir != mountpoint && within(dir, mountpoint) {
			found = append(found, "what is mounted on "+dir)
		}
	}
	return found
}

// unescapeMount undoes the octal escapes of a mount table.
func unescapeMount(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
