package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestMachineCheck(t *testing.T) {
	dir := tempDir(t)
	there := writeFile(t, filepath.Join(dir, "fuse"), "")
	absent := filepath.Join(dir, "absent")
	strict := writeFile(t, filepath.Join(dir, "strict"), "# user_allow_other\nmount_max = 5\n")
	liberal := writeFile(t, filepath.Join(dir, "liberal"), "mount_max = 5\n user_allow_other\n")
	found := func() (string, error) { return "/bin/fusermount3", nil }
	missing := func() (string, error) { return "", os.ErrNotExist }
	tests := []struct {
		name       string
		m          machine
		allowOther bool
		want       string // "" for none
	}{
		{"root", machine{device: there, uid: 0, fusermount: missing, config: absent}, true, ""},
		{"root without the device", machine{device: absent, uid: 0}, false, absent + " is missing: load the kernel's module with modprobe fuse; in a container"},
		{"user", machine{device: there, uid: 1, fusermount: found}, false, ""},
		{"user without the device", machine{device: absent, uid: 1}, false, "is missing"},
		{"user without fusermount3", machine{device: there, uid: 1, fusermount: missing}, false, "fusermount3 is not installed"},
		{"user and others", machine{device: there, uid: 1, fusermount: found, config: liberal}, true, ""},
		{"user and others, not allowed", machine{device: there, uid: 1, fusermount: found, config: strict}, true, "add a line user_allow_other to it"},
		{"user and others, not configured", machine{device: there, uid: 1, fusermount: found, config: absent}, true, "add a line user_allow_other to it"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := test.m.check(dir, test.allowOther)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("check = %v, want %q", err, test.want)
			}
		})
	}
}

func TestMachineExplain(t *testing.T) {
	refused := &os.PathError{Op: "mount", Err: syscall.EPERM}
	if err := (machine{uid: 0}).explain(refused); !strings.Contains(err.Error(), "CAP_SYS_ADMIN") || !errors.Is(err, syscall.EPERM) {
		t.Errorf("explain(%v) = %v, want what root lacks", refused, err)
	}
	if err := (machine{uid: 1}).explain(refused); err != error(refused) {
		t.Errorf("explain(%v) = %v, want it as it is", refused, err)
	}
}
