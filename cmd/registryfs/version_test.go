package main

import (
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersionText(t *testing.T) {
	if got := versionText(); !strings.Contains(got, runtime.Version()) {
		t.Errorf("versionText() = %q, want Go's version in it", got)
	}
}

func TestCommitOf(t *testing.T) {
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef"}
	for _, test := range []struct {
		settings []debug.BuildSetting
		want     string
	}{
		{nil, ""},
		{[]debug.BuildSetting{revision}, " (commit 0123456789ab)"},
		{[]debug.BuildSetting{revision, {Key: "vcs.modified", Value: "true"}}, " (commit 0123456789ab, modified)"},
		{[]debug.BuildSetting{{Key: "vcs.revision", Value: "ab"}, {Key: "vcs.modified", Value: "false"}}, " (commit ab)"},
	} {
		if got := commitOf(test.settings); got != test.want {
			t.Errorf("commitOf(%v) = %q, want %q", test.settings, got, test.want)
		}
	}
}
