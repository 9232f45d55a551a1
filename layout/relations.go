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

	maxRelations  = 50_000                 // manifests and children that are remembered
	mostRelations = 2 * maxRelations * 180 // bytes of the file
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
		_ = appendRecord(m.file, append(line, '\n'), mostRelations) // then it is read again after the next mount
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
	for line := range bytes.Lines(content) {
		if rel, ok := parseRelations(line); ok {
			m.known.put(rel.Manifest, rel, 1+len(rel.Children))
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
