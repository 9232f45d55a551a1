package layout

import "github.com/opencontainers/go-digest"

// Where the registry keeps what it has. A job names its findings so, and repairs
// them there.
const (
	RawBlobs        = RawPath(blobsPath)
	RawRepositories = RawPath(repositoriesPath)
)

// RawBlob is where the data of a blob lies.
func RawBlob(d digest.Digest) RawPath { return RawPath(blobDataPath(d)) }

// Path is where the repository lies, nested ones included.
func (p Repository) Path() RawPath { return RawPath(repositoryPath(p.name)) }

// LayerLink is the link of a layer or config.
func (p Repository) LayerLink(d digest.Digest) RawPath { return RawPath(layerLinkPath(p.name, d)) }

// RevisionLink is the link of a manifest.
func (p Repository) RevisionLink(d digest.Digest) RawPath {
	return RawPath(revisionLinkPath(p.name, d))
}

// TagLink says what a tag points to.
func (p Repository) TagLink(tag TagName) RawPath { return RawPath(tagCurrentLinkPath(p.name, tag)) }
