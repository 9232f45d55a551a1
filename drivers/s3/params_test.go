package s3

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"registryfs/drivers"
)

func hermetic(t *testing.T) {
	t.Helper()
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", t.TempDir()+"/none")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/none")
}

func TestDefaults(t *testing.T) {
	p, err := parse(map[string]any{"bucket": "b", "region": "eu-west-1"})
	if err != nil {
		t.Fatal(err)
	}
	want := Parameters{
		Bucket: "b", Region: "eu-west-1", StorageClass: types.StorageClassStandard, ObjectACL: types.ObjectCannedACLPrivate,
		ChunkSize: 10 << 20, CopyChunkSize: 32 << 20, CopyMaxConcurrent: 100, CopyThreshold: 32 << 20,
		MaxThreads: 100, Retries: 10, Timeout: 30 * time.Second,
	}
	if p != want {
		t.Errorf("parse = %+v, want %+v", p, want)
	}
}

func TestParameters(t *testing.T) {
	budget := drivers.NewBudget(1)
	is := func(check func(p Parameters) bool) func(Parameters) bool { return check }
	for _, test := range []struct {
		name  string
		value any
		check func(p Parameters) bool // nil: an error that names the parameter
	}{
		{"accesskey", "a", nil},
		{"bucket", "", nil},
		{"bucket", "a/b", nil},
		{"region", "eu-west", nil},
		{"region", "us-gov-east-1", is(func(p Parameters) bool { return p.Region == "us-gov-east-1" })},
		{"secure", false, is(func(p Parameters) bool { return p.Insecure })},
		{"secure", "0", is(func(p Parameters) bool { return p.Insecure })},
		{"secure", nil, is(func(p Parameters) bool { return !p.Insecure })},
		{"secure", "sometimes", nil},
		{"secure", 0, nil},
		{"forcepathstyle", "true", is(func(p Parameters) bool { return p.ForcePathStyle })},
		{"encrypt", true, is(func(p Parameters) bool { return p.Encrypt })},
		{"keyid", 123, is(func(p Parameters) bool { return p.KeyID == "123" })},
		{"skipverify", "T", is(func(p Parameters) bool { return p.SkipVerify })},
		{"v4auth", true, is(func(p Parameters) bool { return true })},
		{"v4auth", false, nil},
		{"v4auth", "false", nil},
		{"chunksize", 5 << 20, is(func(p Parameters) bool { return p.ChunkSize == 5<<20 })},
		{"chunksize", "0x600000", is(func(p Parameters) bool { return p.ChunkSize == 6<<20 })},
		{"chunksize", uint16(5), nil},
		{"chunksize", 5<<30 + 1, nil},
		{"chunksize", "much", nil},
		{"chunksize", "", nil},
		{"multipartcopychunksize", 5<<20 - 1, nil},
		{"multipartcopymaxconcurrency", 0, nil},
		{"multipartcopymaxconcurrency", "7", is(func(p Parameters) bool { return p.CopyMaxConcurrent == 7 })},
		{"multipartcopythresholdsize", 0, is(func(p Parameters) bool { return p.CopyThreshold == 0 })},
		{"multipartcopythresholdsize", -1, nil},
		{"rootdirectory", "/a/b/", is(func(p Parameters) bool { return p.RootDirectory == "a/b" })},
		{"storageclass", "reduced_redundancy", is(func(p Parameters) bool { return p.StorageClass == "REDUCED_REDUNDANCY" })},
		{"storageclass", "none", is(func(p Parameters) bool { return p.StorageClass == "" })},
		{"storageclass", "GLACIER", nil},
		{"objectacl", "bucket-owner-full-control", is(func(p Parameters) bool { return p.ObjectACL == "bucket-owner-full-control" })},
		{"objectacl", "nobody", nil},
		{"loglevel", false, is(func(p Parameters) bool { return p.LogMode == 0 })},
		{"loglevel", "loud", is(func(p Parameters) bool { return p.LogMode == 0 })},
		{"loglevel", "debug", is(func(p Parameters) bool { return p.LogMode&aws.LogRequest != 0 })},
		{"loglevel", "debugwithsigning", is(func(p Parameters) bool { return p.LogMode&aws.LogSigning != 0 })},
		{"maxthreads", 3, is(func(p Parameters) bool { return p.MaxThreads == 25 })},
		{"maxthreads", "many", nil},
		{"retries", 0, is(func(p Parameters) bool { return p.Retries == -1 })},
		{"maxretries", "4", is(func(p Parameters) bool { return p.Retries == 4 })},
		{"retries", -1, nil},
		{"timeout", "90s", is(func(p Parameters) bool { return p.Timeout == 90*time.Second })},
		{"timeout", 5, is(func(p Parameters) bool { return p.Timeout == 5*time.Second })},
		{"timeout", "soon", nil},
		{"timeout", 0, nil},
		{"checksum", "when_supported", is(func(p Parameters) bool { return p.AllChecksums })},
		{"checksum", "WHEN_REQUIRED", is(func(p Parameters) bool { return !p.AllChecksums })},
		{"checksum", "crc32", nil},
		{"anonymous", true, is(func(p Parameters) bool { return p.Anonymous })},
		{"memory", budget, is(func(p Parameters) bool { return p.Memory == budget })},
		{"memory", "1GB", nil},
		{"redirectendpoint", "http://elsewhere", is(func(p Parameters) bool { return true })},
		{"whatever", []int{1}, is(func(p Parameters) bool { return true })},
	} {
		params := map[string]any{"bucket": "b", "region": "eu-west-1", test.name: test.value}
		p, err := parse(params)
		switch {
		case test.check == nil && (err == nil || !strings.Contains(err.Error(), test.name)):
			t.Errorf("%s: %v = %v, want an error that names it", test.name, test.value, err)
		case test.check != nil && (err != nil || !test.check(p)):
			t.Errorf("%s: %v = %+v, %v", test.name, test.value, p, err)
		}
	}
}

func TestTogether(t *testing.T) {
	hermetic(t)
	for _, test := range []struct {
		name    string
		params  map[string]any
		wantErr string
	}{
		{"region", map[string]any{"region": "eu-west-1"}, ""},
		{"no region", nil, "no region"},
		{"endpoint", map[string]any{"regionendpoint": "localhost:9000"}, ""},
		{"endpoint and any region", map[string]any{"regionendpoint": "http://minio", "region": "here"}, ""},
		{"endpoint without a host", map[string]any{"regionendpoint": "https://"}, "no URL"},
		{"endpoint of another scheme", map[string]any{"regionendpoint": "ftp://host"}, "no URL"},
		{"endpoint with a query", map[string]any{"regionendpoint": "http://host/?x=y"}, "no URL"},
		{"endpoint that is no URL", map[string]any{"regionendpoint": "my store"}, "no URL"},
		{"endpoint with a password", map[string]any{"regionendpoint": "http://me:hidden@host"}, "set accesskey"},
		{"endpoint with a path", map[string]any{"regionendpoint": "https://host:8080/s3"}, ""},
		{"accelerate", map[string]any{"region": "eu-west-1", "accelerate": true}, ""},
		{"accelerate by path", map[string]any{"region": "eu-west-1", "accelerate": true, "forcepathstyle": true}, "keep one"},
		{"accelerate elsewhere", map[string]any{"regionendpoint": "http://minio", "accelerate": true}, "remove them"},
		{"dual stack elsewhere", map[string]any{"regionendpoint": "http://minio", "usedualstack": true}, "remove them"},
		{"FIPS elsewhere", map[string]any{"regionendpoint": "http://minio", "usefipsendpoint": true}, "remove them"},
		{"anonymous", map[string]any{"region": "eu-west-1", "anonymous": "true"}, ""},
		{"anonymous with a key", map[string]any{"region": "eu-west-1", "anonymous": true, "accesskey": "a", "secretkey": "b"}, "anonymous"},
		{"unknown profile", map[string]any{"region": "eu-west-1", "profile": "nobody"}, "nobody"},
		{"role", map[string]any{"region": "eu-west-1", "rolearn": "arn:aws:iam::1:role/r", "externalid": "x"}, ""},
	} {
		params := map[string]any{"bucket": "b"}
		maps.Copy(params, test.params)
		for _, name := range []string{"s3", "s3aws"} {
			d, err := drivers.Create(t.Context(), name, params)
			if (err == nil) != (test.wantErr == "") || err != nil && !strings.Contains(err.Error(), test.wantErr) {
				t.Errorf("%s: Create = %v, want an error with %q", test.name, err, test.wantErr)
			}
			if err != nil && strings.Contains(err.Error(), "hidden") {
				t.Errorf("%s: %v shows the password", test.name, err)
			}
			if err == nil && d.Name() != "s3aws" {
				t.Errorf("Name = %q", d.Name())
			}
		}
	}
	t.Setenv("AWS_REGION", "eu-west-1")
	if _, err := FromParameters(t.Context(), map[string]any{"bucket": "b"}); err != nil {
		t.Errorf("with AWS_REGION set: %v", err)
	}
}

func TestEndpoint(t *testing.T) {
	for _, test := range []struct {
		endpoint string
		insecure bool
		want     string
	}{
		{"", false, ""},
		{"host:9000", false, "https://host:9000"},
		{"host:9000", true, "http://host:9000"},
		{"http://host", false, "http://host"},
		{"https://host", true, "https://host"},
	} {
		if got := endpointURL(Parameters{RegionEndpoint: test.endpoint, Insecure: test.insecure}); got != test.want {
			t.Errorf("endpointURL(%q, insecure %v) = %q, want %q", test.endpoint, test.insecure, got, test.want)
		}
	}
}

// TestUserAgent also shows that anonymous requests are not signed.
func TestUserAgent(t *testing.T) {
	s := newFakeStore(t)
	d := s.driver(func(p *Parameters) {
		p.UserAgent, p.Anonymous, p.AccessKey, p.SecretKey = "my registry/1.0", true, "", ""
	})
	if err := d.PutContent(t.Context(), "/a", nil); err != nil {
		t.Fatal(err)
	}
	h := s.header("Put")
	if ua := h.Get("User-Agent"); !strings.HasSuffix(ua, " my registry/1.0") {
		t.Errorf("User-Agent = %q", ua)
	}
	if got := h.Get("Authorization"); got != "" {
		t.Errorf("an anonymous request is signed: %s", got)
	}
}
