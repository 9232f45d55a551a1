package layout

import (
	"testing"

	"registryfs/layout/ahead"
)

func TestExpected(t *testing.T) {
	const hex = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	for path, want := range map[string]ahead.Expected{
		layerLinkPath("a/b", "sha256:"+hex):                    {Content: "sha256:" + hex},
		revisionLinkPath("a", "sha256:"+hex):                   {Content: "sha256:" + hex},
		tagIndexLinkPath("a", "v1", "sha256:"+hex):             {Content: "sha256:" + hex},
		tagCurrentLinkPath("a", "v1"):                          {Among: tagIndexPath("a", "v1")},
		layerLinkPath("a", "sha512:"+hex+hex):                  {},
		repositoriesPath + "/a/_layers/sha256/short/link":      {},
		repositoriesPath + "/a/_layers/sha256/" + hex:          {},
		repositoriesPath + "/a/_other/sha256/" + hex + "/link": {},
		repositoriesPath + "/a/current/link":                   {},
		repositoriesPath + "/link":                             {},
		"/link":                                                {},
		blobDataPath("sha256:" + hex):                          {},
	} {
		if got := expected(path); got != want {
			t.Errorf("expected(%q) = %+v, want %+v", path, got, want)
		}
	}
}
