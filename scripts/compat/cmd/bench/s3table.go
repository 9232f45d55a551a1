package main

import (
	"cmp"
	"fmt"
	"math"
	"strings"

	"registryfs/scripts/compat/internal/proxy"
)

// want is what is wanted of a row.
type want struct {
	text string
	met  func(*phase) bool
}

// most wants a value of at most so much, in the row's unit.
func most(limit float64, unit string) want {
	return want{fmt.Sprintf("≤ %.4g %s", limit, unit), func(p *phase) bool { return p.values.median() <= limit }}
}

// mostOf wants a time of at most so many times another one.
func mostOf(limit float64, name string, of func(*phase) samples) want {
	return want{
		fmt.Sprintf("≤ %g x %s", limit, name),
		func(p *phase) bool { return p.values.over(of(p)).median() <= limit },
	}
}

// leastOf wants a rate of at least so many times another one.
func leastOf(limit float64, name string, of func(*phase) samples) want {
	return want{
		fmt.Sprintf("≥ %g x %s", limit, name),
		func(p *phase) bool { return p.values.over(of(p)).median() >= limit },
	}
}

func rawsOf(p *phase) samples   { return p.raws }
func floorsOf(p *phase) samples { return p.floors }

// fewRequests wants at most so many requests.
func fewRequests(limit int64) want {
	return want{fmt.Sprintf("≤ %d requests", limit), func(p *phase) bool { return p.requests.Total() <= limit }}
}

// fewBytes wants at most so many bytes from a server, one that counts them.
func fewBytes(limit int64) want {
	return want{
		fmt.Sprintf("≤ %.1f MB fetched", float64(limit)/1e6),
		func(p *phase) bool { return p.requests.Down <= limit },
	}
}

// printS3Header begins the table.
func (e *s3Env) printS3Header() {
	if e.header {
		return
	}
	e.header = true
	names := []string{"registryfs"}
	for _, p := range e.peers {
		fmt.Fprintf(e.out, "\n%s: %s", p.name, p.version)
		names = append(names, p.name)
	}
	fmt.Fprintf(e.out, "\nnear: versitygw on loopback; far: the same, %v before each answer and %d MB/s for one of them; in brackets: requests\n\n",
		farDelay, farRate/1_000_000)
	cells := append([]string{"task", "raw (SDK)", "FUSE floor"}, names...)
	cells = append(cells, "to raw", "to floor", "to best peer", "wanted")
	e.line(cells...)
	e.line(strings.Split(strings.Repeat("--- ", len(cells)-1)+"---", " ")...)
}

// report prints a row.
func (e *s3Env) report(p *phase) {
	e.printS3Header()
	show := func(s samples) string { return cell{s, p.format}.text(e.verbose) }
	cells := []string{p.task, show(p.raws), show(p.floors), show(p.values) + counted(p.requests)}
	for _, peer := range e.peers {
		v := p.peers[peer.name]
		text := show(v.samples)
		if v.over > 0 {
			text = fmt.Sprintf("> %.0f s", v.over.Seconds())
		}
		cells = append(cells, text)
	}
	cells = append(cells, ratio(p.values, p.raws), ratio(p.values, p.floors), p.toBestPeer(), e.verdicts(p))
	e.line(cells...)
}

// counted are the requests, and the bytes if they were counted.
func counted(c proxy.Counts) string {
	text := c.String()
	if c.Down > 0 {
		text += fmt.Sprintf(", %.1f MB", float64(c.Down)/1e6)
	}
	return " [" + strings.NewReplacer("(", "", ")", "").Replace(text) + "]"
}

func ratio(values, base samples) string {
	if len(base) == 0 || len(values) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", values.over(base).median())
}

// toBestPeer is the ratio to the best of the others, or "–" without them.
func (p *phase) toBestPeer() string {
	best := math.NaN()
	for _, v := range p.peers {
		m := v.median()
		if v.over > 0 || len(v.samples) == 0 {
			continue
		}
		if math.IsNaN(best) || (p.rate == (m > best)) {
			best = m
		}
	}
	if math.IsNaN(best) {
		return "–"
	}
	return fmt.Sprintf("%.2f", p.values.median()/best)
}

// verdicts compare with what is wanted of the full sizes.
func (e *s3Env) verdicts(p *phase) string {
	var texts []string
	for _, w := range p.wants {
		text := w.text
		switch {
		case e.quick:
		case w.met(p):
			text += ", met"
		default:
			text += ", **missed**"
		}
		texts = append(texts, text)
	}
	return cmp.Or(strings.Join(texts, "; "), "")
}
