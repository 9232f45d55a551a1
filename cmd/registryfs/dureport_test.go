package main

import (
	"encoding/json"
	"testing"

	"registryfs/layout/du"
)

// TestDuJSON wants the tags of a repository that has none to be an empty list, so
// that jq can go through them, and none of it where they were not asked for.
func TestDuJSON(t *testing.T) {
	for _, tt := range []struct {
		name string
		tags []du.Tag
		want string
	}{
		{"no tags", []du.Tag{}, `{"repositories":[{"name":"a","total":3,"unique":3,"shared":0,"untagged":3,"tags":[]}],"total":3}`},
		{"not asked for", nil, `{"repositories":[{"name":"a","total":3,"unique":3,"shared":0}],"total":3}`},
	} {
		r := du.Report{Total: 3, Repositories: []du.Repository{{Name: "a", Usage: du.Usage{Total: 3, Unique: 3}, Untagged: 3, Tags: tt.tags}}}
		if got, err := json.Marshal(duJSON(r, false)); err != nil || string(got) != tt.want {
			t.Errorf("%s: %s, %v, want %s", tt.name, got, err, tt.want)
		}
	}
}
