package layout

import "testing"

func TestParsePolicies(t *testing.T) {
	for want, s := range map[ReferencePolicy]string{
		ReferencesSource: "source", ReferencesStore: "store", ReferencesStrict: "strict", ReferencesNone: "none",
	} {
		if got, err := ParseReferencePolicy(s); err != nil || got != want || got.String() != s {
			t.Errorf("ParseReferencePolicy(%q) = %v, %v", s, got, err)
		}
	}
	for want, s := range map[ChildrenMode]string{ChildrenAll: "all", ChildrenNone: "none", ChildrenList: "list"} {
		if got, err := ParseIndexChildrenMode(s); err != nil || got != want || got.String() != s {
			t.Errorf("ParseIndexChildrenMode(%q) = %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "All", "platforms"} {
		if got, err := ParseReferencePolicy(s); err == nil {
			t.Errorf("ParseReferencePolicy(%q) = %v", s, got)
		}
		if got, err := ParseIndexChildrenMode(s); err == nil {
			t.Errorf("ParseIndexChildrenMode(%q) = %v", s, got)
		}
	}
}
