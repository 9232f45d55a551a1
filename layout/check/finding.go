package check

import (
	"github.com/opencontainers/go-digest"

	"registryfs/layout"
)

// Finding is something that was found in the store.
type Finding struct {
	Kind Kind `json:"kind"`
	// Path is the file that is wrong, or too much, or that is missing.
	Path       layout.RawPath        `json:"path"`
	Repository layout.RepositoryName `json:"repository,omitempty"`
	Tag        layout.TagName        `json:"tag,omitempty"`
	// Digest is that of the manifest or blob it is about.
	Digest digest.Digest `json:"digest,omitempty"`
	// Detail says what is wrong, in words.
	Detail string `json:"detail"`
}

// Kind is a kind of finding.
type Kind string

// Faults: what a registry does not serve as it was pushed, or cannot.
const (
	Damaged    Kind = "damaged"    // a link that is no digest
	Misnamed   Kind = "misnamed"   // a link that says another digest than its name
	Dangling   Kind = "dangling"   // a link to a blob that is not in the store
	Corrupt    Kind = "corrupt"    // a blob whose bytes have another digest
	Missing    Kind = "missing"    // a blob of a manifest that is not in the store
	Unlinked   Kind = "unlinked"   // a layer of a manifest, or the manifest of a tag, without a link in the repository
	NoCurrent  Kind = "no-current" // a tag that points nowhere
	Invalid    Kind = "invalid"    // a manifest that cannot be read
	Unserved   Kind = "unserved"   // a manifest that registries of version 3 refuse
	WrongSize  Kind = "wrong-size" // a sound blob that a manifest gives another size
	Unreadable Kind = "unreadable" // the store did not say what is there
)

// Notes: what is odd and does no harm.
const (
	Sparse     Kind = "sparse"      // an index with a child that the repository does not have
	Outdated   Kind = "outdated"    // a tag's history with a manifest that is gone
	Unrecorded Kind = "unrecorded"  // a tag that points to what its history does not have
	Stray      Kind = "stray"       // a file that no registry knows
	Leftover   Kind = "leftover"    // what a crash has left
	NoManifest Kind = "no-manifest" // a repository without manifests
)

// Lost: what nobody finds by a tag. A collection frees it.
const (
	Untagged     Kind = "untagged"     // a manifest that no tag leads to
	Unreferenced Kind = "unreferenced" // a blob that no link leads to
)

// Weight says how bad a kind of finding is.
type Weight int

// The weights. Only faults make a check fail.
const (
	Lost Weight = iota
	Note
	Fault
)

// String is the weight's name.
func (w Weight) String() string { return [...]string{"lost", "note", "fault"}[w] }

// Weight is that of all findings of the kind.
func (k Kind) Weight() Weight {
	switch k {
	case Untagged, Unreferenced:
		return Lost
	case Sparse, Outdated, Unrecorded, Stray, Leftover, NoManifest:
		return Note
	}
	return Fault
}
