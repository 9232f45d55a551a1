package layout

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

func TestErrors(t *testing.T) {
	d, m := hexOf("a"), hexOf("b")
	many := make([]TagName, 12)
	for i := range many {
		many[i] = TagName(fmt.Sprintf("v%d", i))
	}
	tests := []struct {
		err  error
		is   error
		says []string
	}{
		{RepositoryUnknownError{"app"}, fs.ErrNotExist, []string{"app"}},
		{ManifestUnknownError{"app", d}, fs.ErrNotExist, []string{"app", string(d)}},
		{ManifestUnknownError{Digest: d}, fs.ErrNotExist, []string{"store", string(d)}},
		{BlobUnknownError{"app", d}, fs.ErrNotExist, []string{"app", string(d)}},
		{BlobUnknownError{Digest: d}, fs.ErrNotExist, []string{"store", string(d)}},
		{TagUnknownError{"app", "v1"}, fs.ErrNotExist, []string{"app", "v1"}},
		{RevisionTaggedError{"app", d, many}, ErrInUse, []string{"app", string(d), "v0", "v9", "and 2 more"}},
		{BlobInUseError{"app", d, m}, ErrInUse, []string{"app", string(d), string(m)}},
	}
	for _, tt := range tests {
		err := fmt.Errorf("op: %w", tt.err)
		if !errors.Is(err, tt.is) {
			t.Errorf("%v is not %v", err, tt.is)
		}
		for _, s := range tt.says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%q does not say %s", err, s)
			}
		}
		if (Remedy(err) == "") != (tt.is == fs.ErrNotExist) {
			t.Errorf("remedy of %v: %q", err, Remedy(err))
		}
	}
}

func TestRemedy(t *testing.T) {
	for _, sentinel := range []error{
		ErrNameInvalid, ErrTagInvalid, ErrDigestInvalid, ErrDigestMismatch, ErrManifestInvalid, ErrTooLarge, ErrLinkInvalid,
		ErrCorrupt, ErrNotEmpty,
	} {
		if Remedy(fmt.Errorf("op: %w", sentinel)) == "" {
			t.Errorf("no remedy for %v", sentinel)
		}
	}
	err := fmt.Errorf("op: %w", withRemedy(ErrCorrupt, "do this"))
	if got := Remedy(err); got != "do this" || strings.Contains(err.Error(), got) {
		t.Errorf("Remedy(%v) = %q, want its own", err, got)
	}
	if got := Remedy(errors.New("other")); got != "" {
		t.Errorf("Remedy of an unknown error = %q", got)
	}
}
