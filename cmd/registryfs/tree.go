package main

import (
	"fmt"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v2"
)

// parseYAML reads YAML into maps with string keys, lists and scalars, leniently
// as the registry does: of a key that is there twice the last one counts.
func parseYAML(text []byte) (any, error) {
	var v any
	if err := yaml.Unmarshal(text, &v); err != nil {
		return nil, err
	}
	return stringKeys(v), nil
}

func stringKeys(v any) any {
	switch v := v.(type) {
	case map[any]any:
		m := make(map[string]any, len(v))
		for key, value := range v {
			m[fmt.Sprint(key)] = stringKeys(value)
		}
		return m
	case []any:
		for i := range v {
			v[i] = stringKeys(v[i])
		}
	}
	return v
}

// node is a place in a configuration, with its name for error messages.
type node struct {
	path  string
	value any
}

// child is what is below n under a key; its value is nil if nothing is.
func (n node) child(key string) (node, error) {
	m, err := n.fields()
	path := key
	if n.path != "" {
		path = n.path + "." + key
	}
	return node{path, m[key]}, err
}

// at follows several keys.
func (n node) at(keys ...string) (node, error) {
	var err error
	for _, key := range keys {
		if n, err = n.child(key); err != nil {
			return n, err
		}
	}
	return n, nil
}

func (n node) fields() (map[string]any, error) {
	switch v := n.value.(type) {
	case nil:
		return nil, nil
	case map[string]any:
		return v, nil
	}
	return nil, n.wrong("a section", "put its keys on lines of their own, indented below it")
}

func (n node) list() ([]node, error) {
	switch v := n.value.(type) {
	case nil:
		return nil, nil
	case []any:
		nodes := make([]node, len(v))
		for i := range v {
			nodes[i] = node{fmt.Sprintf("%s[%d]", n.path, i), v[i]}
		}
		return nodes, nil
	}
	return nil, n.wrong("a list", "put each item on a line of its own, after a dash")
}

func (n node) boolean() (bool, error) {
	switch v := n.value.(type) {
	case nil:
		return false, nil
	case bool:
		return v, nil
	}
	return false, n.wrong("true or false", "write true or false, without quotes")
}

// text takes any scalar, as a YAML decoder does for a string.
func (n node) text() (string, error) {
	switch v := n.value.(type) {
	case nil:
		return "", nil
	case map[string]any, []any:
		return "", n.wrong("a single value", "write one value on the line of the key")
	default:
		return fmt.Sprint(v), nil
	}
}

func (n node) flag(keys ...string) (bool, error) {
	n, err := n.at(keys...)
	if err != nil {
		return false, err
	}
	return n.boolean()
}

func (n node) textAt(key string) (string, error) {
	n, err := n.child(key)
	if err != nil {
		return "", err
	}
	return n.text()
}

func (n node) patterns(keys ...string) ([]*regexp.Regexp, error) {
	n, err := n.at(keys...)
	if err != nil {
		return nil, err
	}
	items, err := n.list()
	if err != nil {
		return nil, err
	}
	var patterns []*regexp.Regexp
	for _, item := range items {
		text, err := item.text()
		if err != nil {
			return nil, err
		}
		re, err := regexp.Compile(text)
		if err != nil {
			return nil, item.wrong("a regular expression", err.Error())
		}
		patterns = append(patterns, re)
	}
	return patterns, nil
}

func (n node) wrong(want, remedy string) error {
	shown := ""
	switch v := n.value.(type) {
	case map[string]any:
		shown = "a section"
	case []any:
		shown = "a list"
	case string:
		shown = strconv.Quote(v)
	default:
		shown = fmt.Sprint(v)
	}
	return fmt.Errorf("%s is %s and not %s: %s", n.path, shown, want, remedy)
}
