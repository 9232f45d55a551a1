package du

import "registryfs/layout"

// Report is how many bytes are where.
type Report struct {
	Repositories []Repository // the largest first
	// Total is what the repositories take together.
	Total int64
	// Blobs and Stored are the number and the bytes of all blobs of the store, and
	// Unlinked the bytes of those that no repository has a link to.
	Blobs            int
	Stored, Unlinked int64
	// Problems say what could not be read, so that the sums lack something, and what
	// was wanted and is not there.
	Problems []error
}

// Usage is the bytes of some content.
type Usage struct {
	Total int64
	// Unique is the part that nothing else uses. Of a repository: that no other
	// repository links. Of a tag: that besides no other tag of its repository needs.
	Unique int64
}

// Shared is the part that something else uses too.
func (u Usage) Shared() int64 { return u.Total - u.Unique }

// Repository is what one repository takes: its manifests, configs and layers.
type Repository struct {
	Name layout.RepositoryName
	Usage
	// Untagged is what no tag of the repository needs, if Options.Tags is set.
	Untagged int64
	Tags     []Tag // the largest first, if Options.Tags is set
}

// Tag is what a tag needs: its manifest and all that it names, recursively.
type Tag struct {
	Name   layout.TagName
	Digest string // "" if the link is damaged
	Usage
}
