package main

import (
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v2"
)

func TestOverride(t *testing.T) {
	tests := []struct {
		name string
		text string
		env  []string
		want string
	}{
		{name: "none", text: "storage: {filesystem: {}}", want: "storage: {filesystem: {}}"},
		{name: "other variables", text: "storage: {filesystem: {}}",
			env:  []string{"REGISTRY_HTTP_ADDR=:80", "REGISTRYFS_UID=0", "HOME=/", "REGISTRY_=x", "REGISTRY_CONFIGURATION_PATH=/c", "STORAGE_S3=a"},
			want: "storage: {filesystem: {}}"},
		{name: "a value that is there", text: "storage: {filesystem: {rootdirectory: /a}}",
			env: []string{"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/b"}, want: "storage: {filesystem: {rootdirectory: /b}}"},
		{name: "a new value", text: "storage: {s3: }",
			env: []string{"REGISTRY_STORAGE_S3_BUCKET=b"}, want: "storage: {s3: {bucket: b}}"},
		{name: "a new section", text: "storage: {filesystem: {}}",
			env: []string{"REGISTRY_STORAGE_DELETE_ENABLED=true"}, want: "storage: {filesystem: {}, delete: {enabled: true}}"},
		{name: "values are YAML", text: "storage: {s3: {}}",
			env: []string{"REGISTRY_STORAGE_S3_A=true", "REGISTRY_STORAGE_S3_B=12", "REGISTRY_STORAGE_S3_C=0x1f",
				"REGISTRY_STORAGE_S3_D='12'", "REGISTRY_STORAGE_S3_E=~", "REGISTRY_STORAGE_S3_F={x: [y]}", "REGISTRY_STORAGE_S3_G=a=b"},
			want: "storage: {s3: {a: true, b: 12, c: 31, d: '12', e: ~, f: {x: [y]}, g: a=b}}"},
		{name: "the driver replaced", text: "storage: {filesystem: {rootdirectory: /a}, delete: {enabled: true}}",
			env: []string{"REGISTRY_STORAGE=s3"}, want: "storage: {s3: {}}"},
		{name: "the driver replaced and given parameters, in any order", text: "storage: {filesystem: {rootdirectory: /a}}",
			env:  []string{"REGISTRY_STORAGE_S3_BUCKET=b", "REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR=inmemory", "REGISTRY_STORAGE=s3"},
			want: "storage: {s3: {bucket: b}, cache: {blobdescriptor: inmemory}}"},
		{name: "storage replaced by a map", text: "storage: inmemory",
			env: []string{"REGISTRY_STORAGE={filesystem: {rootdirectory: /b}}"}, want: "storage: {filesystem: {rootdirectory: /b}}"},
		{name: "storage emptied", text: "storage: inmemory", env: []string{"REGISTRY_STORAGE="}, want: "storage: "},
		{name: "parameters of the short form", text: "storage: filesystem",
			env: []string{"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/b"}, want: "storage: {filesystem: {rootdirectory: /b}}"},
		{name: "a section replaced", text: "storage: {s3: {a: b}}",
			env: []string{"REGISTRY_STORAGE_S3={c: d}"}, want: "storage: {s3: {c: d}}"},
		{name: "readonly, not in the file", text: "storage: {filesystem: {}}",
			env:  []string{"REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED=true"},
			want: "storage: {filesystem: {}, maintenance: {readonly: {enabled: true}}}"},
		{name: "readonly, in the file", text: "storage: {filesystem: {}, maintenance: {uploadpurging: {enabled: false}, readonly: {enabled: false}}}",
			env:  []string{"REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED=true"},
			want: "storage: {filesystem: {}, maintenance: {uploadpurging: {enabled: false}, readonly: {enabled: true}}}"},
		{name: "readonly, the whole map", text: "storage: {filesystem: {}}",
			env:  []string{"REGISTRY_STORAGE_MAINTENANCE_READONLY={enabled: true}"},
			want: "storage: {filesystem: {}, maintenance: {readonly: {enabled: true}}}"},
		{name: "an empty section on the way", text: "storage: {filesystem: {}, maintenance: }",
			env:  []string{"REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED=true"},
			want: "storage: {filesystem: {}, maintenance: {readonly: {enabled: true}}}"},
		{name: "case of a key on the way", text: "storage: {filesystem: {}, Maintenance: {x: y}}",
			env:  []string{"REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED=true"},
			want: "storage: {filesystem: {}, Maintenance: {x: y, readonly: {enabled: true}}}"},
		{name: "lists", text: "validation: {manifests: {urls: {allow: [a, b]}}}",
			env: []string{"REGISTRY_VALIDATION_MANIFESTS_URLS_ALLOW_1=c", "REGISTRY_VALIDATION_MANIFESTS_URLS_ALLOW_2=d",
				"REGISTRY_VALIDATION_MANIFESTS_URLS_DENY_0=e", "REGISTRY_VALIDATION_MANIFESTS_INDEXES_PLATFORMLIST_0_OS=linux"},
			want: "validation: {manifests: {urls: {allow: [a, c, d], deny: [e]}, indexes: {platformlist: [{os: linux}]}}}"},
		{name: "proxy", text: "storage: inmemory", env: []string{"REGISTRY_PROXY_REMOTEURL=https://r"},
			want: "{storage: {inmemory: {}}, proxy: {remoteurl: 'https://r'}}"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := tree(t, test.text)
			if err := override(got, test.env); err != nil {
				t.Fatalf("override(%q) = %v", test.env, err)
			}
			want := tree(t, test.want)
			spellOutStorage(want)
			if !reflect.DeepEqual(got, want) {
				text, _ := yaml.Marshal(got)
				t.Errorf("override(%q) gives\n%s, want %s", test.env, text, test.want)
			}
		})
	}
}

func tree(t *testing.T, text string) map[string]any {
	t.Helper()
	v, err := parseYAML([]byte(text))
	if err != nil {
		t.Fatalf("parseYAML(%q) = %v", text, err)
	}
	return v.(map[string]any)
}

func TestOverrideErrors(t *testing.T) {
	tests := []struct {
		name, text, env string
		want            string
	}{
		{"not YAML", "storage: {s3: {}}", "REGISTRY_STORAGE_S3_SECRETKEY=@s3cr3t", "the value of REGISTRY_STORAGE_S3_SECRETKEY is not YAML"},
		{"below a value", "storage: {filesystem: {rootdirectory: /r}}", "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY_SUB=x",
			"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY_SUB cannot be applied: what it sets sub of is a single value"},
		{"two underscores", "storage: inmemory", "REGISTRY_STORAGE__ENABLED=true", "nothing between two of its underscores"},
		{"beyond a list", "validation: {manifests: {urls: {allow: [a]}}}", "REGISTRY_VALIDATION_MANIFESTS_URLS_ALLOW_2=x", "a number from 0 to 1"},
		{"name in a list", "validation: {manifests: {urls: {allow: [a]}}}", "REGISTRY_VALIDATION_MANIFESTS_URLS_ALLOW_X=x", "and not with X"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := override(tree(t, test.text), []string{test.env})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("override(%q) = %v, want %q", test.env, err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("override(%q) = %v, which shows the value", test.env, err)
			}
		})
	}
}

// A Kubernetes service named registry-storage sets such variables in each pod.
func TestOverrideAddsDriver(t *testing.T) {
	_, err := parseConfig([]byte(config(filesystemStorage)), []string{"REGISTRY_STORAGE_SERVICE_HOST=10.0.0.1", "HOME=/"})
	want := "exactly one driver, not filesystem, service: unset REGISTRY_STORAGE_SERVICE_HOST, or set REGISTRY_STORAGE to the one driver"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("parseConfig = %v, want %q", err, want)
	}
}
