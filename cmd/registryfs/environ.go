package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// overridable are the sections of a configuration that matter here. Other
// REGISTRY_ variables are for the registry alone.
var overridable = map[string]bool{"STORAGE": true, "PROXY": true, "VALIDATION": true}

// override applies the registry's variables to its configuration, by its
// rules: REGISTRY_STORAGE_S3_BUCKET=x is storage.s3.bucket, names are matched
// in upper case, values are YAML, and they are applied sorted by name, so that
// REGISTRY_STORAGE=s3, which replaces all of storage, comes before what adds to
// it. Sections that the registry itself cannot reach that way, such as
// storage.maintenance.readonly (distribution issue 1736), work here.
func override(config map[string]any, environ []string) error {
	spellOutStorage(config)
	for _, variable := range slices.Sorted(slices.Values(environ)) {
		name, text, _ := strings.Cut(variable, "=")
		rest, ok := strings.CutPrefix(name, "REGISTRY_")
		path := strings.Split(rest, "_")
		if !ok || !overridable[path[0]] {
			continue
		}
		value, err := parseYAML([]byte(text))
		if err != nil {
			// The value may be a secret, so it is not shown.
			return fmt.Errorf("the value of %s is not YAML: put it in single quotes within the variable", name)
		}
		if _, err := put(config, path, value); err != nil {
			return fmt.Errorf("%s cannot be applied: %w", name, err)
		}
		spellOutStorage(config)
	}
	return nil
}

// spellOutStorage makes a section of the short form, storage: inmemory.
func spellOutStorage(config map[string]any) {
	switch v := config["storage"].(type) {
	case nil, map[string]any, []any:
	default:
		config["storage"] = map[string]any{fmt.Sprint(v): map[string]any{}}
	}
}

// put returns the tree v with the value at path, whose parts are in upper case.
// A name that is new is created in lower case, a number one past the end of a
// list extends it.
func put(v any, path []string, value any) (any, error) {
	if len(path) == 0 {
		return value, nil
	}
	name, rest := path[0], path[1:]
	if name == "" {
		return nil, errors.New("there is nothing between two of its underscores")
	}
	switch tree := v.(type) {
	case nil:
		if name == "0" {
			return put([]any{}, path, value)
		}
		return put(map[string]any{}, path, value)
	case map[string]any:
		key := strings.ToLower(name)
		if len(rest) > 0 {
			key = keyFor(tree, name)
		}
		child, err := put(tree[key], rest, value)
		if err == nil {
			tree[key] = child
		}
		return tree, err
	case []any:
		i, err := strconv.Atoi(name)
		if err != nil || i < 0 || i > len(tree) {
			return nil, fmt.Errorf("the list has %d items, so the name must go on with a number from 0 to %[1]d and not with %s", len(tree), name)
		}
		if i == len(tree) {
			tree = append(tree, nil)
		}
		tree[i], err = put(tree[i], rest, value)
		return tree, err
	}
	return nil, fmt.Errorf("what it sets %s of is a single value and no section", strings.ToLower(name))
}

// keyFor is the key of m that reads name in upper case, or a new one.
func keyFor(m map[string]any, name string) string {
	lower := strings.ToLower(name)
	if _, ok := m[lower]; ok {
		return lower
	}
	for key := range m {
		if strings.ToUpper(key) == name {
			return key
		}
	}
	return lower
}
