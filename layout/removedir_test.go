package layout

import (
	"errors"
	"slices"
	"testing"

	"registryfs/drivers"
)

func TestRemoveDir(t *testing.T) {
	link := string(hexOf("a"))
	repo := func(file string) string { return repositoriesPath + "/app/" + file }
	tests := []struct {
		name  string
		dir   Dir
		files []string // in the store
		want  []string // what is left; nil is nothing
		err   error
	}{
		{"nothing there", Dir{Kind: DirRepository}, nil, nil, nil},
		{"tags, nothing there", Dir{Kind: DirTags}, nil, nil, nil},
		{"tags, a tag", Dir{Kind: DirTags}, []string{repo("_manifests/tags/v/current/link")}, []string{repo("_manifests/tags/v/current/link")}, ErrNotEmpty},
		{"tags, only history", Dir{Kind: DirTags}, []string{tagIndexLinkPath("app", "v", hexOf("a"))}, nil, nil},
		{"tags, a stray file", Dir{Kind: DirTags}, []string{repo("_manifests/tags/stray")}, []string{repo("_manifests/tags/stray")}, ErrNotEmpty},
		{"tags beside a revision", Dir{Kind: DirTags}, []string{revisionLinkPath("app", hexOf("a"))}, []string{revisionLinkPath("app", hexOf("a"))}, nil},
		{"manifests, a revision", Dir{Kind: DirManifests}, []string{revisionLinkPath("app", hexOf("a"))}, []string{revisionLinkPath("app", hexOf("a"))}, ErrNotEmpty},
		{"manifests, only signatures", Dir{DirRevisions, "sha256"},
			[]string{revisionPath("app", hexOf("a")) + "/signatures/sha256/" + hexOf("b").Encoded() + "/link"}, nil, nil},
		{"blobs, a layer", Dir{Kind: DirBlobs}, []string{layerLinkPath("app", hexOf("a"))}, []string{layerLinkPath("app", hexOf("a"))}, ErrNotEmpty},
		{"layers, another algorithm's", Dir{DirLayers, "sha512"}, []string{layerLinkPath("app", hexOf("a"))}, []string{layerLinkPath("app", hexOf("a"))}, nil},
		{"uploads, one", Dir{Kind: DirUploads}, []string{uploadStartedAtPath("app", "id")}, []string{uploadStartedAtPath("app", "id")}, ErrNotEmpty},
		{"repository, a tag", Dir{Kind: DirRepository},
			[]string{repo("_manifests/tags/v/current/link"), repo("_referrers/x")},
			[]string{repo("_manifests/tags/v/current/link"), repo("_referrers/x")}, ErrNotEmpty},
		{"repository, a layer", Dir{Kind: DirRepository},
			[]string{layerLinkPath("app", hexOf("a")), tagIndexLinkPath("app", "v", hexOf("a"))},
			[]string{layerLinkPath("app", hexOf("a")), tagIndexLinkPath("app", "v", hexOf("a"))}, ErrNotEmpty},
		{"repository, only remnants", Dir{Kind: DirRepository}, []string{tagIndexLinkPath("app", "v", hexOf("a"))}, nil, nil},
		{"repository, an upload", Dir{Kind: DirRepository},
			[]string{tagIndexLinkPath("app", "v", hexOf("a")), uploadStartedAtPath("app", "id")},
			[]string{uploadStartedAtPath("app", "id")}, ErrNotEmpty},
		{"repository, a nested one", Dir{Kind: DirRepository},
			[]string{tagIndexLinkPath("app", "v", hexOf("a")), revisionLinkPath("app/sub", hexOf("a")), tagCurrentLinkPath("app/sub", "v")},
			[]string{revisionLinkPath("app/sub", hexOf("a")), tagCurrentLinkPath("app/sub", "v")}, ErrNotEmpty},
		{"repository, unknown directory", Dir{Kind: DirRepository}, []string{repo("_referrers/x")}, []string{repo("_referrers/x")}, ErrNotEmpty},
		{"repository, stray file", Dir{Kind: DirRepository}, []string{repo("stray")}, []string{repo("stray")}, ErrNotEmpty},
		{"repository, a sibling", Dir{Kind: DirRepository},
			[]string{repositoriesPath + "/app-extra/_manifests/tags/v/current/link"},
			[]string{repositoriesPath + "/app-extra/_manifests/tags/v/current/link"}, nil},
	}
	onBoth(t, func(t *testing.T, d drivers.StorageDriver) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				for _, f := range tt.files {
					put(t, d, f, link)
				}
				p := New(d, Options{}).Repository("app")
				if err := p.RemoveDir(t.Context(), tt.dir); !errors.Is(err, tt.err) {
					t.Errorf("RemoveDir: %v, want %v", err, tt.err)
				}
				got := paths(t, d)
				slices.Sort(got)
				slices.Sort(tt.want)
				if !slices.Equal(got, tt.want) {
					t.Errorf("left: %q, want %q", got, tt.want)
				}
				if tt.want == nil && has(t, d, p.dirPath(tt.dir)) {
					t.Error("the directory is still there")
				}
				if tt.dir.Kind == DirRepository && tt.err == nil && has(t, d, repositoryPath("app")) {
					t.Error("the repository is still there")
				}
				if err := d.Delete(t.Context(), "/docker"); err != nil && !isAbsent(err) {
					t.Fatal(err)
				}
			})
		}
	})
}

// All of a repository goes, by the steps that rm -r makes, but not its nested
// repositories.
func TestRemoveRepository(t *testing.T) {
	onBoth(t, func(t *testing.T, d drivers.StorageDriver) {
		r := New(d, testOptions(t, Options{}))
		p, nested := r.Repository("app"), r.Repository("app/sub")
		img := newImage("one", 2)
		putImage(t, p, "v1", img)
		putImage(t, p, "v2", newImage("two", 1))
		putImage(t, nested, "v", img)
		ctx := t.Context()
		for _, tag := range collect(t, p.Tags().All(ctx)) {
			if _, err := p.Tags().Untag(ctx, tag); err != nil {
				t.Error(err)
			}
		}
		for _, hex := range collect(t, p.Manifests().All(ctx, "sha256")) {
			m, _ := ParseHex("sha256", hex)
			if err := p.Manifests().Unlink(ctx, m); err != nil {
				t.Error(err)
			}
		}
		for _, hex := range collect(t, p.Blobs().All(ctx, "sha256")) {
			b, _ := ParseHex("sha256", hex)
			if err := p.Blobs().Unlink(ctx, b); err != nil {
				t.Error(err)
			}
		}
		for _, dir := range []Dir{{Kind: DirTags}, {DirRevisions, "sha256"}, {Kind: DirManifests}, {DirLayers, "sha256"}, {Kind: DirBlobs}} {
			if err := p.RemoveDir(ctx, dir); err != nil {
				t.Errorf("RemoveDir(%v): %v", dir, err)
			}
		}
		if err := p.RemoveDir(ctx, Dir{Kind: DirRepository}); !errors.Is(err, ErrNotEmpty) {
			t.Errorf("RemoveDir beside a nested repository: %v, want ErrNotEmpty", err)
		}
		if got := collect(t, r.Repositories(ctx)); !slices.Equal(got, []RepositoryName{"app/sub"}) {
			t.Errorf("Repositories = %q, want only app/sub", got)
		}
		wholeTag(t, nested, "v")
	})
}

func TestDirTimes(t *testing.T) {
	onBoth(t, func(t *testing.T, d drivers.StorageDriver) {
		r := New(d, testOptions(t, Options{}))
		p := r.Repository("a")
		if _, err := p.ModTime(t.Context(), Dir{Kind: DirTags}); !isAbsent(err) {
			t.Errorf("ModTime of a missing directory: %v, want fs.ErrNotExist", err)
		}
		putImage(t, p, "v", newImage("one", 1))
		put(t, d, uploadStartedAtPath("a", "id"), "")
		for _, dir := range []Dir{
			{Kind: DirRepository}, {Kind: DirTags}, {Kind: DirManifests}, {DirRevisions, "sha256"},
			{Kind: DirBlobs}, {DirLayers, "sha256"}, {Kind: DirUploads},
		} {
			when := day2020
			if err := p.SetModTime(t.Context(), dir, when); err != nil {
				t.Errorf("SetModTime(%v): %v", dir, err)
			}
			if got, err := p.ModTime(t.Context(), dir); err != nil || !got.Equal(when) {
				t.Errorf("ModTime(%v) = %v, %v, want %v", dir, got, err, when)
			}
		}
		if err := p.SetModTime(t.Context(), Dir{DirLayers, "sha512"}, day2020); !isAbsent(err) {
			t.Errorf("SetModTime of a missing directory: %v, want fs.ErrNotExist", err)
		}
	})
}
