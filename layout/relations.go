package layout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/opencontainers/go-digest"
)

// relations are the manifests that a manifest names. Its digest decides them.
type relations struct {
	Manifest digest.Digest   `json:"manifest"`
	Subject  digest.Digest   `json:"subject,omitempty"`
	Children []digest.Digest `json:"children,omitempty"`
}

// manifestRelations remembers them: to look for referrers means to read every
// manifest of a repository. The file, of lines of JSON, is shared by all mounts:
// lines are only appended, each by one write.
type manifestRelations struct {
	file string // "" keeps them as long as the process lives
	load sync.Once

	known *lru[digest.Digest, relations]
}

const (
	relationsFile = "manifest-relations"

	// maxRelations is how many manifests and children are remembered; a file of
	// twice as many lines is made anew.
	maxRelations = 50_000
)

func newManifestRelations(stateDir string) *manifestRelations {
	m := &manifestRelations{known: newLRU[digest.Digest, relations](maxRelations)}
	if stateDir != "" {
		m.file = filepath.Join(stateDir, relationsFile)
	}
	return m
}

func (m *manifestRelations) get(d digest.Digest) (relations, bool) {
	m.load.Do(m.readFile)
	return m.known.get(d)
}

// put remembers what content with the digest rel.Manifest says.
func (m *manifestRelations) put(rel relations) {
	m.known.put(rel.Manifest, rel, 1+len(rel.Children))
	if m.file == "" {
		return
	}
	if line, err := json.Marshal(rel); err == nil {
		_ = appendRecord(m.file, append(line, '\n')) // then it is read again after the next mount
	}
}

// readFile takes in what earlier mounts have remembered. What is no record, such
// as one that a crash has left half written, is passed over.
func (m *manifestRelations) readFile() {
	if m.file == "" {
		return
	}
	content, err := os.ReadFile(m.file)
	if err != nil {
		return // none yet, or none to be had
	}
	lines := bytes.SplitAfter(content, []byte("\n"))
	for _, line := range lines {
		if rel, ok := parseRelations(line); ok {
			m.known.put(rel.Manifest, rel, 1+len(rel.Children))
		}
	}
	if len(lines) > 2*maxRelations {
		// The newest half. What others append meanwhile they will read again.
		tmp := m.file + ".new"
		if os.WriteFile(tmp, bytes.Join(lines[len(lines)-maxRelations:], nil), 0o600) == nil {
			_ = os.Rename(tmp, m.file)
		}
	}
}

func parseRelations(line []byte) (relations, bool) {
	var rel relations
	if json.Unmarshal(line, &rel) != nil || validate(rel.Manifest) != nil || rel.Subject != "" && validate(rel.Subject) != nil {
		return relations{}, false
	}
	for _, d := range rel.Children {
		if validate(d) != nil {
			return relations{}, false
		}
	}
	return rel, true
}

// relations reads what the manifest d names, unless it is remembered. One that is
// not there, damaged or not to be understood names nothing.
func (r *Registry) relations(ctx context.Context, d digest.Digest) (relations, error) {
	if rel, ok := r.rels.get(d); ok {
		return rel, nil
	}
	rel := relations{Manifest: d}
	content, err := r.readSmall(ctx, d)
	if isAbsent(err) || errors.Is(err, ErrCorrupt) || errors.Is(err, ErrTooLarge) {
		return rel, nil // until it is repaired
	}
	if err != nil {
		return rel, fmt.Errorf("what manifest %s names: %w", d, err)
	}
	if parts, err := partsOf(content); err == nil {
		rel.Subject = parts.Subject
		for _, child := range parts.Children {
			rel.Children = append(rel.Children, child.Digest)
		}
	}
	r.rels.put(rel)
	return rel, nil
}
