package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"registryfs/layout"
	"registryfs/layout/du"
)

// writeDu prints a table for people.
func writeDu(to io.Writer, r du.Report, all, tags bool) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(u du.Usage, untagged, name string) {
		fmt.Fprintf(w, "%s\t%s\t%s\t", formatSize(u.Total), formatSize(u.Unique), formatSize(u.Shared()))
		if tags {
			fmt.Fprintf(w, "%s\t", untagged)
		}
		fmt.Fprintf(w, "  %s\n", name)
	}
	fmt.Fprint(w, "TOTAL\tUNIQUE\tSHARED\t")
	if tags {
		fmt.Fprint(w, "UNTAGGED\t")
	}
	fmt.Fprint(w, "\n")
	for _, p := range r.Repositories {
		row(p.Usage, formatSize(p.Untagged), string(p.Name))
		for _, t := range p.Tags {
			row(t.Usage, "", fmt.Sprintf("%s:%s", p.Name, t.Name))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(to, "together %s\n", formatSize(r.Total))
	if all && err == nil {
		_, err = fmt.Fprintf(to, "stored   %s in %d blobs, %s of it linked by no repository\n", formatSize(r.Stored), r.Blobs, formatSize(r.Unlinked))
	}
	return err
}

// usageJSON is bytes, for scripts.
type usageJSON struct {
	Total  int64 `json:"total"`
	Unique int64 `json:"unique"`
	Shared int64 `json:"shared"`
}

type tagJSON struct {
	Name   layout.TagName `json:"name"`
	Digest string         `json:"digest"`
	usageJSON
}

type repositoryJSON struct {
	Name layout.RepositoryName `json:"name"`
	usageJSON
	Untagged *int64    `json:"untagged,omitempty"`
	Tags     []tagJSON `json:"tags,omitzero"`
}

type reportJSON struct {
	Repositories []repositoryJSON `json:"repositories"`
	Total        int64            `json:"total"`
	Blobs        *int             `json:"blobs,omitempty"`
	Stored       *int64           `json:"stored,omitempty"`
	Unlinked     *int64           `json:"unlinked,omitempty"`
	Problems     []string         `json:"problems,omitempty"`
}

func duJSON(r du.Report, all bool) reportJSON {
	out := reportJSON{Repositories: []repositoryJSON{}, Total: r.Total, Problems: texts(r.Problems)}
	if all {
		out.Blobs, out.Stored, out.Unlinked = &r.Blobs, &r.Stored, &r.Unlinked
	}
	of := func(u du.Usage) usageJSON { return usageJSON{u.Total, u.Unique, u.Shared()} }
	for _, p := range r.Repositories {
		row := repositoryJSON{Name: p.Name, usageJSON: of(p.Usage)}
		if p.Tags != nil {
			row.Untagged, row.Tags = &p.Untagged, []tagJSON{}
		}
		for _, t := range p.Tags {
			row.Tags = append(row.Tags, tagJSON{t.Name, t.Digest, of(t.Usage)})
		}
		out.Repositories = append(out.Repositories, row)
	}
	return out
}
