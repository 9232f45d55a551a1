package main

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestFindStoreS3(t *testing.T) {
	tests := []struct {
		source, shown string
		params        map[string]any
	}{
		{"s3://images", "s3://images", map[string]any{"bucket": "images"}},
		{"S3://images/", "s3://images", map[string]any{"bucket": "images"}},
		{"s3://images/a/b/", "s3://images/a/b", map[string]any{"bucket": "images", "rootdirectory": "a/b"}},
		{"s3://images/a%20b%23", "s3://images/a b#", map[string]any{"bucket": "images", "rootdirectory": "a b#"}},
		{"s3://images?region=eu-central-1&ENCRYPT=true&chunksize=5242880", "s3://images",
			map[string]any{"bucket": "images", "region": "eu-central-1", "encrypt": "true", "chunksize": "5242880"}},
		{"s3://images?rootdirectory=/a", "s3://images/a", map[string]any{"bucket": "images", "rootdirectory": "/a"}},
		{"s3://images?profile=prod&loglevel=off", "s3://images", map[string]any{"bucket": "images", "profile": "prod", "loglevel": "off"}},
		{"s3://images/p?endpoint=http://127.0.0.1:9000", "s3://images/p",
			map[string]any{"bucket": "images", "rootdirectory": "p", "regionendpoint": "http://127.0.0.1:9000", "forcepathstyle": true}},
		{"s3://images?regionendpoint=https://minio.example.com&forcepathstyle=false", "s3://images",
			map[string]any{"bucket": "images", "regionendpoint": "https://minio.example.com", "forcepathstyle": "false"}},
		{"s3://images?regionendpoint=s3.eu-west-1.amazonaws.com:443", "s3://images",
			map[string]any{"bucket": "images", "regionendpoint": "s3.eu-west-1.amazonaws.com:443", "forcepathstyle": false}},
	}
	for _, test := range tests {
		s, err := findStore(test.source, nil)
		if err != nil || s.driver != "s3" || s.source != test.shown || !maps.Equal(s.params, test.params) {
			t.Errorf("findStore(%q) = %s %v as %q, %v, want s3 %v as %q", test.source, s.driver, s.params, s.source, err, test.params, test.shown)
		}
	}
}

func TestFindStoreS3Errors(t *testing.T) {
	tests := []struct {
		name, source, want string
	}{
		{"no bucket", "s3://", "names no bucket: use s3://BUCKET/PREFIX"},
		{"no bucket but a prefix", "s3:///images", "names no bucket"},
		{"user", "s3://me:s3cr3t@images/p", "SOURCE s3://images/p has credentials before the bucket"},
		{"no URL", "s3://me:s3cr3t@[images", "SOURCE is no URL like"},
		{"access key", "s3://images?accesskey=s3cr3t", "accesskey in a URL is seen by all users of this machine: set AWS_ACCESS_KEY_ID"},
		{"secret key", "s3://images?region=x&SecretKey=s3cr3t", "SecretKey in a URL"},
		{"session token", "s3://images?sessiontoken=s3cr3t", "sessiontoken in a URL"},
		{"as AWS calls it", "s3://images?aws_secret_access_key=s3cr3t", "aws_secret_access_key in a URL"},
		{"a word for one", "s3://images?secret=s3cr3t", "secret in a URL is seen by all users"},
		{"mistyped", "s3://images?regoin=s3cr3t", `there is no parameter "regoin": did you mean region?`},
		{"abbreviated", "s3://images?pathstyle=true", `did you mean forcepathstyle?`},
		{"with dashes", "s3://images?force-path-style=true", `did you mean forcepathstyle?`},
		{"unknown", "s3://images?frobnicate=s3cr3t", `there is no parameter "frobnicate": there are accelerate, `},
		{"bucket twice", "s3://images?bucket=x", "bucket is in the URL already"},
		{"twice", "s3://images?region=a&region=b", "region is there twice"},
		{"twice by an alias", "s3://images?endpoint=http://a&regionendpoint=http://b", "regionendpoint is there twice"},
		{"no value", "s3://images?encrypt", "encrypt has no value: write encrypt=VALUE"},
		{"semicolon", "s3://images?region=a;encrypt=true", "is not PARAMETER=VALUE"},
		{"fragment", "s3://images/a#b", "write %23"},
		{"two prefixes", "s3://images/a?rootdirectory=b", "rootdirectory is the path of the URL already"},
		{"inside", "s3://images/a/docker/registry/v2", "is inside a registry's storage: pass its root, s3://images/a"},
		{"deep inside", "s3://images/docker/registry/v2/blobs", "pass its root, s3://images"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, err := findStore(test.source, nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("findStore(%q) = %v, %v, want an error with %q", test.source, s.params, err, test.want)
			}
			if strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("findStore(%q) = %v, which shows a value", test.source, err)
			}
		})
	}
}

func TestS3EndpointVariable(t *testing.T) {
	environ := []string{"AWS_ENDPOINT_URL=http://general:1", "AWS_ENDPOINT_URL_S3=http://special:2"}
	for source, want := range map[string]string{"s3://images": "http://special:2", "s3://images?endpoint=http://mine": "http://mine"} {
		s, err := findStore(source, environ)
		if err != nil || s.params["regionendpoint"] != want || s.params["forcepathstyle"] != true {
			t.Errorf("findStore(%q) = %v, %v, want the endpoint %q and path style", source, s.params, err, want)
		}
	}
}

// What is remembered of a store is found again, whether it is named by a URL or
// by a configuration.
func TestStoreID(t *testing.T) {
	fromConfig, err := parseConfig([]byte(config("storage: {s3aws: {bucket: images, rootdirectory: /a/, regionendpoint: 'http://Minio:9000/'}}")), nil)
	if err != nil {
		t.Fatal(err)
	}
	fromURL, err := findStore("s3://images/a?endpoint=http://minio:9000", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fromURL.id(), (store{registryConfig: fromConfig}).id(); got != want || got == "" {
		t.Errorf("id of the URL = %q, want that of the configuration, %q", got, want)
	}
	other, err := findStore("s3://images/a", nil)
	if err != nil || other.id() == fromURL.id() {
		t.Errorf("id without the endpoint = %q, %v, want another", other.id(), err)
	}
	if inMemory, err := findStore("inmemory:", nil); err != nil || inMemory.id() != "" {
		t.Errorf("id of a store that ends = %q, %v, want none", inMemory.id(), err)
	}
}

// All of the s3 section comes from variables alone, as the registry's
// container is often set up.
func TestS3FromVariables(t *testing.T) {
	c, err := parseConfig([]byte(config("storage: filesystem\n")), []string{"REGISTRY_STORAGE=s3", "REGISTRY_STORAGE_S3_BUCKET=images",
		"REGISTRY_STORAGE_S3_LOGLEVEL=off", "REGISTRY_STORAGE_S3_SECURE='false'", "REGISTRY_STORAGE_S3_CHUNKSIZE=5242880"})
	want := map[string]any{"bucket": "images", "loglevel": false, "secure": "false", "chunksize": 5242880}
	if err != nil || c.driver != "s3" || !maps.Equal(c.params, want) {
		t.Errorf("parseConfig = %s %v, %v, want s3 %v", c.driver, c.params, err, want)
	}
}

func TestS3ParametersSorted(t *testing.T) {
	if !slices.IsSorted(s3Parameters) {
		t.Error("s3Parameters is not sorted, as messages show it")
	}
}

func FuzzS3Source(f *testing.F) {
	f.Add("images/a?region=x&endpoint=http://h:1")
	f.Add("u:s3cr3t@[::1")
	f.Fuzz(func(t *testing.T, rest string) {
		s, err := findStore("s3://"+rest, nil)
		if err == nil && (s.params["bucket"] == "" || s.params["secretkey"] != nil || !strings.HasPrefix(s.source, "s3://")) {
			t.Errorf("findStore(s3://%q) = %v as %q", rest, s.params, s.source)
		}
	})
}
