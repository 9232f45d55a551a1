package layout

import (
	"errors"
	"testing"
)

func TestRepositoryPattern(t *testing.T) {
	for _, tt := range []struct {
		pattern string
		name    RepositoryName
		want    bool
	}{
		{"team/app", "team/app", true},
		{"team/app", "team/app/x", false},
		{"team/*", "team/app", true},
		{"team/*", "team/app/x", false},
		{"team/*", "team", false},
		{"team/**", "team/app", true},
		{"team/**", "team/app/x", true},
		{"team/**", "team", false},
		{"t*/**", "team/app/x", true},
		{"t*/**", "other/app", false},
		{"**", "a/b/c", true},
		{"*", "a", true},
		{"*", "a/b", false},
		{"a[0-9]?", "a1b", true},
	} {
		p, err := ParseRepositoryPattern(tt.pattern)
		if err != nil {
			t.Fatalf("ParseRepositoryPattern(%q) = %v", tt.pattern, err)
		}
		if got := p.Match(tt.name); got != tt.want {
			t.Errorf("%q.Match(%q) = %v, want %v", tt.pattern, tt.name, got, tt.want)
		}
	}
	for _, bad := range []string{"", "Upper", "a//b", "/a", "a/", "a[", "/*", "*/", "_x"} {
		if _, err := ParseRepositoryPattern(bad); !errors.Is(err, ErrNameInvalid) {
			t.Errorf("ParseRepositoryPattern(%q) = %v, want ErrNameInvalid", bad, err)
		}
	}
}
