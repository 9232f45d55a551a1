package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"registryfs/layout/check"
)

// checkReport prints what a check tells, as it comes. The error of writing is that
// of end.
type checkReport interface {
	found(check.Finding)
	repaired(check.Fix, error)
	end(check.Summary, error) error
}

// checkText prints lines for people.
type checkText struct {
	w      io.Writer
	dryRun bool
	err    error
}

func (r *checkText) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(r.w, format, args...); r.err == nil {
		r.err = err
	}
}

func (r *checkText) found(f check.Finding) {
	if f.Kind.Weight() != check.Lost {
		r.printf("%-5s  %-11s %s: %s\n", f.Kind.Weight(), f.Kind, f.Path, f.Detail)
	}
}

func (r *checkText) repaired(f check.Fix, err error) {
	switch {
	case err != nil:
		r.printf("repair %-11s not done: %s: %v\n", f.Kind, f, err)
	case r.dryRun:
		r.printf("would  %-11s %s\n", f.Kind, f)
	default:
		r.printf("repair %-11s %s\n", f.Kind, f)
	}
}

func (r *checkText) end(s check.Summary, err error) error {
	if err != nil {
		return r.err
	}
	r.printf("%d repositories, %d tags, %d manifests; %d blobs of %s", s.Repositories, s.Tags, s.Manifests, s.Blobs, formatSize(s.Bytes))
	if s.Verified+s.Passed > 0 {
		r.printf(", %d of them read (%s), %d verified before", s.Verified, formatSize(s.VerifiedBytes), s.Passed)
	}
	r.printf("\n")
	for _, weight := range []check.Weight{check.Fault, check.Note, check.Lost} {
		var parts []string
		for _, kind := range slices.Sorted(maps.Keys(s.Findings)) {
			if kind.Weight() == weight {
				parts = append(parts, fmt.Sprintf("%d %s", s.Findings[kind], kind))
			}
		}
		if len(parts) > 0 {
			r.printf("%s: %s\n", weight, strings.Join(parts, ", "))
		}
	}
	if s.Repairs+s.Failed > 0 {
		r.printf("%d repaired, %d could not be repaired\n", s.Repairs, s.Failed)
	}
	if s.Restored > 0 {
		r.printf("check again: %d blobs were put back, and what they name was not looked at\n", s.Restored)
	}
	switch {
	case s.Faults == 1:
		r.printf("1 fault is left\n")
	case s.Faults > 0:
		r.printf("%d faults are left\n", s.Faults)
	default:
		r.printf("clean\n")
	}
	return r.err
}

// checkJSON prints one document with findings, repairs and summary, a line for
// each.
type checkJSON struct {
	w       io.Writer
	n       int // lines of the list that is open
	repairs bool
	err     error
}

func (r *checkJSON) write(s string) {
	if _, err := io.WriteString(r.w, s); r.err == nil {
		r.err = err
	}
}

// item prints one item of the list that is open.
func (r *checkJSON) item(v any) {
	text, err := json.Marshal(v)
	if r.err == nil {
		r.err = err
	}
	sep := ",\n"
	if r.n == 0 {
		sep = "\n"
	}
	if r.n == 0 && !r.repairs {
		sep = "{\"findings\":[\n"
	}
	r.n++
	r.write(sep + string(text))
}

func (r *checkJSON) found(f check.Finding) {
	r.item(struct {
		Weight string `json:"weight"`
		check.Finding
	}{f.Kind.Weight().String(), f})
}

func (r *checkJSON) repaired(f check.Fix, err error) {
	r.openRepairs()
	item := struct {
		check.Fix
		Text  string `json:"text"`
		Error string `json:"error,omitempty"`
	}{Fix: f, Text: f.String()}
	if err != nil {
		item.Error = err.Error()
	}
	r.item(item)
}

// openRepairs ends the list of findings.
func (r *checkJSON) openRepairs() {
	if r.repairs {
		return
	}
	if r.n == 0 {
		r.write("{\"findings\":[")
	}
	r.write("\n],\"repairs\":[")
	r.repairs, r.n = true, 0
}

func (r *checkJSON) end(s check.Summary, err error) error {
	r.openRepairs()
	end := struct {
		Error string `json:"error,omitempty"`
		check.Summary
	}{Summary: s}
	if err != nil {
		end.Error = err.Error()
	}
	text, err := json.Marshal(end)
	if r.err == nil {
		r.err = err
	}
	r.write("\n],\"summary\":" + string(text) + "}\n")
	return r.err
}
