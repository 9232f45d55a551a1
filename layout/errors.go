package layout

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Reasons for a refusal, in the words of the OCI error codes where there is
// one. Errors wrap them with the name of the thing refused.
var (
	ErrNameInvalid         = errors.New("not a legal name")
	ErrTagInvalid          = errors.New("not a legal tag")
	ErrDigestInvalid       = errors.New("not a legal digest")
	ErrDigestMismatch      = errors.New("content does not match the digest")
	ErrManifestInvalid     = errors.New("not a manifest the registry serves")
	ErrManifestBlobUnknown = errors.New("names content that is not there")
	ErrTooLarge            = errors.New("manifest is larger than 4 MiB")
	ErrLinkInvalid         = errors.New("a link holds exactly one digest and no newline")
	ErrCorrupt             = errors.New("stored content is damaged")
	ErrNotEmpty            = errors.New("directory not empty")
	ErrOutOfOrder          = errors.New("write before the end of an upload that has been sent on already")
	ErrInUse               = errors.New("in use")
)

// RepositoryUnknownError says that there is no such repository, nor a directory
// on the way to one. It is fs.ErrNotExist.
type RepositoryUnknownError struct {
	Name RepositoryName
}

func (e RepositoryUnknownError) Error() string {
	return fmt.Sprintf("repository %s does not exist", e.Name)
}

// Is reports that the error means absence.
func (e RepositoryUnknownError) Is(target error) bool { return target == fs.ErrNotExist }

// ManifestUnknownError says that the repository has no link to the manifest. It
// is fs.ErrNotExist.
type ManifestUnknownError struct {
	Repository RepositoryName
	Digest     digest.Digest
}

func (e ManifestUnknownError) Error() string {
	if e.Repository == "" {
		return fmt.Sprintf("manifest %s is not in the store", e.Digest)
	}
	return fmt.Sprintf("repository %s has no manifest %s", e.Repository, e.Digest)
}

// Is reports that the error means absence.
func (e ManifestUnknownError) Is(target error) bool { return target == fs.ErrNotExist }

// BlobUnknownError says that the repository has no link to the blob or, without
// a repository, that the store has no such blob. It is fs.ErrNotExist.
type BlobUnknownError struct {
	Repository RepositoryName
	Digest     digest.Digest
}

func (e BlobUnknownError) Error() string {
	if e.Repository == "" {
		return fmt.Sprintf("blob %s is not in the store", e.Digest)
	}
	return fmt.Sprintf("repository %s has no blob %s", e.Repository, e.Digest)
}

// Is reports that the error means absence.
func (e BlobUnknownError) Is(target error) bool { return target == fs.ErrNotExist }

// TagUnknownError says that the repository has no such tag. It is
// fs.ErrNotExist.
type TagUnknownError struct {
	Repository RepositoryName
	Tag        TagName
}

func (e TagUnknownError) Error() string {
	return fmt.Sprintf("repository %s has no tag %s", e.Repository, e.Tag)
}

// Is reports that the error means absence.
func (e TagUnknownError) Is(target error) bool { return target == fs.ErrNotExist }

// RevisionTaggedError says that a manifest cannot be unlinked while tags point
// at it. It is ErrInUse.
type RevisionTaggedError struct {
	Repository RepositoryName
	Digest     digest.Digest
	Tags       []TagName // sorted
}

func (e RevisionTaggedError) Error() string {
	const most = 10
	names := make([]string, 0, most+1)
	for i, t := range e.Tags {
		if i == most {
			names = append(names, fmt.Sprintf("and %d more", len(e.Tags)-most))
			break
		}
		names = append(names, string(t))
	}
	return fmt.Sprintf("manifest %s of repository %s is tagged %s", e.Digest, e.Repository, strings.Join(names, ", "))
}

// Is reports that the error means use.
func (e RevisionTaggedError) Is(target error) bool { return target == ErrInUse }

// BlobInUseError says that a blob cannot be unlinked while a manifest of the
// repository names it. It is ErrInUse.
type BlobInUseError struct {
	Repository RepositoryName
	Digest     digest.Digest
	Manifest   digest.Digest // one that names it
}

func (e BlobInUseError) Error() string {
	return fmt.Sprintf("blob %s of repository %s is used by manifest %s", e.Digest, e.Repository, e.Manifest)
}

// Is reports that the error means use.
func (e BlobInUseError) Is(target error) bool { return target == ErrInUse }

// Remedy says what the user can do about err, or "" if there is nothing.
func Remedy(err error) string {
	var r interface{ remedy() string }
	if errors.As(err, &r) {
		return r.remedy()
	}
	for _, row := range remedies {
		if errors.Is(err, row.err) {
			return row.text
		}
	}
	return ""
}

// remedies are for errors that carry none of their own; the first match counts.
var remedies = []struct {
	err  error
	text string
}{
	{ErrDigestMismatch, "copy the whole file again, or under the digest that sha256sum gives for it"},
	{ErrTooLarge, "a registry takes no larger ones; put big content into layers"},
	{ErrManifestInvalid, "copy an image manifest or index of OCI or docker schema 2, byte for byte as a registry gives it"},
	{ErrTagInvalid, "a tag has at most 128 letters, digits, '_', '.' and '-', and begins with none of the last two"},
	{ErrDigestInvalid, "name the file by the digest of its content, in lower case hex"},
	{ErrNameInvalid, "use lower case letters and digits, separated by '.', '_' or '-'"},
	{ErrLinkInvalid, "write it without a newline: printf %s sha256:..."},
	{ErrCorrupt, "put the content back under the same name, which repairs it"},
	{ErrNotEmpty, "remove what is in it first"},
}

// remedied carries the remedy of an error without showing it in the message.
type remedied struct {
	error
	text string
}

func (e remedied) Unwrap() error  { return e.error }
func (e remedied) remedy() string { return e.text }

// withRemedy adds what the user can do about err.
func withRemedy(err error, text string) error {
	return remedied{error: err, text: text}
}

func (e RevisionTaggedError) remedy() string {
	return "remove the tags that point at it first, or move them to another manifest"
}

func (e BlobInUseError) remedy() string {
	return "remove the manifests that name it from _manifests first"
}
