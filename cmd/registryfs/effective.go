package main

import (
	"fmt"
	"net/url"
	"strings"

	"go.yaml.in/yaml/v2"
)

// effective is the text of .registryfs/config: what this mount goes by, after
// all files, options and variables, without secrets.
func (m mounting) effective(mountpoint string, s store) (string, error) {
	storage := yaml.MapSlice{{Key: s.driver, Value: masked(s.params)}}
	config := yaml.MapSlice{
		{Key: "version", Value: versionText()},
		{Key: "source", Value: s.source},
		{Key: "mountpoint", Value: mountpoint},
		{Key: "read-only", Value: m.readOnly},
		{Key: "allow-other", Value: m.allowOther},
		{Key: "allow-delete", Value: m.allowDelete},
		{Key: "xattrs", Value: m.xattrs},
		{Key: "umask", Value: fmt.Sprintf("%03o", m.umask)},
		{Key: "references", Value: m.references.String()},
		{Key: "index-children", Value: s.children.Mode.String()},
		{Key: "state-dir", Value: m.stateDir},
	}
	if s.network != nil {
		config = append(config,
			yaml.MapItem{Key: "memory", Value: s.network.memory.Size()},
			yaml.MapItem{Key: "cache-dir", Value: m.cacheDir},
			yaml.MapItem{Key: "cache-size", Value: m.cacheSize})
	}
	config = append(config, yaml.MapItem{Key: "storage", Value: storage})
	if s.remote != "" {
		config = append(config, yaml.MapItem{Key: "remote", Value: withoutUser(s.remote)})
	}
	text, err := yaml.Marshal(config)
	return string(text), err
}

// secretWords are parts of the parameter names that hold secrets.
var secretWords = []string{"secret", "password", "token", "key", "credential", "sas"}

// masked is params with stars for secrets.
func masked(params map[string]any) map[string]any {
	shown := make(map[string]any, len(params))
	for key, value := range params {
		shown[key] = maskedValue(key, value)
	}
	return shown
}

func maskedValue(key string, value any) any {
	switch key {
	case "accesskey": // its beginning tells which it is and opens nothing
		if text := fmt.Sprint(value); value != nil && len(text) >= 8 {
			return text[:4] + "***"
		}
	case "keyid":
		return value // a name, not a key
	}
	for _, word := range secretWords {
		if strings.Contains(strings.ToLower(key), word) && value != nil && value != "" {
			return "***"
		}
	}
	switch v := value.(type) {
	case map[string]any:
		return masked(v)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = maskedValue("", v[i])
		}
		return list
	case string:
		return withoutUser(v)
	}
	return value
}

// withoutUser takes user and password out of a URL.
func withoutUser(s string) string {
	if u, err := url.Parse(s); err == nil && u.User != nil {
		u.User = url.User("***")
		return u.String()
	}
	return s
}
