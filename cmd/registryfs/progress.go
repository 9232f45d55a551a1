package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"registryfs/layout"
)

// progress shows how far a job has come: a bar on a terminal, elsewhere a line
// now and then. Its methods may be called in parallel.
type progress struct {
	to       io.Writer // nil: nothing is shown
	terminal bool

	mu    sync.Mutex // guards the following
	step  string
	bar   *progressbar.ProgressBar
	last  layout.Progress
	shown time.Time
}

const (
	barEvery  = 100 * time.Millisecond
	lineEvery = 10 * time.Second
)

func newProgress(f *os.File, quiet bool) *progress {
	if quiet {
		return &progress{}
	}
	return &progress{to: f, terminal: term.IsTerminal(int(f.Fd()))}
}

// update takes in how far the job has come.
func (p *progress) update(now layout.Progress) {
	if p.to == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Step != p.step {
		p.finish()
		p.step, p.shown = now.Step, time.Now()
		if p.terminal {
			p.bar = newBar(p.to, now)
		}
	}
	p.last = now
	every := lineEvery
	if p.terminal {
		every = barEvery
	}
	if time.Since(p.shown) < every {
		return
	}
	p.shown = time.Now()
	p.show()
}

// close shows the last state. Nothing else may be printed before it.
func (p *progress) close() {
	if p.to == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finish()
	p.step = ""
}

// above prints something above the bar.
func (p *progress) above(print func()) {
	if p.to == nil {
		print()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil && p.step != "" {
		_ = p.bar.Clear() // it is only shown
	}
	print()
}

func (p *progress) finish() {
	if p.step == "" {
		return
	}
	p.show()
	if p.terminal {
		fmt.Fprintln(p.to)
	}
}

func (p *progress) show() {
	if !p.terminal {
		fmt.Fprintln(p.to, line(p.last))
		return
	}
	if p.last.Total > 0 {
		p.bar.ChangeMax64(p.last.Total)
	}
	_ = p.bar.Set64(p.last.Done) // it is only shown
}

func newBar(to io.Writer, now layout.Progress) *progressbar.ProgressBar {
	most := now.Total
	if most == 0 {
		most = -1 // a spinner
	}
	return progressbar.NewOptions64(most,
		progressbar.OptionSetDescription(now.Step),
		progressbar.OptionSetWriter(to),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(0),
		progressbar.OptionSetSpinnerChangeInterval(0), // it would go on drawing itself after its step
	)
}

// line is a state of a job in words.
func line(p layout.Progress) string {
	s := fmt.Sprintf("%s: %d", p.Step, p.Done)
	if p.Total > 0 {
		s += fmt.Sprintf(" of %d (%d %%)", p.Total, 100*p.Done/p.Total)
	}
	if p.Bytes > 0 {
		s += ", " + formatSize(p.Bytes)
	}
	return s
}
