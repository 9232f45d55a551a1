package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestQuick runs all tasks in small sizes.
func TestQuick(t *testing.T) {
	if os.Geteuid() != 0 {
		skip(t, "not root: the sizes of the tasks are those of a mount by root")
	}
	if f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); err != nil {
		skip(t, err.Error())
	} else if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.Command("../../../bench", "--quick", "--dir", dir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("scripts/bench --quick: %v\n%s\n%s", err, out, stderr.String())
	}
	for _, task := range []string{"read", "ls -lR raw/", "ls -lR repositories/", "rsync", "memory", "put", "open"} {
		if !strings.Contains(string(out), "\n| "+task) {
			t.Errorf("no row of %s in the table:\n%s", task, out)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func skip(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		in   samples
		want float64
	}{
		{nil, 0},
		{samples{3}, 3},
		{samples{5, 1, 3}, 3},
		{samples{4, 1, 3, 2}, 2.5},
	} {
		if got := tt.in.median(); got != tt.want {
			t.Errorf("median of %v = %v, want %v", tt.in, got, tt.want)
		}
	}
}

func TestVerdict(t *testing.T) {
	for _, tt := range []struct {
		goal  goal
		value float64
		quick bool
		want  string
	}{
		{goal{}, 1, false, ""},
		{atLeast(0.95), 0.96, false, "≥ 0.95, met"},
		{atLeast(0.95), 0.9, false, "≥ 0.95, **missed**"},
		{atMost(1.5), 1.5, false, "≤ 1.50, met"},
		{atMost(1.5), 1.6, false, "≤ 1.50, **missed**"},
		{atMost(1.5), 1.6, true, "≤ 1.50"},
	} {
		b := &bench{options: options{quick: tt.quick}}
		if got := b.verdict(tt.goal, cell{samples{tt.value}, "%.2f"}); got != tt.want {
			t.Errorf("verdict of %v on %v = %q, want %q", tt.goal, tt.value, got, tt.want)
		}
	}
}

func TestStatusMB(t *testing.T) {
	text := "Name:\tregistryfs\nVmHWM:\t  123000 kB\nVmRSS:\t    1000 kB\n"
	got, err := statusMB(text, "VmRSS")
	if err != nil || fmt.Sprintf("%.3f", got) != "1.024" {
		t.Errorf("statusMB = %v, %v, want 1.024", got, err)
	}
	if got, err := statusMB(text, "VmSwap"); err == nil {
		t.Errorf("statusMB of a line that is not there = %v, want an error", got)
	}
}
