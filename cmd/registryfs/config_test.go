package main

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"registryfs/layout"
)

// config is the text of a config.yml with more after its first line.
func config(more string) string { return "version: 0.1\n" + more }

const filesystemStorage = "storage:\n  filesystem:\n    rootdirectory: /r\n"

func TestParseConfig(t *testing.T) {
	filesystem := func(change func(*registryConfig)) registryConfig {
		c := registryConfig{driver: "filesystem", params: map[string]any{"rootdirectory": "/r"}}
		if change != nil {
			change(&c)
		}
		return c
	}
	amd64 := layout.Platform{OS: "linux", Architecture: "amd64"}
	tests := []struct {
		name string
		text string
		env  []string
		want registryConfig
	}{
		{name: "map", text: filesystemStorage, want: filesystem(nil)},
		{name: "driver without parameters", text: "storage:\n  inmemory:\n",
			want: registryConfig{driver: "inmemory", params: map[string]any{}}},
		{name: "bare string", text: "storage: inmemory\n",
			want: registryConfig{driver: "inmemory", params: map[string]any{}}},
		{name: "the options are no drivers", text: filesystemStorage + `
  cache: {blobdescriptor: redis, blobdescriptorsize: many}
  redirect: {disable: maybe}
  tag: {concurrencylimit: -1}
  maintenance: {uploadpurging: {enabled: false}}
`, want: filesystem(func(c *registryConfig) { c.blobCache = "redis" })},
		{name: "a cache by its old name", text: filesystemStorage + "  cache: {layerinfo: inmemory}\n",
			want: filesystem(func(c *registryConfig) { c.blobCache = "inmemory" })},
		{name: "a cache that is none", text: filesystemStorage + "  cache: {blobdescriptor: memcached}\n", want: filesystem(nil)},
		{name: "unknown keys", text: filesystemStorage + "http: {addr: ':5000'}\nfuture: [1, 2]\n", want: filesystem(nil)},
		{name: "the last of two keys counts", text: "storage:\n  s3:\n    secure: false\n    bucket: b\n    secure: true\n",
			want: registryConfig{driver: "s3", params: map[string]any{"secure": true, "bucket": "b"}}},
		{name: "YAML 1.1 booleans", text: filesystemStorage + "  delete:\n    enabled: yes\n",
			want: filesystem(func(c *registryConfig) { c.allowDelete = true })},
		{name: "a number for a name", text: "storage:\n  s3: {accesskey: 0123, bucket: 1e3}\n",
			want: registryConfig{driver: "s3", params: map[string]any{"accesskey": 83, "bucket": 1e3}}},
		{name: "delete", text: filesystemStorage + "  delete: {enabled: true}\n",
			want: filesystem(func(c *registryConfig) { c.allowDelete = true })},
		{name: "delete without a word", text: filesystemStorage + "  delete:\n", want: filesystem(nil)},
		{name: "readonly", text: filesystemStorage + "  maintenance: {readonly: {enabled: true}}\n",
			want: filesystem(func(c *registryConfig) { c.readOnly = true })},
		{name: "readonly without a word", text: filesystemStorage + "  maintenance: {readonly: {}}\n", want: filesystem(nil)},
		{name: "uploads", text: filesystemStorage + "  maintenance: {uploadpurging: {enabled: true, age: 36h}}\n",
			want: filesystem(func(c *registryConfig) { c.uploadAge = 36 * time.Hour })},
		{name: "proxy", text: filesystemStorage + "proxy: {remoteurl: 'https://registry-1.docker.io'}\n",
			want: filesystem(func(c *registryConfig) { c.remote = "https://registry-1.docker.io" })},
		{name: "validation", text: filesystemStorage + `
validation:
  manifests:
    urls:
      allow: ["^https?://a/", b]
      deny: [c$]
    indexes:
      platforms: LIST
      platformlist: [{architecture: AMD64, os: linux}]
`, want: filesystem(func(c *registryConfig) {
			c.urls.Allow = []*regexp.Regexp{regexp.MustCompile("^https?://a/"), regexp.MustCompile("b")}
			c.urls.Deny = []*regexp.Regexp{regexp.MustCompile("c$")}
			c.children = layout.IndexChildren{Mode: layout.ChildrenList, Platforms: []layout.Platform{amd64}}
		})},
		{name: "validation disabled", text: filesystemStorage + "validation: {disabled: true, manifests: {urls: {deny: [a]}}}\n",
			want: filesystem(func(c *registryConfig) {
				c.urls.Allow = []*regexp.Regexp{regexp.MustCompile("")}
				c.children.Mode = layout.ChildrenNone
			})},
		{name: "validation enabled the old way", text: filesystemStorage + "validation: {enabled: true, disabled: true, manifests: {indexes: {platforms: none}}}\n",
			want: filesystem(func(c *registryConfig) { c.children.Mode = layout.ChildrenNone })},
		{name: "anchors", text: "x: &x {rootdirectory: /r}\nstorage: {filesystem: *x}\n", want: filesystem(nil)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseConfig([]byte(config(test.text)), test.env)
			if err != nil {
				t.Fatalf("parseConfig = %v, want no error", err)
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("parseConfig = %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestParseConfigErrors(t *testing.T) {
	tests := []struct {
		name, text, want string
	}{
		{"not YAML", "a: [", "yaml:"},
		{"no map", "- version: 0.1\n", "says version: 0.1, this file does not"},
		{"empty", "", "says version: 0.1, this file does not"},
		{"no version", filesystemStorage, "says version: 0.1, this file does not"},
		{"other version", "version: 0.2\n" + filesystemStorage, "says version: 0.1, this file does not"},
		{"no storage", config(""), "no storage configuration provided"},
		{"null storage", config("storage:\n"), "no storage configuration provided"},
		{"only options", config("storage: {delete: {enabled: true}}\n"), "no storage configuration provided"},
		{"list", config("storage: [filesystem]\n"), "storage is a list and not a section"},
		{"two drivers", config("storage: {s3: {}, filesystem: {}}\n"), "exactly one driver, not filesystem, s3: keep one of them"},
		{"scalar driver", config("storage: {filesystem: /r}\n"), `storage.filesystem is "/r" and not a section`},
		{"scalar delete", config(filesystemStorage + "  delete: true\n"), "storage.delete is true and not a section"},
		{"quoted boolean", config(filesystemStorage + "  delete: {enabled: 'true'}\n"),
			`storage.delete.enabled is "true" and not true or false: write true or false, without quotes`},
		{"number for a boolean", config(filesystemStorage + "  delete: {enabled: 1}\n"), "storage.delete.enabled is 1 and not true or false"},
		{"scalar readonly", config(filesystemStorage + "  maintenance: {readonly: true}\n"), "storage.maintenance.readonly is true and not a section"},
		{"scalar maintenance", config(filesystemStorage + "  maintenance: x\n"), `storage.maintenance is "x" and not a section`},
		{"list for readonly", config(filesystemStorage + "  maintenance: {readonly: {enabled: [true]}}\n"),
			"storage.maintenance.readonly.enabled is a list and not true or false"},
		{"age of uploads", config(filesystemStorage + "  maintenance: {uploadpurging: {age: 7 days}}\n"),
			`storage.maintenance.uploadpurging.age is "7 days" and not a time`},
		{"scalar proxy", config(filesystemStorage + "proxy: x\n"), `proxy is "x" and not a section`},
		{"section for a URL", config(filesystemStorage + "proxy: {remoteurl: {a: b}}\n"), "proxy.remoteurl is a section and not a single value"},
		{"scalar for patterns", config(filesystemStorage + "validation: {manifests: {urls: {allow: a}}}\n"),
			`validation.manifests.urls.allow is "a" and not a list`},
		{"bad pattern", config(filesystemStorage + "validation: {manifests: {urls: {deny: [a, '(']}}}\n"),
			`validation.manifests.urls.deny[1] is "(" and not a regular expression`},
		{"platforms", config(filesystemStorage + "validation: {manifests: {indexes: {platforms: some}}}\n"),
			`validation.manifests.indexes.platforms is "some" and not one of all, none and list`},
		{"platform list", config(filesystemStorage + "validation: {manifests: {indexes: {platformlist: [amd64]}}}\n"),
			`validation.manifests.indexes.platformlist[0] is "amd64" and not a section`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseConfig([]byte(test.text), nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("parseConfig = %v, want %q", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "\n") && test.name != "not YAML" {
				t.Errorf("parseConfig = %q, want one line", err)
			}
		})
	}
}

// The files are shaped like those that come with the registry.
func TestParseConfigFiles(t *testing.T) {
	for name, driver := range map[string]string{
		"duplicate-key.yml": "s3",
		"cache.yml":         "filesystem",
		"debian.yml":        "filesystem",
	} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		c, err := parseConfig(text, nil)
		if err != nil || c.driver != driver {
			t.Errorf("parseConfig(%s) = driver %q, %v, want %q", name, c.driver, err, driver)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add(config(filesystemStorage), "REGISTRY_STORAGE_DELETE_ENABLED", "true")
	f.Add(config(filesystemStorage), "REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED", "true")
	f.Add(config("storage: inmemory\n"), "REGISTRY_STORAGE", "{s3: {a: [1, {b: c}]}}")
	f.Add(config("validation: {manifests: {urls: {allow: [a]}}}"), "REGISTRY_VALIDATION_MANIFESTS_URLS_ALLOW_1", "[")
	f.Fuzz(func(t *testing.T, text, name, value string) {
		c, err := parseConfig([]byte(text), []string{name + "=" + value})
		if err == nil && c.params == nil {
			t.Errorf("parseConfig = %+v, want parameters or an error", c)
		}
	})
}
