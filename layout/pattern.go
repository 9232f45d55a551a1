package layout

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// RepositoryPattern names repositories: "team/app", "team/*" for those directly
// below team, "team/**" for all below it. In a component '*', '?' and '[a-z]'
// mean what they mean to a shell.
type RepositoryPattern string

// ParseRepositoryPattern checks s. The error is ErrNameInvalid.
func ParseRepositoryPattern(s string) (RepositoryPattern, error) {
	_, err := path.Match(s, "")
	if err == nil && !strings.ContainsAny(s, `*?[\`) {
		_, err = ParseRepositoryName(s)
		return RepositoryPattern(s), err
	}
	if err != nil || s == "" || strings.HasPrefix(s, "/") || strings.HasSuffix(s, "/") {
		return "", fmt.Errorf("pattern %q: %w: write it like team/app, team/* or team/**", s, ErrNameInvalid)
	}
	return RepositoryPattern(s), nil
}

// Unmatched has an error for each pattern that matches none of the names.
func Unmatched(patterns []RepositoryPattern, names []RepositoryName) []error {
	var errs []error
	for _, p := range patterns {
		if !slices.ContainsFunc(names, p.Match) {
			errs = append(errs, fmt.Errorf("no repository of the store matches %q: registryfs du SOURCE lists all", p))
		}
	}
	return errs
}

// Match reports whether p names the repository.
func (p RepositoryPattern) Match(name RepositoryName) bool {
	pattern, s := string(p), string(name)
	if pattern == "**" {
		return true
	}
	if above, ok := strings.CutSuffix(pattern, "/**"); ok {
		parts := strings.Split(s, "/")
		n := strings.Count(above, "/") + 1
		if len(parts) <= n {
			return false
		}
		pattern, s = above, strings.Join(parts[:n], "/")
	}
	ok, _ := path.Match(pattern, s) // the pattern was parsed
	return ok
}
