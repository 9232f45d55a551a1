package layout

import (
	"fmt"
	"regexp"
)

// ReferencePolicy says what a tagged manifest may name besides what its own
// repository has linked already. Without a rule, a manifest that merely names
// the digest of a private layer would make that layer pullable.
type ReferencePolicy int

const (
	// ReferencesSource also admits what is linked in a repository from which
	// this mount has served that very manifest, and links it.
	ReferencesSource ReferencePolicy = iota
	// ReferencesStore admits all that is in the store, and links it.
	ReferencesStore
	// ReferencesStrict admits nothing else, as the registry does.
	ReferencesStrict
	// ReferencesNone checks nothing and links nothing.
	ReferencesNone
)

var referencePolicies = []string{"source", "store", "strict", "none"}

// ParseReferencePolicy knows source, store, strict and none.
func ParseReferencePolicy(s string) (ReferencePolicy, error) {
	for i, name := range referencePolicies {
		if s == name {
			return ReferencePolicy(i), nil
		}
	}
	return 0, fmt.Errorf("references %q: not one of source, store, strict, none", s)
}

func (p ReferencePolicy) String() string {
	return referencePolicies[p]
}

// ChildrenMode says which manifests of a tagged index must be there.
type ChildrenMode int

const (
	// ChildrenAll demands every one.
	ChildrenAll ChildrenMode = iota
	// ChildrenNone demands none.
	ChildrenNone
	// ChildrenList demands those for the listed platforms.
	ChildrenList
)

var childrenModes = []string{"all", "none", "list"}

// ParseIndexChildrenMode knows all, none and list.
func ParseIndexChildrenMode(s string) (ChildrenMode, error) {
	for i, name := range childrenModes {
		if s == name {
			return ChildrenMode(i), nil
		}
	}
	return 0, fmt.Errorf("index children %q: not one of all, none, list", s)
}

func (m ChildrenMode) String() string {
	return childrenModes[m]
}

// Platform is an operating system and an architecture, in lower case.
type Platform struct {
	OS, Architecture string
}

// IndexChildren is the registry's validation.manifests.indexes.
type IndexChildren struct {
	Mode ChildrenMode
	// Platforms are those that ChildrenList demands.
	Platforms []Platform
}

// requires reports whether a child for p must be there. A child without a
// platform (nil) is required by ChildrenAll only.
func (c IndexChildren) requires(p *Platform) bool {
	switch c.Mode {
	case ChildrenAll:
		return true
	case ChildrenList:
		for _, want := range c.Platforms {
			if p != nil && *p == want {
				return true
			}
		}
	}
	return false
}

// URLRules are the registry's validation.manifests.urls: a new manifest's
// foreign layers may only carry URLs that some Allow matches, if there is one,
// and no Deny. With neither no URL is allowed, as in the registry's server.
type URLRules struct {
	Allow, Deny []*regexp.Regexp
}

// allows reports whether a new manifest may carry u.
func (r URLRules) allows(u string) bool {
	if len(r.Allow) == 0 && len(r.Deny) == 0 {
		return u == ""
	}
	if len(r.Allow) > 0 && !matchesAny(r.Allow, u) {
		return false
	}
	return !matchesAny(r.Deny, u)
}

func matchesAny(res []*regexp.Regexp, s string) bool {
	for _, re := range res {
		if re.MatchString(s) {
			return true
		}
	}
	return false
}
