package s3

import (
	"io"
	"log"
	"maps"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// driverWith makes a driver of parameters besides those it cannot do without.
func driverWith(t *testing.T, more map[string]any) *Driver {
	t.Helper()
	params := map[string]any{"bucket": "images", "region": "eu-west-1", "accesskey": "a", "secretkey": "b"}
	maps.Copy(params, more)
	p, err := parse(params)
	if err != nil {
		t.Fatalf("%v: %v", more, err)
	}
	d, err := newDriver(t.Context(), p)
	if err != nil {
		t.Fatalf("%v: %v", more, err)
	}
	return d
}

// TestAddress shows where requests go.
func TestAddress(t *testing.T) {
	hermetic(t)
	for _, test := range []struct {
		params map[string]any
		want   string
	}{
		{nil, "https://images.s3.eu-west-1.amazonaws.com/key"},
		{map[string]any{"secure": false}, "http://images.s3.eu-west-1.amazonaws.com/key"},
		{map[string]any{"forcepathstyle": true}, "https://s3.eu-west-1.amazonaws.com/images/key"},
		{map[string]any{"usedualstack": true}, "https://images.s3.dualstack.eu-west-1.amazonaws.com/key"},
		{map[string]any{"accelerate": true}, "https://images.s3-accelerate.amazonaws.com/key"},
		{map[string]any{"usefipsendpoint": true, "region": "us-east-1"}, "https://images.s3-fips.us-east-1.amazonaws.com/key"},
		{map[string]any{"region": "cn-north-1"}, "https://images.s3.cn-north-1.amazonaws.com.cn/key"},
		{map[string]any{"regionendpoint": "minio:9000", "secure": false}, "http://images.minio:9000/key"},
		{map[string]any{"regionendpoint": "https://minio:9000/s3/", "forcepathstyle": true}, "https://minio:9000/s3/images/key"},
	} {
		d := driverWith(t, test.params)
		signed, err := s3.NewPresignClient(d.client).PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: &d.bucket, Key: aws.String("key")})
		if err != nil {
			t.Errorf("%v: %v", test.params, err)
			continue
		}
		u, err := url.Parse(signed.URL)
		if err != nil {
			t.Fatal(err)
		}
		if got := u.Scheme + "://" + u.Host + u.Path; got != test.want {
			t.Errorf("with %v requests go to %s, want %s", test.params, got, test.want)
		}
	}
}

// TestSkipVerify also shows that TLS is trusted with the content of parts.
func TestSkipVerify(t *testing.T) {
	s := newFakeStore(t)
	server := httptest.NewUnstartedServer(s)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it hears of the certificate too
	server.StartTLS()
	t.Cleanup(server.Close)
	at := func(skip bool) *Driver {
		return s.driver(func(p *Parameters) { smallChunks(p); p.RegionEndpoint, p.SkipVerify, p.Retries = server.URL, skip, -1 })
	}
	if err := at(false).PutContent(t.Context(), "/a", nil); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a put to a server that nobody vouches for = %v", err)
	}
	if err := writeFile(t, at(true), "/a", random(minChunkSize+1)); err != nil {
		t.Fatal(err)
	}
	if got := s.header("Part").Get("X-Amz-Content-Sha256"); got != "UNSIGNED-PAYLOAD" {
		t.Errorf("the content of a part is hashed once more: %q", got)
	}
}

func TestSignedContent(t *testing.T) {
	hermetic(t)
	for _, test := range []struct {
		params map[string]any
		signed bool
	}{
		{map[string]any{"regionendpoint": "http://127.0.0.1:9000"}, false},
		{map[string]any{"regionendpoint": "http://[::1]:9000"}, false},
		{map[string]any{"regionendpoint": "localhost:9000", "secure": false}, false},
		{map[string]any{"regionendpoint": "https://s3.example.org"}, false},
		{map[string]any{}, false},
		{map[string]any{"regionendpoint": "http://s3.example.org"}, true},
		{map[string]any{"regionendpoint": "http://localhost.example.org"}, true},
		{map[string]any{"regionendpoint": "http://10.0.0.1:9000"}, true},
		{map[string]any{"secure": false}, true},
	} {
		if d := driverWith(t, test.params); isPrivate(d.client) == test.signed {
			t.Errorf("with %v the content of parts is signed: %v", test.params, !test.signed)
		}
	}
}
