package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// row is a line of the table.
type row struct {
	task        string
	base, mount cell
	result      cell
	goal        goal
}

// cell is a value with its unit: a format for one float64.
type cell struct {
	samples samples
	format  string
}

// goal is what is wanted of a row's result; the zero one is nothing.
type goal struct {
	atLeast bool
	limit   float64
}

func atLeast(x float64) goal { return goal{atLeast: true, limit: x} }
func atMost(x float64) goal  { return goal{limit: x} }

func (c cell) text(verbose bool) string {
	if len(c.samples) == 0 {
		return "–"
	}
	median := fmt.Sprintf(c.format, c.samples.median())
	if !verbose || len(c.samples) == 1 {
		return median
	}
	lo, hi := c.samples[0], c.samples[0]
	for _, x := range c.samples {
		lo, hi = min(lo, x), max(hi, x)
	}
	return fmt.Sprintf("%s ("+c.format+" to "+c.format+")", median, lo, hi)
}

// verdict compares a result with what is wanted of the full sizes.
func (b *bench) verdict(g goal, result cell) string {
	if g.limit == 0 {
		return ""
	}
	sign, met := "≤", result.samples.median() <= g.limit
	if g.atLeast {
		sign, met = "≥", result.samples.median() >= g.limit
	}
	wanted := sign + " " + fmt.Sprintf(result.format, g.limit)
	switch {
	case b.quick:
		return wanted
	case met:
		return wanted + ", met"
	}
	return wanted + ", **missed**"
}

func (b *bench) report(rows ...row) {
	for _, r := range rows {
		b.line(r.task, r.base.text(b.verbose), r.mount.text(b.verbose), r.result.text(b.verbose), b.verdict(r.goal, r.result))
	}
}

// skip is the row of what could not be measured.
func (b *bench) skip(task, reason string) {
	b.line(task, "", strings.ReplaceAll(reason, "\n", " "), "", "")
}

func (b *bench) line(cells ...string) {
	fmt.Fprintf(b.out, "| %s |\n", strings.Join(cells, " | "))
}

// printHeader says what was measured where.
func (b *bench) printHeader(ctx context.Context) error {
	version, err := exec.CommandContext(ctx, b.registryfs, "version").Output()
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "`./scripts/bench %s`: medians of %d runs\n\n", strings.Join(b.args, " "), b.runs)
	fmt.Fprintf(b.out, "%s; %s; %d CPUs (%s); %s; %s\n\n", bytes.TrimSpace(version), kernel(),
		runtime.NumCPU(), cpuModel(), memory(), b.fileSystem())
	return nil
}

// beginTable begins the table of the tasks that are not on S3, once.
func (b *bench) beginTable() {
	if b.begun {
		return
	}
	b.begun = true
	b.line("task", "native or floor", "mount", "ratio or rate", "wanted")
	b.line("---", "---", "---", "---", "---")
}

func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err.Error()
	}
	return unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
}

func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func memory() string {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%.0f GB", float64(info.Totalram)*float64(info.Unit)/1e9)
}

// fileSystem is what the work directory lies on.
func (b *bench) fileSystem() string {
	out, err := exec.Command("findmnt", "-n", "-o", "FSTYPE", "--target", b.work).Output()
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(out))
}
